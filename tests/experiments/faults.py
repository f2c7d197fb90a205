"""Processes that kill themselves at a point of their code that a test chooses."""

import signal
from pathlib import Path

from tests.experiments.commands import Place

# The process kills itself before a call of a method: OTTT_KILL="module:Class.method:call".
_FAULT_POINT = """\
import importlib.util, os, signal, sys

class FaultPoint:
    def __init__(self, module, owner, method, call):
        self.module, self.owner, self.method, self.call = module, owner, method, int(call)

    def find_spec(self, name, path, target=None):
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            owner = getattr(module, self.owner)
            original, calls = getattr(owner, self.method), []
            def counted(*args, **named):
                calls.append(1)
                if len(calls) == self.call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*args, **named)
            setattr(owner, self.method, counted)
        spec.loader.exec_module = exec_module
        return spec

if os.environ.get("OTTT_KILL"):
    module, method, call = os.environ["OTTT_KILL"].split(":")
    sys.meta_path.insert(0, FaultPoint(module, *method.split("."), call))
"""

RECORDS = "experiments.results.trial_records:TrialRecords"
KILLED = -signal.SIGKILL


def place(folder: Path, spec: str) -> Place:
    """A folder with `spec.yaml`, whose commands heed OTTT_KILL."""
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    (folder / "modules").mkdir()
    (folder / "modules" / "sitecustomize.py").write_text(_FAULT_POINT, encoding="utf-8")
    return Place(folder, modules=folder / "modules")


def killed_at(here: Place, point: str) -> Place:
    """The same place; its commands kill themselves before `point`, "module:Class.method:call"."""
    return Place(here.folder, here.modules, {"OTTT_KILL": point})
