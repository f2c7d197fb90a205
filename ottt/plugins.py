"""Loading of plugins: modules that add networks, update rules, data sets and metrics.

A plugin calls `ottt.register_model`, `register_rule`, `register_dataset` or `register_metric` when it is imported. The
setting `plugins` lists those of a trial, by module (`mylab.networks`) or by file (`networks.py`), so that every process
that reads the trial's configuration loads them. Installed packages can declare plugins as entry points in the group
`ottt.plugins`; these are loaded when a configuration contains a name that is not built in.

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

GROUP = "ottt.plugins"  # group of entry points


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
        UserError: there is no such module or file, or importing it fails.
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
    """Import the plugins that installed packages declare."""
    for entry in entry_points(group=GROUP):
        load_plugin(entry.module)


def claim(kind: str, name: str, taken: Collection[str]) -> None:
    """Record that the plugin being loaded registers `name`.

    Args:
        kind: what the name is of, in words, e.g. "network".
        name: name to register.
        taken: names that are registered already.

    Raises:
        UserError: the name is taken.
    """
    if name in taken:
        raise UserError(f"{kind} {name!r} is registered already, by {_owners.get((kind, name), 'ottt')}")
    if _loading:
        _owners[kind, name] = _loading[-1]


def owner(kind: str, name: str) -> str | None:
    """The plugin that registered `name`; None if it is built in or was registered outside a plugin."""
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
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(file.parent)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
