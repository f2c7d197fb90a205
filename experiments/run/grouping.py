"""Which trials train as one network, `resources.fuse`, and how many: as many as leave no worker idle."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from experiments.run.queue import ALONE, Task
from experiments.sweep_spec.run_settings import Fuse, Share
from ottt.config.fusable import fixed_settings, refusal
from ottt.config.trial import TrialConfig

AUTO = 8  # trials in a group at most where `fuse` is auto; each takes as much memory as one alone


def group_size(most: int, *, trials: int, workers: int) -> int:
    """Trials in a group: at most `most`, and so few that no worker is idle while another has several.

    Groups are as equal as they can be: 9 trials for 2 workers are 3 groups of 3 where `most` is 4, not 4, 4 and 1.

    Args:
        most: bound of a group.
        trials: number of trials that wait.
        workers: number of trials, or groups, that train beside each other.
    """
    rounds = -(-trials // (most * workers))  # in each of which every worker trains a group
    return max(1, -(-trials // (max(1, rounds) * workers)))


@dataclass
class Grouping:
    """Forms groups of a sweep's trials. The same trials in the same order, for as many workers, give the same groups.

    A trial that was under way goes on with those that are left of its group, or alone if it was alone: which trials
    train together decides how sums are rounded.

    Attributes:
        fuse: number of trials of a group at most; auto: AUTO on a GPU, and one by one elsewhere.
        workers: how many trials with a share train beside each other.
        say: shows a line to the user.
    """

    fuse: Fuse
    workers: Callable[[Share], int]
    say: Callable[[str], None]
    _sizes: dict[Share, int] = field(default_factory=dict)
    _apart: set[Hashable] = field(default_factory=set)  # kinds of trials that did not train as one network
    _kinds: dict[str, Hashable | None] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def bound(self, share: Share) -> int:
        """Most trials of a group with this share; 1: none is fused."""
        if self.fuse == "auto":
            return AUTO if 0 < share.gpu <= 1 else 1
        return self.fuse

    def arranged(self, waiting: Sequence[Task]) -> list[Task]:
        """Trials that have not begun, or go on, in their order; those of a group beside each other, after its first.

        How large groups are is chosen here, by the number of those that wait.
        """
        shares = [task.share for task in waiting if task.group is None]
        for share in dict.fromkeys(shares):
            if (most := self.bound(share)) > 1:
                workers = max(1, self.workers(share))
                self._sizes[share] = group_size(most, trials=shares.count(share), workers=workers)
        alike: dict[Hashable, deque[Task]] = {}
        for task in waiting:
            alike.setdefault(self._place(task), deque()).append(task)
        arranged: dict[str, Task] = {}
        for task in waiting:
            if task.trial not in arranged:
                others = alike[self._place(task)]
                group = [others.popleft() for _ in range(min(self.size(task), len(others)))]
                arranged |= {one.trial: one for one in group}
        return list(arranged.values())

    def size(self, task: Task) -> int:
        """How many trials, this one included, train as one network with it."""
        size = self._sizes.get(task.share, 1) if task.group is None else self.bound(task.share)
        return size if size > 1 and self._kind(task) is not None else 1

    def fits(self, first: Task, other: Task) -> bool:
        """Whether the other trial can train as one network with the first, whose size is more than one."""
        return self._place(first) == self._place(other)

    def keep_apart(self, config: TrialConfig) -> None:
        """Trials like this one did not train as one network, or no faster: no others are to try."""
        self._apart.add(fixed_settings(config))

    def _place(self, task: Task) -> Hashable:
        """Equal for trials that can be in one group."""
        if self.size(task) == 1:
            return task.trial
        return task.share, task.until, task.group, self._kind(task)

    def _kind(self, task: Task) -> Hashable | None:
        """Equal for trials that can train as one network; None: it trains alone."""
        if task.trial not in self._kinds:
            problems = refusal(task.config)
            self._kinds[task.trial] = None if problems or self._varies(task) else fixed_settings(task.config)
            if self.fuse != "auto":
                self._note(problems)
        kind = self._kinds[task.trial]
        return None if task.group == ALONE or kind in self._apart else kind

    def _varies(self, task: Task) -> bool:
        """Whether it would be chance what the trial's last digits are, though it is to be the same in every run."""
        return self.fuse == "auto" and task.config.deterministic

    def _note(self, problems: Iterable[str]) -> None:
        for problem in problems:
            if problem not in self._said:
                self._said.add(problem)
                self.say(f"note: resources.fuse: some trials train alone: {problem}")
