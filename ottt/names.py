"""Names that settings accept: the built-in networks, update rules and data sets, and those that plugins add."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ottt.data.info import DATASETS
from ottt.plugins import load_installed


@dataclass(frozen=True)
class RuleTraits:
    """Properties of an update rule that decide which settings apply to it.

    Attributes:
        online: whether it can update the weights in every time step.
        reads_k: whether it reads the setting `rule.k`.
        reads_trace: whether it has traces, which decay by `neuron.trace_decay`.
    """

    online: bool = False
    reads_k: bool = False
    reads_trace: bool = False


RULES: dict[str, RuleTraits] = {
    "ottt": RuleTraits(online=True, reads_trace=True),
    "sltt": RuleTraits(online=True),
    "ndot": RuleTraits(online=True, reads_trace=True),
    "sltt_k": RuleTraits(reads_k=True),
    "bptt": RuleTraits(),
    "tbptt": RuleTraits(reads_k=True),
}
MODELS: list[str] = [
    "small",
    "vgg11",
    "vgg11_bn",
    "vgg11_ws",
    "vgg11f_ws",
    "nfresnet18",
    "nfresnet34",
    "nfresnet50",
    "nfresnet101",
    "nfresnet152",
    "nfresnext50_32x4d",
    "nfresnext101_32x8d",
    "nfwide_resnet50_2",
    "nfwide_resnet101_2",
    "r400",
]


def _one_of(names: Collection[str]) -> Callable[[str], str]:
    """A check that a name is one of `names`; an unknown name loads the installed plugins first."""

    def check(name: str) -> str:
        if name not in names:
            load_installed()
        if name not in names:
            raise PydanticCustomError("literal_error", "must be one of {expected}", {"expected": ", ".join(names)})
        return name

    return check


def _schema(names: Collection[str]) -> dict[str, Any]:
    """JSON schema that suggests the known names and accepts others."""
    return {"anyOf": [{"enum": list(names)}, {"type": "string"}]}


SurrogateName = Literal[
    "sigmoid", "atan", "triangle", "rectangle", "gaussian", "fast_sigmoid", "piecewise_leaky", "quasi_clamp"
]
ModelName = Annotated[str, AfterValidator(_one_of(MODELS)), WithJsonSchema(_schema(MODELS))]
DataName = Annotated[str, AfterValidator(_one_of(DATASETS)), WithJsonSchema(_schema(DATASETS))]
RuleName = Annotated[str, AfterValidator(_one_of(RULES)), WithJsonSchema(_schema(RULES))]
