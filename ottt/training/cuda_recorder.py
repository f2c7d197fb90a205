"""Graphs of CUDA: work that was recorded once is launched as a whole.

See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs. The interface is the one of torch 2.11 to 2.15.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import torch


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

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the work without doing it, and return what does it.

        Raises:
            RuntimeError: it cannot be recorded, e.g. since the host reads a value; no tensor and no generator has
                changed.
        """
        graph = torch.cuda.CUDAGraph()
        generators = (*self._generators, self._global_generator())
        before = [one.clone_state() for one in generators]
        for one in self._generators:
            graph.register_generator_state(one)
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # what the graph keeps is its own: let it have the memory
        try:
            self._record(graph, work)
        except BaseException:
            # Up to torch 2.11 at least, a generator stays in the state of an unfinished capture and refuses to draw.
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

    def _record(self, graph: torch.cuda.CUDAGraph, work: Callable[[], None]) -> None:
        # `torch.cuda.graph` would raise the error of the end of a broken capture instead of the one that broke it, and
        # before torch 2.15 leave its stream the current one. Other threads, which load data, may use the device.
        with torch.cuda.stream(self._side_stream()):
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                work()
            except BaseException:
                with suppress(RuntimeError):
                    graph.capture_end()
                raise
            graph.capture_end()

    def _side_stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        return self._stream

    def _global_generator(self) -> torch.Generator:
        index = torch.cuda.current_device() if self._device.index is None else self._device.index
        generator: torch.Generator = torch.cuda.default_generators[index]
        return generator
