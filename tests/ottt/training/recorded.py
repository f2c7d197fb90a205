"""A graph as CUDA's on the CPU: operations recorded once, with the memory that they read and write, and repeated there.

What Python does between operations happens once, when they are recorded; a number that it passes stays what it was
then. A value that it reads breaks the recording. So what would be wrong in a captured batch is wrong here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READ = "aten._local_scalar_dense.default"
SILENT_WRITES = ("running_mean", "running_var")  # arguments that batch normalisation writes and does not say so


class Recording(TorchDispatchMode):
    """Keeps the operations, and the content that tensors from before had."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self._made: set[int] = set()  # storages of the recording itself
        self._before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if str(function) == READ:
            raise RuntimeError("operation not permitted when stream is capturing")
        for value in self._written(function, args, kwargs):
            key = value.untyped_storage().data_ptr()
            if key not in self._made and key not in self._before:
                whole = torch.empty(0, dtype=torch.uint8).set_(value.untyped_storage())
                self._before[key] = whole, whole.clone()
        result = function(*args, **kwargs)
        read = {one.untyped_storage().data_ptr() for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        fresh = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        self._made |= {one.untyped_storage().data_ptr() for one in fresh} - read
        self.operations.append((function, args, kwargs, result))
        return result

    @staticmethod
    def _written(function: Any, args: Any, kwargs: Any) -> list[Tensor]:
        named = {one.name: value for one, value in zip(function._schema.arguments, args, strict=False)} | kwargs
        writes = [one.name for one in function._schema.arguments if one.alias_info and one.alias_info.is_write]
        values = [named.get(name) for name in (*writes, *SILENT_WRITES)]
        return [one for one in tree_leaves(values) if isinstance(one, Tensor)]

    def undo(self) -> None:
        """Give tensors from before the content that they had."""
        for whole, content in self._before.values():
            whole.copy_(content)

    @torch.no_grad()
    def repeat(self) -> None:
        """Do it all again, in the same memory."""
        for function, args, kwargs, before in self.operations:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(before), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """See `ottt.training.batch_graph.Recorder`. It counts replays."""

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator]) -> None:
        assert device.type == "cpu"
        self._generators = generators
        self.warm, self.recorded, self.replays = 0, 0, 0

    def warm_up(self, work: Callable[[], None]) -> None:
        self.warm += 1
        work()

    def rehearse(self, work: Callable[[], None]) -> str | None:
        self.warm_up(work)
        return None

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        recording, states = Recording(), [one.get_state() for one in self._generators]
        try:
            with recording:
                work()
        finally:
            recording.undo()
            for one, state in zip(self._generators, states, strict=True):
                one.set_state(state)
        self.recorded += 1
        self._recording: Recording | None = recording
        return self._repeat

    def _repeat(self) -> None:
        assert self._recording is not None, "released"
        self.replays += 1
        self._recording.repeat()

    def release(self) -> None:
        self._recording = None


class Reads(TorchDispatchMode):
    """Counts the values that the host reads."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += str(function) == READ
        return function(*args, **(kwargs or {}))


class Watching(Recorder):
    """One that sees before it records that the host reads a value."""

    def rehearse(self, work: Callable[[], None]) -> str | None:
        with Reads() as reads:
            self.warm_up(work)
        return f"{reads.count} reads" if reads.count else None


class NoRecorder(Recorder):
    """Of a device on which no work can be recorded."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("no graphs here")
