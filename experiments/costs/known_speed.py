"""What earlier plans measured on this machine, in the user's cache: to measure again would take seconds."""

import hashlib
import json
import platform
import time
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from experiments.costs.calibrate import Measurement
from experiments.costs.cores import usable_cores
from experiments.costs.gpu_share import gpus_here
from experiments.results.provenance import code_hash
from ottt.files import write_atomic
from ottt.user_cache import cache_folder

LONGEST_S = 30 * 86400.0  # how long a measurement holds


class KnownSpeeds:
    """Measurements by kind of trial, for this code, torch and machine."""

    def __init__(self) -> None:
        cache = cache_folder()
        self._folder: Path | None = None if cache is None else cache / "speed"
        self._here = repr((code_hash(), version("torch"), platform.node(), usable_cores(), gpus_here()))

    def get(self, kind: str) -> Measurement | None:
        """The measurement of a kind, see `experiments.costs.estimate.kind_of`; None if there is none to go by."""
        if self._folder is None:
            return None
        try:
            path = self._file(kind)
            is_old = time.time() - path.stat().st_mtime > LONGEST_S
            return None if is_old else Measurement(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # it is not there, or damaged
            return None

    def keep(self, kind: str, measurement: Measurement) -> None:
        """Remember a measurement, if there is a place for it."""
        if self._folder is not None:
            with suppress(OSError):
                self._folder.mkdir(exist_ok=True)
                write_atomic(self._file(kind), json.dumps(asdict(measurement)))

    def _file(self, kind: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.sha256(f'{self._here} {kind}'.encode()).hexdigest()[:32]}.json"
