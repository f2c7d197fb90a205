"""`collection_paused`: nothing is collected inside, objects made inside never are."""

import gc
from collections.abc import Iterator

import pytest

from experiments.garbage_collection import collection_paused


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_objects_made_inside_are_never_collected() -> None:
    before = gc.get_freeze_count()
    with collection_paused():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_an_error_inside_enables_collection_again() -> None:
    with pytest.raises(ImportError), collection_paused():
        raise ImportError
    assert gc.isenabled()
