import threading
from pathlib import Path

import pytest

from experiments.results.folder import Results
from experiments.results.stop_request import StopRequest
from experiments.run import stop
from experiments.run.stop import ask_to_stop, watch_stop_request
from ottt.errors import UserError


def test_a_request_ends_the_run_it_was_made_for_and_no_other(tmp_path: Path) -> None:
    first, second = StopRequest(tmp_path / "stop", "first"), StopRequest(tmp_path / "stop", "second")
    assert not first.is_made
    first.make()
    assert first.is_made
    assert not second.is_made


def test_a_run_heeds_a_request_made_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "PERIOD_S", 0.001)
    request, soon = StopRequest(tmp_path / "stop", "run"), threading.Event()
    with watch_stop_request(request, soon):
        assert not soon.wait(0.05)
        request.make()
        assert soon.wait(60)


def test_what_a_killed_run_left_behind_is_not_for_the_next(tmp_path: Path) -> None:
    results = Results(tmp_path)
    with results.lock("s") as request:
        request.make()
        left = request.path.read_text(encoding="utf-8")
    assert not request.path.exists()
    request.path.write_text(left, encoding="utf-8")
    with results.lock("s") as second:
        assert not second.is_made


def test_what_does_not_run_cannot_be_stopped(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match=r"^the sweep must be running to be stopped, got s, which is not$"):
            ask_to_stop(results, "s", timeout_s=0, asked=lambda: None)
        with results.lock("s"):
            pass


def test_waiting_has_an_end_and_the_request_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "PERIOD_S", 0.001)
    results = Results(tmp_path)
    said: list[str] = []
    with results.lock("s") as request:
        with pytest.raises(TimeoutError, match="has not ended after 0 s"):
            ask_to_stop(results, "s", timeout_s=0, asked=lambda: said.append("asked"))
        assert (request.is_made, said) == (True, ["asked"])
