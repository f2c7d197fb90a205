"""Showing how far a sweep is: a live bar on a terminal, a plain line now and then elsewhere; always on stderr."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.planning.plan import Trial
from experiments.run.progress import Progress
from ottt.schema import Status

LINE_PERIOD_S = 10.0  # between two plain lines
_BAR_WIDTH = 24


class Display:
    """Shows one sweep's progress while in its context."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._live = Live(get_renderable=self._render, console=console, transient=True)
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        total, fresh = len(self._progress.plan.trials), len(self._progress.fresh)
        self.say(f"{self._progress.plan.name}: {total} trials, {total - fresh} done before, {fresh} to run")
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._progress.fresh and kind is None:
            self.say(self._line())

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self) -> None:
        """The progress has changed."""
        due = time.monotonic() - self._last_line >= LINE_PERIOD_S
        if due and not self._console.is_terminal:
            self._last_line = time.monotonic()
            self.say(self._line())

    def failed(self, trial: Trial, reason: str) -> None:
        """Say why a trial has no result."""
        self.say(f"failed: {trial.label} seed={trial.seed}: {reason}")

    def lost(self, trial: Trial, reason: str, wait: float) -> None:
        """Say that a trial will be tried again after `wait` seconds."""
        when = f"in {wait:.0f} s" if wait else "now"
        self.say(f"lost: {trial.label} seed={trial.seed}: {reason}; again {when}, from its last checkpoint")

    def warn(self, trial: Trial, warning: str) -> None:
        """Say what went wrong with a trial that goes on."""
        self.say(f"warning: {trial.label} seed={trial.seed}: {warning}")

    def _render(self) -> RenderableType:
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=1.0, completed=self._progress.share, width=_BAR_WIDTH), Text(self._counts()))
        return Group(bar, Text(self._best(), overflow="ellipsis", no_wrap=True))

    def _line(self) -> str:
        return "; ".join(filter(None, [f"{self._progress.plan.name}: {self._counts()}", self._best()]))

    def _counts(self) -> str:
        progress = self._progress
        parts = [
            f"{progress.done}/{len(progress.plan.trials)} done",
            f"{progress.count(Status.RUNNING)} running",
            f"{progress.failed} failed",
        ]
        for status in (Status.DIVERGED, Status.STOPPED_EARLY):
            if count := progress.count(status):
                parts.append(f"{count} {status.replace('-', ' ')}")
        if progress.seconds_left:
            parts.append(f"about {duration(progress.seconds_left)} left")
        return ", ".join(parts)

    def _best(self) -> str:
        if self._progress.best is None:
            return ""
        value, trial = self._progress.best
        return f"best {self._progress.plan.metric} {value:.4f}: {trial.label} seed={trial.seed}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
