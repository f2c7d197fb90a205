import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

from experiments.planning.plan import SweepPlan
from experiments.sweep_spec.read import parse_spec
from experiments.tracking.sweep_runs import SweepRuns
from ottt.config.yaml_reader import read_yaml
from ottt.errors import UserError
from tests.experiments import mlflow_sweeps

settings.register_profile("unhurried", deadline=None, max_examples=50)  # machines differ, what holds does not
settings.load_profile("unhurried")


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the text of a spec to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "spec.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def problems(write_spec: Callable[[str], Path]) -> Callable[..., list[str]]:
    """What is wrong with a spec, one line per problem, without the folder."""

    def check(text: str, *overrides: str) -> list[str]:
        path = write_spec(text)
        with pytest.raises(UserError) as caught:
            parse_spec(read_yaml(path), folder=path.parent, overrides=overrides)
        return [line.removeprefix(f"{path.parent}/") for line in caught.value.problems]

    return check


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")  # of MLflow's own queries
        mlflow_sweeps.sweep_runs(mlflow_sweeps.plan([2.0]), folder).connect()
    return folder / "mlflow.db"


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path) -> Path:
    with closing(sqlite3.connect(empty_store)) as source, closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy:
        source.backup(copy)
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> mlflow_sweeps.Opened:
    """The runs of a sweep as a new process would open them."""

    def open_again(planned: SweepPlan) -> SweepRuns:
        made = mlflow_sweeps.sweep_runs(planned, folder)
        made.connect()
        made.open()
        return made

    return open_again
