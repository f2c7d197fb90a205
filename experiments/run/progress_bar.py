"""Shows how far a sweep is: a live bar on a terminal or in a notebook, a plain line now and then elsewhere.

All of it goes to stderr, except in a notebook. There rich's own bar needs ipywidgets; this one needs IPython alone.
"""

import logging
import time
import warnings
from dataclasses import dataclass
from html import escape
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.text.terminal import duration
from experiments.run.state import SweepState
from experiments.tracking.redact import redactor
from experiments.tracking.shown_plan import shown_plan
from ottt.schema import Status

LINE_PERIOD_S = 10.0  # between two plain lines
PICTURE_PERIOD_S = 1.0  # between two changes of a notebook's bar
_BAR_WIDTH = 24


def console_of_python() -> Console:
    """Where a script or a notebook shows progress; in a notebook libraries do not ask for ipywidgets from here on."""
    console = Console(stderr=True)
    if console.is_jupyter:
        warnings.filterwarnings("ignore", "IProgress not found")
        logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
    return console


class ProgressDisplay:
    """Shows one sweep's progress while in its context.

    Args:
        state: state of the sweep.
        console: where to show it.
    """

    def __init__(self, state: SweepState, console: Console) -> None:
        self._state = state
        self._console = console
        self._redact = redactor()
        self._live = Live(get_renderable=self._render, console=console, transient=True)
        self._notebook = _NotebookOutput() if console.is_jupyter else None
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        total, pending = len(self._state.plan.trials), len(self._state.pending())
        self.print(f"{self._state.plan.name}: {total} trials, {total - pending} done before, {pending} to run")
        if self._notebook is not None:
            self._notebook.show(self._picture())
        elif self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._notebook is not None:
            self._notebook.show(self._picture())
        elif self._state.pending() and kind is None:
            self.print(self._line())

    def print(self, text: str) -> None:
        """Print a line, above the bar if there is one; secrets in it are replaced."""
        self._console.print(self._without_secrets(text), markup=False, highlight=False, soft_wrap=True)

    def update(self) -> None:
        """Print a line, or change the bar of a notebook, if it is time; the bar of a terminal moves by itself."""
        period = LINE_PERIOD_S if self._notebook is None else PICTURE_PERIOD_S
        if self._console.is_terminal or time.monotonic() - self._last_line < period:
            return
        self._last_line = time.monotonic()
        if self._notebook is not None:
            self._notebook.show(self._picture())
        else:
            self.print(self._line())

    def _render(self) -> RenderableType:
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=1.0, completed=self._state.share, width=_BAR_WIDTH), Text(self._counts()))
        return Group(bar, Text(self._without_secrets(self._best()), overflow="ellipsis", no_wrap=True))

    def _picture(self) -> "_Picture":
        return _Picture(self._state.share, self._without_secrets(self._line()))

    def _without_secrets(self, text: str) -> str:
        """The text as it is shown: labels as in tables, in which variants differ that only a secret tells apart."""
        redacted = self._redact(text)
        if redacted == text:
            return text
        plan = self._state.plan
        labels = {trial.label: one.label for trial, one in zip(plan.trials, shown_plan(plan).trials, strict=True)}
        for label in sorted(labels, key=len, reverse=True):
            text = text.replace(label, labels[label])
        return self._redact(text)

    def _line(self) -> str:
        return "; ".join(filter(None, [f"{self._state.plan.name}: {self._counts()}", self._best()]))

    def _counts(self) -> str:
        state = self._state
        parts = [
            f"{state.done}/{len(state.plan.trials)} done",
            f"{state.count(Status.RUNNING)} running",
            f"{state.failed} failed",
        ]
        for status in (Status.DIVERGED, Status.STOPPED_EARLY):
            if count := state.count(status):
                parts.append(f"{count} {status.replace('-', ' ')}")
        if state.seconds_left:
            parts.append(f"about {duration(state.seconds_left)} left")
        return ", ".join(parts)

    def _best(self) -> str:
        if (best := self._state.best) is None:
            return ""
        value, trial = best
        return f"best {self._state.plan.metric} {value:.4f}: {trial.label} seed={trial.seed}"


@dataclass(frozen=True)
class _Picture:
    """A bar and a line; where there is no HTML, the line alone."""

    share: float
    line: str

    def __repr__(self) -> str:
        return self.line

    def _repr_html_(self) -> str:
        return f'<progress value="{self.share:.4f}" max="1"></progress> {escape(self.line)}'


class _NotebookOutput:
    """One output of a notebook's cell, which what is shown later replaces."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, picture: _Picture) -> None:
        if self._handle is not None:
            self._handle.update(picture)
            return
        from IPython.display import display

        self._handle = display(picture, display_id=True)
