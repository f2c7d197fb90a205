"""What is kept of a trial, and how the texts of its files are checked: no value is taken from a damaged one."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.results.sealed import check_seal, seal, unseal
from ottt.errors import UserError
from ottt.evalreport import EvalReport
from ottt.schema import ENDED, SCHEMA_VERSION, SETTLED, Status

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Record:
    """Everything recorded about a trial except its metrics.

    Attributes:
        trial: hash of the trial's configuration.
        config: every setting by its dotted key.
        sweep: sweep that ran the trial last.
        status: status of the trial.
        reason: why it failed, in one line.
        started, ended: seconds since 1970.
        commit, dirty, diff, code, versions, host: code and machine that ran the sweep, see
            `experiments.results.provenance`.
        device: device that trained the trial.
        data_digest: hash of the data set and its split.
        fused: most trials, itself included, that trained as one network with it at once; 1: it trained alone.
        group: name of the group with which it trained as one network in its last attempt; "": it trained alone.
        schema: version of the trial's files.
        epochs: number of recorded epochs of a trial that has ended.
        has_evaluation: whether its evaluation on test data was stored when it ended.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    trial: str
    config: Mapping[str, Any]
    sweep: str
    status: Status = Status.RUNNING
    reason: str | None = None
    started: float = field(default_factory=time.time)
    ended: float | None = None
    commit: str | None = None
    dirty: bool = False
    diff: str | None = None
    code: str | None = None
    versions: str = ""
    host: str = ""
    device: str | None = None
    data_digest: str | None = None
    fused: int = 1
    group: str | None = None
    schema: int = SCHEMA_VERSION
    epochs: int | None = None
    has_evaluation: bool | None = None

    @property
    def settled(self) -> bool:
        """Whether the trial has its result and need not run again."""
        return self.status in SETTLED

    def to_text(self) -> str:
        """Content of `record.json`."""
        return seal(json.dumps(asdict(self), indent=1)) + "\n"


@dataclass(frozen=True)
class Epoch:
    """Metrics by name after `epoch` completed epochs; `time` in seconds since 1970."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    epoch: int
    time: float
    metrics: Mapping[str, float]

    def to_line(self) -> str:
        """Its line in `metrics.jsonl`."""
        return seal(json.dumps(asdict(self))) + "\n"


class NewerRecord(UserError):
    """A later version of this software wrote the record: it is neither read nor replaced."""


def parse_record(text: bytes, trial: str) -> Record:
    """The record in the text of `record.json`.

    Raises:
        NewerRecord: a later version wrote it.
        ValueError: the text is damaged, or not of `trial`; the message is the rest of a line about the file.
    """
    values = unseal(text)
    schema = values.get("schema", 1)
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise NewerRecord(
            f"must be of version {SCHEMA_VERSION} at most, got {schema}: a later OTTT Lab wrote it, use that one"
        )
    record: Record = _checked(_records(), {"schema": 1, "status": None} | values)
    if record.trial != trial:
        raise ValueError(f"must be of trial {trial}, got one of {record.trial[:40]!r}")
    return record


def epoch_lines(text: bytes, record: Record) -> list[bytes]:
    """The lines of `metrics.jsonl`, checked, without a last one that a crash cut short.

    Args:
        text: content of the file.
        record: the trial's record: of a trial that has ended nothing may be missing.

    Raises:
        ValueError: the text is damaged; the message is the rest of a line about the file.
    """
    whole, _, rest = text.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    for number, line in enumerate(lines, start=1):
        try:
            is_whole = check_seal(line) and line.startswith(b'{"epoch": %d,' % number)
            epoch = number if is_whole else parse_epoch(line).epoch
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from None
        if epoch != number:
            raise ValueError(f"line {number} must be of epoch {number}, got {epoch}")
    if record.status in ENDED:
        _check_complete(len(lines), rest, record)
    return lines


def parse_epoch(line: bytes) -> Epoch:
    """The epoch in a line of `metrics.jsonl`.

    Raises:
        ValueError: the line is damaged; the message is the rest of a line about it.
    """
    epoch: Epoch = _checked(_epochs(), unseal(line))
    return epoch


def check_evaluation(text: bytes) -> None:
    """Check the content of `evaluation.json`.

    Raises:
        ValueError: it is damaged; the message is the rest of a line about the file.
    """
    if not check_seal(text):
        parse_evaluation(text)


def parse_evaluation(text: bytes) -> EvalReport:
    """The evaluation in the content of `evaluation.json`.

    Raises:
        ValueError: it is damaged; the message is the rest of a line about the file.
    """
    values = unseal(text)
    try:
        return EvalReport.from_json(json.dumps(values))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError("is no evaluation: a key is missing, or its value is of another kind") from None


def _check_complete(count: int, rest: bytes, record: Record) -> None:
    if rest:
        raise ValueError(f"ends with {len(rest)} bytes that are no line")
    expected = record.epochs
    if expected is None and record.status is Status.FINISHED:
        expected = record.config.get("epochs")
    if expected is not None and count != expected:
        raise ValueError(f"must have the {expected} epochs of the trial, has {count}")


def _checked(kind: "TypeAdapter[Any]", values: Mapping[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return kind.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"is not as it was written: {place}: {first['msg']}") from None


@cache
def _records() -> "TypeAdapter[Record]":
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


@cache
def _epochs() -> "TypeAdapter[Epoch]":
    from pydantic import TypeAdapter

    return TypeAdapter(Epoch)
