"""Processes that kill themselves at a point of their code that a test chooses."""

import signal
from dataclasses import replace
from pathlib import Path
from textwrap import indent

from tests.experiments.commands import Place

_HOOK = """\
import importlib.util, os, sys, time
from pathlib import Path

class Hook:
    def find_spec(self, name, path, target=None):
        if name != ({name}):
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            change(module)
        spec.loader.exec_module = exec_module
        return spec

def change(module):
{body}

sys.meta_path.insert(0, Hook())
"""

# The process kills itself before a call of a method: OTTT_KILL="module:Class.method:call".
_KILL = """\
_, method, call = os.environ["OTTT_KILL"].split(":")
owner, method = getattr(module, method.split(".")[0]), method.split(".")[1]
original, calls = getattr(owner, method), []
def counted(*args, **named):
    calls.append(1)
    if len(calls) == int(call):
        os.kill(os.getpid(), 9)
    return original(*args, **named)
setattr(owner, method, counted)
"""
_KILL_MODULE = 'os.environ.get("OTTT_KILL", "").partition(":")[0]'
TRAINER = '"ottt.training.trainer"'

RECORDS = "experiments.results.trial_records:TrialRecords"
KILLED = -signal.SIGKILL


def after_import(name: str, body: str) -> str:
    """A `sitecustomize` module: every process runs `body`, which can change `module`, once it has imported that.

    Args:
        name: Python expression for the module's name.
        body: statements; `os`, `sys`, `time` and `Path` are there.
    """
    return _HOOK.format(name=name, body=indent(body, "    "))


def place(folder: Path, spec: str) -> Place:
    """A folder with `spec.yaml`, whose commands heed OTTT_KILL."""
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    (folder / "modules").mkdir()
    (folder / "modules" / "sitecustomize.py").write_text(after_import(_KILL_MODULE, _KILL), encoding="utf-8")
    return Place(folder, modules=folder / "modules")


def killed_at(here: Place, point: str) -> Place:
    """The same place; its commands kill themselves before `point`, "module:Class.method:call"."""
    return replace(here, variables={**here.variables, "OTTT_KILL": point})
