"""Loading of plugins: modules that add networks, update rules, data sets and metrics.

A plugin calls `ottt.register_model`, `register_rule`, `register_dataset` or `register_metric` when it is imported. The
setting `plugins` lists those of a trial, by module (`mylab.networks`) or by file (`networks.py`), so that every process
that reads the trial's configuration loads them. No trial depends on a sink: the plugin that calls `register_sink` is
named in the spec of the sweep. Installed packages can declare plugins as entry points in the group `ottt.plugins`;
these are loaded when a configuration contains a name that is not built in.

Standard library only.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from ottt.errors import UserError, brief, message_of
from ottt.files import is_file, user_path

GROUP = "ottt.plugins"  # group of entry points
FILE_HINT = " (a file is named with its ending: {}.py)"
LONGEST_NAME = 200  # characters of what a plugin registers; MLflow stores 250 of a metric's name


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin.

    Attributes:
        name: module or file, as the user named it.
        digest: 16 hex digits over its source: the file, or all Python files of the package.
    """

    name: str
    digest: str


_loaded: dict[str, Plugin] = {}
_owners: dict[tuple[str, str], str] = {}  # the plugin that registered a name, by kind and name
_loading: list[str] = []  # plugins being imported, the innermost last


def load_plugin(name: str) -> Plugin:
    """Import a plugin, once per process.

    Args:
        name: a module, or a file that ends in `.py`, relative to the current folder.

    Raises:
        UserError: there is no such module or file, importing it fails, or it ends the process.
    """
    if not name.endswith(".py") and not all(map(str.isidentifier, name.split("."))):
        raise UserError(f"plugin {brief(name)} must be a module (mylab.networks) or a file that ends in .py")
    if name not in _loaded:
        _loading.append(name)
        try:
            with printing_to_stderr():
                module = _from_file(name) if name.endswith(".py") else import_module(name)
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException as error:  # also sys.exit, with which the command would end as if it were done
            what = f"{error}{FILE_HINT.format(name)}" if _is_absent(name, error) else described(error)
            raise UserError(f"plugin {name}: {what}") from error
        finally:
            _loading.pop()
        _loaded[name] = Plugin(name, _digest(module))
    return _loaded[name]


def load_installed() -> None:
    """Import the plugins that installed packages declare."""
    for entry in entry_points(group=GROUP):
        load_plugin(entry.module)


@contextmanager
def printing_to_stderr() -> Iterator[None]:
    """Keep stdout for what a command prints: others' code, its libraries and its child processes print to stderr."""
    sys.stdout.flush()
    with redirect_stdout(sys.stderr), _descriptor_1_is_2():
        yield


@contextmanager
def _descriptor_1_is_2() -> Iterator[None]:
    try:
        kept = os.dup(1)
    except OSError:  # the process has no stdout
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def described(error: BaseException) -> str:
    """Type and message of an error of someone else's code, in one line; `sys.exit` in words."""
    if isinstance(error, SystemExit):
        return f"must not end the process, but called sys.exit({error.code!r})"
    return ": ".join(filter(None, (type(error).__name__, next(iter(message_of(error).splitlines()), ""))))


def claim(kind: str, name: str, taken: Collection[str]) -> None:
    """Record that the plugin being loaded registers `name`.

    Args:
        kind: what the name is of, in words, e.g. "network".
        name: name to register.
        taken: names that are registered already.

    Raises:
        UserError: the name is taken, or is none.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UserError(f"{kind} must have a name of 1 to {LONGEST_NAME} printable characters, got {brief(name)}")
    if name in taken:
        raise UserError(f"{kind} {name!r} is registered already, by {_owners.get((kind, name), 'ottt')}")
    if _loading:
        _owners[kind, name] = _loading[-1]


def owner(kind: str, name: str) -> str | None:
    """The plugin that registered `name`; None if it is built in or was registered outside a plugin."""
    return _owners.get((kind, name))


def _from_file(name: str) -> ModuleType:
    path = user_path(name).absolute()
    if not is_file(path):
        raise UserError(f"plugin {name}: no such file in {path.parent}")
    spec = importlib.util.spec_from_file_location(f"ottt_plugin_{path.stem}", path)
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    spec.loader.exec_module(module)
    return module


def _is_absent(name: str, error: BaseException) -> bool:
    return isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]


def _digest(module: ModuleType) -> str:
    if getattr(module, "__file__", None) is None:
        raise UserError(
            f"plugin {module.__name__}: must be a module or a package with __init__.py, got none or a bare folder"
        )
    file = Path(str(module.__file__))
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(file.parent)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
