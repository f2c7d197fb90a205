from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from experiments.spec import SweepSpec
from ottt.errors import UserError
from ottt.yamlfile import read_yaml

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
            SweepSpec.from_document(read_yaml(path), folder=path.parent, overrides=overrides)
        return [line.removeprefix(f"{path.parent}/") for line in caught.value.problems]

    return check
