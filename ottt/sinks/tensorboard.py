"""Epochs for TensorBoard: an event file per trial, in a folder with the trial's name.

Written with the modules of the package tensorboard with which torch's own `SummaryWriter` writes: they import in 0.2 s
and need no torch, which tensorboardX imports where it is installed.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName
from tensorboard.plugins.hparams.api_pb2 import Status as SessionStatus
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from ottt.schema import SETTLED, Status
from ottt.sinks.sink import SinkTrial

COMPARED = (
    "val/top1",
    "test/top1",
    "train/loss",
    "rate/total",
)  # columns of the page HPARAMS, after the sweep's metric
DURATION = "time/epoch_s"

_FORMAT = "brain.Event:2"
_UNSAFE = re.compile(r"[^\w=.+, -]")  # in the name of a folder
_LONGEST_NAME = 120  # characters


class TensorBoardSink:
    """The event file of one trial.

    The same epochs give the same bytes, so that opening it again and logging the epochs from the first on changes
    nothing but what is different: no point is there twice, whatever an interrupted process left. An event's time is
    when the trial began, plus the durations of its epochs.
    """

    def __init__(self, trial: SinkTrial) -> None:
        self._trial = trial
        self._time = trial.started
        self._file = _Repeated(_place(trial))
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=self._time, file_version=_FORMAT))
        self._add_hparams(hparams.EXPERIMENT_TAG, HParamsPluginData(experiment=_experiment(trial)))
        start = SessionStartInfo(group_name=trial.trial, start_time_secs=trial.started)
        for key, value in _hparams(trial).items():
            _, field = _kind(value)
            setattr(start.hparams[key], field, value if field != "string_value" else str(value))
        self._add_hparams(hparams.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `ottt.sinks.sink.Sink`."""
        self._time += metrics.get(DURATION, 0.0)
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._write(Event(wall_time=self._time, step=epoch, summary=Summary(value=values)))

    def close(self, status: Status) -> None:
        """See `ottt.sinks.sink.TrialSink`."""
        if status is not Status.INTERRUPTED:
            is_result = SessionStatus.STATUS_SUCCESS if status in SETTLED else SessionStatus.STATUS_FAILURE
            end = SessionEndInfo(status=is_result, end_time_secs=self._time)
            self._add_hparams(hparams.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))
        self._records.close()

    def _add_hparams(self, tag: str, data: HParamsPluginData) -> None:
        value = Summary.Value(tag=tag, metadata=hparams.create_summary_metadata(data))
        self._write(Event(wall_time=self._time, summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString(deterministic=True))


class _Repeated:
    """A file that is written again from its start: what is there stays, up to the first difference."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("r+b")
        self._is_same = True

    def write(self, data: bytes) -> None:
        if self._is_same:
            position = self._file.tell()
            if self._file.read(len(data)) == data:
                return
            self._is_same = False
            self._file.seek(position)
            self._file.truncate()
        self._file.write(data)
        self._file.flush()

    def close(self) -> None:
        if self._is_same:  # there can be more, of an attempt that got further
            self._file.truncate(self._file.tell())
        self._file.close()


def _place(trial: SinkTrial) -> Path:
    """The file of this attempt at the trial; those of others, or under a name that the trial had, are removed."""
    folder = _folder(trial)
    path = folder / f"events.out.tfevents.{int(trial.started)}.{trial.trial}"
    folder.mkdir(parents=True, exist_ok=True)
    for other in trial.folder.glob(f"*/events.out.tfevents.*.{trial.trial}"):
        if other.name == path.name and other.parent != folder:
            other.replace(path)
        elif other != path:
            other.unlink()
        if other.parent != folder and not any(other.parent.iterdir()):
            other.parent.rmdir()
    return path


def _folder(trial: SinkTrial) -> Path:
    """The folder with the trial's name; with a part of its hash, if another trial has it, or the name is none."""
    name = _UNSAFE.sub("_", trial.name)[:_LONGEST_NAME].strip(" .")
    folder = trial.folder / name
    if name == trial.name and all(file.name.endswith(f".{trial.trial}") for file in folder.glob("*tfevents*")):
        return folder
    return trial.folder / f"{name} {trial.trial[:8]}"


def _experiment(trial: SinkTrial) -> Experiment:
    metrics = dict.fromkeys((trial.metric, *COMPARED))
    return Experiment(
        hparam_infos=[HParamInfo(name=key, type=_kind(value)[0]) for key, value in _hparams(trial).items()],
        metric_infos=[MetricInfo(name=MetricName(tag=name)) for name in metrics],
    )


def _hparams(trial: SinkTrial) -> dict[str, Any]:
    return {**trial.settings, "seed": trial.seed}


def _kind(value: object) -> tuple[int, str]:
    """Type of a hyperparameter, and the field of a protobuf value that holds it."""
    if isinstance(value, bool):
        return DataType.DATA_TYPE_BOOL, "bool_value"
    if isinstance(value, int | float):
        return DataType.DATA_TYPE_FLOAT64, "number_value"
    return DataType.DATA_TYPE_STRING, "string_value"
