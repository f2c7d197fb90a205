"""What TensorBoard's own code reads in the folders of a sink."""

from pathlib import Path

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler

Point = tuple[str, int, float]  # metric, step, value


def points(folder: Path) -> dict[str, list[Point]]:
    """By the name of each run every point in its files, those that TensorBoard would hide included."""
    found: dict[str, list[Point]] = {}
    for file in sorted(folder.rglob("*tfevents*")):
        events = [Event.FromString(text) for text in RawEventFileLoader(str(file)).Load()]
        values = [(value.tag, event.step, value.simple_value) for event in events for value in event.summary.value]
        found.setdefault(str(file.parent.relative_to(folder)), []).extend(
            value for value in values if not value[0].startswith("_hparams_/")
        )
    return found


def scalars(folder: Path, run: str, metric: str) -> list[tuple[int, float, float]]:
    """Step, value and time as TensorBoard's page shows them."""
    events = EventAccumulator(str(folder / run))
    events.Reload()
    return [(point.step, point.value, point.wall_time) for point in events.Scalars(metric)]


def sessions(folder: Path) -> list[tuple[dict[str, object], dict[str, float], str]]:
    """Hyperparameters, last metrics and status of each run, as the page HPARAMS lists them."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(folder))))
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100, allowed_statuses=[0, 1, 2, 3])
    groups = Handler(RequestContext(), context, "", request).run().session_groups
    return [
        (
            {key: getattr(value, str(value.WhichOneof("kind"))) for key, value in sorted(group.hparams.items())},
            {metric.name.tag: metric.value for metric in group.metric_values},
            api_pb2.Status.Name(group.sessions[0].status).removeprefix("STATUS_").lower(),
        )
        for group in groups
    ]
