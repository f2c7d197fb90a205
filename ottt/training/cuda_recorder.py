"""Graphs of CUDA: work that was recorded once is launched as a whole.

See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs. The interface is the one of torch 2.11 to 2.15.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

_WAITS = "called a synchronizing CUDA operation"  # torch's warning in its debug mode, and of the mode itself:
_MODE = "Synchronization debug mode is a prototype"

_broken: list[torch.cuda.CUDAGraph] = []  # kept: torch's allocator can hold pointers to them


class CudaRecorder:
    """Records work on a CUDA device.

    Args:
        device: the device.
        generators: generators on it that the work draws from, besides torch's global one. A replay draws what the work
            would draw.
    """

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator]) -> None:
        self._device = device
        self._generators = tuple(generators)
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def warm_up(self, work: Callable[[], None]) -> None:
        """Do the work where it will be recorded, so that libraries have what they allocate once."""
        side, current = self._side_stream(), torch.cuda.current_stream(self._device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            work()
        current.wait_stream(side)

    def rehearse(self, work: Callable[[], None]) -> str | None:
        """The same once more; returns why the work cannot be recorded, if it shows: the host waits for the device."""
        with _waits() as places:
            self.warm_up(work)
        return f"the host waits for the device in {places[0]}" if places else None

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the work without doing it, and return what does it.

        Raises:
            RuntimeError: it cannot be recorded; no tensor and no generator has changed.
        """
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        generators = (*self._generators, torch.cuda.default_generators[self._index()])
        before = [one.clone_state() for one in generators]
        for one in self._generators:
            graph.register_generator_state(one)
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # what the graph keeps is its own: let it have the memory
        try:
            self._record(graph, pool, work)
        except BaseException:
            self._unwind(graph, pool)
            # A generator can stay in the state of the unfinished capture, in which it refuses to draw.
            for one, state in zip(generators, before, strict=True):
                one.graphsafe_set_state(state)
            raise
        self._graph = graph
        return graph.replay

    def release(self) -> None:
        """Give back the memory of what was recorded, which cannot be replayed any more."""
        if self._graph is not None:
            self._graph.reset()
            self._graph = None

    def _record(self, graph: torch.cuda.CUDAGraph, pool: Any, work: Callable[[], None]) -> None:
        # `torch.cuda.graph` would raise the error of the end of a broken capture instead of the one that broke it, and
        # in earlier versions leave its stream the current one. Other threads, which load data, may use the device.
        with torch.cuda.stream(self._side_stream()):
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                work()
            except BaseException:
                with suppress(RuntimeError):
                    graph.capture_end()
                raise
            graph.capture_end()

    def _unwind(self, graph: torch.cuda.CUDAGraph, pool: Any) -> None:
        """Let torch forget a capture that broke.

        Up to torch 2.11 the allocator takes it for a capture that goes on, and from then on refuses to free memory
        (https://github.com/pytorch/pytorch/pull/180395). The only use of torch's private interfaces; later versions
        answer that there is no such capture.
        """
        graph.reset()
        _broken.append(graph)
        with suppress(AttributeError, RuntimeError):
            torch._C._cuda_endAllocateToPool(self._index(), pool)

    def _side_stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        return self._stream

    def _index(self) -> int:
        return torch.cuda.current_device() if self._device.index is None else self._device.index


@contextmanager
def _waits() -> Iterator[list[str]]:
    """The places in the code where the host waits for the device; they are known at the end."""
    places: list[str] = []
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for one in given:
        text = str(one.message)
        if _WAITS in text:
            places.append(f"{Path(one.filename).name}:{one.lineno}")
        elif _MODE not in text:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
