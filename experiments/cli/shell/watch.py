"""`ottt sweep status --watch`: a sweep's status while it runs."""

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from experiments.planning.status import SweepStatus
from ottt.schema import Status

PERIOD_S = 2.0  # between two looks at the records


def show_until_the_end(read: Callable[[], SweepStatus]) -> None:
    """Show the status that `read` gives on standard output, again and again until the sweep does not run."""
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal:
        _redraw(read, console)
    else:
        _print_changes(read)


def _redraw(read: Callable[[], SweepStatus], console: Console) -> None:
    """One picture, whose last state stays. The line of the whole sweep is on top: a low window cuts the bottom."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            status = read()
            table = Text(status.text().rpartition("\n\n")[0], no_wrap=True, overflow="ellipsis")
            live.update(Group(Text(f"{_line(status)}\n"), table), refresh=True)
            if not status.running:
                return
            time.sleep(PERIOD_S)


def _print_changes(read: Callable[[], SweepStatus]) -> None:
    last = None
    while True:
        status = read()
        if (line := _line(status)) != last:
            print(line, flush=True)
            last = line
        if not status.running:
            return
        time.sleep(PERIOD_S)


def _line(status: SweepStatus) -> str:
    """How many trials are done, run and failed, and that the sweep does not run if so."""
    running = sum(one is Status.RUNNING for one in status.statuses.values())
    parts = [f"{running} running"] if status.running else ["the sweep is not running"]
    return ", ".join([status.summary, *parts, *([f"{status.failed} failed"] if status.failed else [])])
