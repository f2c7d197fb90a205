"""The page's table of the columns of runs, against the frame itself."""

import re

import pandas as pd
import pytest

from analysis import load
from analysis.dtypes import column
from ottt.config import TrialConfig
from ottt.schema import METRICS, metric, rate_of_layer, top1_at
from tests.analysis.synthetic import SyntheticSweep, write
from tests.docs.markdown import ROOT

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[str, str]]:
    """Dtype and unit of each column that docs/tables.md names."""
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    table = text.partition("### Columns of the runs")[2].partition("\n\n")[2].partition("| :--- |")[2]
    found = {}
    for line in re.findall(r"^\| (`.*) \|$", table, re.MULTILINE):
        names, dtype, unit, _ = (cell.strip() for cell in line.split("|"))
        found |= dict.fromkeys(re.findall(r"`(.+?)`", names), (dtype, unit))
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("results")
    write(SyntheticSweep("demo", {"rule.update": ["accumulate"], "neuron.tau": [1.25, 2.0]}, seeds=2, epochs=2), folder)
    return load.runs("demo", store=f"sqlite:///{folder / 'mlflow.db'}")


def test_the_columns_of_every_run_are_listed_with_their_dtypes(
    documented: dict[str, tuple[str, str]], runs: pd.DataFrame
) -> None:
    listed = [name for name in documented if "/" not in name]
    assert tuple(listed) == load.COLUMNS
    kinds = {name: documented[name][0] for name in listed if name != "reason"}  # nothing failed: all None
    assert {name: _kind(runs[name]) for name in kinds} == kinds
    assert str(runs["started"].dt.tz) == documented["started"][1]


def test_metrics_are_listed_with_their_units(documented: dict[str, tuple[str, str]], runs: pd.DataFrame) -> None:
    patterns = {"rate/layer_NN": rate_of_layer(0), "test/top1_at_NN": top1_at(2)}
    listed = {patterns.get(name, name): kind for name, kind in documented.items() if "/" in name}
    assert set(listed) == {*METRICS, *patterns.values()}
    assert {name: unit for name, (_, unit) in listed.items()} == {name: metric(name).unit for name in listed}
    measured = [str(name) for name in runs.columns if "/" in str(name)]
    assert len(measured) > 10
    assert {_kind(runs[name]) for name in measured} == {"float64"} == {dtype for dtype, _ in listed.values()}


def test_settings_have_the_types_of_the_configuration(runs: pd.DataFrame) -> None:
    kinds = {float: "float64", int: "int64", bool: "bool", str: "str"}
    flat = TrialConfig().flat()
    settings = [str(name) for name in runs.columns if name in flat and name not in load.COLUMNS]
    assert {"neuron.tau", "T", "rule.update"} <= set(settings)
    assert {name: _kind(runs[name]) for name in settings} == {name: kinds[type(flat[name])] for name in settings}


def test_other_columns_do_not_exist(runs: pd.DataFrame) -> None:
    known = {*load.COLUMNS, *TrialConfig().flat()}
    assert [name for name in runs.columns if name not in known and "/" not in str(name)] == []


@pytest.mark.parametrize("values", [[None, "a"], [None, 1.5]])
def test_gaps_make_objects_with_none(values: list[object]) -> None:
    assert _kind(column(values)) == "object"
    assert column(values)[0] is None


def _kind(values: pd.Series) -> str:
    """The dtype without the unit and zone of times; text is str, which pandas 2 keeps as objects."""
    name = str(values.dtype).partition("[")[0]
    return "str" if name == "object" and values.map(type).eq(str).all() else name
