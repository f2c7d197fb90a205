"""Plugins: modules of others that add networks, update rules, data sets and metrics.

A plugin calls `ottt.register_model`, `register_rule`, `register_dataset` or `register_metric` when it is imported. The
setting `plugins` names those of a trial, by module (`mylab.networks`) or by file (`networks.py`), so that every process
that reads the trial's configuration loads them. Installed packages may announce theirs as entry points of the group
`ottt.plugins`; these are loaded when a configuration has a name that is not built in.

Standard library only.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from ottt.errors import UserError

GROUP = "ottt.plugins"  # of entry points


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded.

    Attributes:
        name: as it was asked for.
        digest: 16 hex digits over its source: of the file, or of all Python files of the package.
    """

    name: str
    digest: str


_loaded: dict[str, Plugin] = {}
_owners: dict[tuple[str, str], str] = {}  # name of the plugin that registered a name, by kind and name
_loading: list[str] = []  # the innermost last


def load_plugin(name: str) -> Plugin:
    """Import a plugin, once per process.

    Args:
        name: of a module, or of a file that ends in `.py`, relative to the current folder.

    Raises:
        UserError: there is no such module or file, or it fails.
    """
    if name not in _loaded:
        _loading.append(name)
        try:
            module = _from_file(name) if name.endswith(".py") else import_module(name)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"plugin {name}: {type(error).__name__}: {error}{_hint(name, error)}") from error
        finally:
            _loading.pop()
        _loaded[name] = Plugin(name, _digest(module))
    return _loaded[name]


def load_installed() -> None:
    """Import what installed packages announce."""
    for entry in entry_points(group=GROUP):
        load_plugin(entry.module)


def claim(kind: str, name: str, taken: Collection[str]) -> None:
    """Note that the plugin that is being loaded registers `name`.

    Args:
        kind: of thing, in words.
        name: of the new one.
        taken: names that there are.

    Raises:
        UserError: the name is taken.
    """
    if name in taken:
        raise UserError(f"{kind} {name!r} is registered already, by {_owners.get((kind, name), 'ottt')}")
    if _loading:
        _owners[kind, name] = _loading[-1]


def owner(kind: str, name: str) -> str | None:
    """The plugin that registered `name`; None: it is built in, or was registered without one."""
    return _owners.get((kind, name))


def _from_file(name: str) -> ModuleType:
    path = Path(name).absolute()
    if not path.is_file():
        raise UserError(f"plugin {name}: no such file in {path.parent}")
    spec = importlib.util.spec_from_file_location(f"ottt_plugin_{path.stem}", path)
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    spec.loader.exec_module(module)
    return module


def _hint(name: str, error: Exception) -> str:
    absent = isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]
    return f" (a file is named with its ending: {name}.py)" if absent else ""


def _digest(module: ModuleType) -> str:
    if module.__file__ is None:
        raise UserError(f"plugin {module.__name__}: must be a module or a package with __init__.py, got a bare folder")
    file = Path(module.__file__)
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    found = hashlib.sha256()
    for path in files:
        found.update(f"{path.relative_to(file.parent)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
