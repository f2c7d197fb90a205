"""How a sweep stands, from its plan and the trial records: light, and readable from any shell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.plan import done_statuses, is_own
from experiments.records import TrialRecords
from ottt.schema import Status

_FAILED = (Status.FAILED, Status.OUT_OF_MEMORY)


@dataclass(frozen=True)
class Overview:
    """A sweep's trials and how each of them stands.

    Attributes:
        plan: what the plan artifact holds.
        statuses: by trial; trials without a record are absent.
    """

    plan: Mapping[str, Any]
    statuses: Mapping[str, Status]

    @classmethod
    def of(cls, plan: Mapping[str, Any], records: TrialRecords, *, running: bool) -> "Overview":
        """The sweep of `plan` as recorded; nothing runs unless its driver is `running`."""
        statuses = {}
        for trial in plan["trials"]:
            record = records.read(trial["trial"])
            if record is not None and is_own(record, plan["name"]):
                left = record.status is Status.RUNNING and not running
                statuses[trial["trial"]] = Status.INTERRUPTED if left else record.status
        return cls(plan, statuses)

    @property
    def done(self) -> int:
        """Trials that have their result."""
        return sum(status in self._done for status in self.statuses.values())

    @property
    def failed(self) -> int:
        """Trials that ended without one."""
        return sum(status in _FAILED for status in self.statuses.values())

    @property
    def _done(self) -> frozenset[Status]:
        return done_statuses(stops_early=self.plan.get("stops_early", False))

    def to_json(self) -> dict[str, Any]:
        """The plan with the status of every trial ("missing" where it has no record)."""
        trials = [trial | {"status": self.statuses.get(trial["trial"], "missing")} for trial in self.plan["trials"]]
        return {**self.plan, "trials": trials, "done": self.done}

    def text(self) -> str:
        """A line per variant, and one in all."""
        axes = self.plan["axes"]
        variants: dict[str, list[Mapping[str, Any]]] = {}
        for trial in self.plan["trials"]:
            variants.setdefault(trial["variant"], []).append(trial)
        rows = [[*axes, "done", "running", "failed", "diverged", "stopped", "to run"]]
        for trials in variants.values():
            settings = [str(trials[0]["settings"][key]) for key in axes]
            rows.append([*settings, *self._counts([trial["trial"] for trial in trials])])
        total = len(self.plan["trials"])
        return f"{aligned(rows)}\n\n{self.plan['name']}: {self.done} of {total} trials done"

    def _counts(self, trials: Sequence[str]) -> list[str]:
        count = Counter(self.statuses.get(trial) for trial in trials)
        done = sum(count[status] for status in self._done)
        failed = sum(count[status] for status in _FAILED)
        running = count[Status.RUNNING]
        left = len(trials) - done - running
        columns = (running, failed, count[Status.DIVERGED], count[Status.STOPPED_EARLY], left)
        return [f"{done}/{len(trials)}", *map(str, columns)]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
