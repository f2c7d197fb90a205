"""`ottt datasets`: the list, the sheets of samples, errors."""

import json
import sys
from pathlib import Path

import cv2
import pytest

from experiments.cli import main
from ottt.data.files import FILES
from ottt.data.info import DATASETS


def ottt(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ottt", *arguments])
    return main()


def test_the_list_says_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cifar-100-python.tar.gz").touch()
    assert ottt(monkeypatch, "datasets", "--root", str(tmp_path), "--json") == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(listed) == list(DATASETS)
    assert {name: entry["there"] for name, entry in listed.items() if name != "fashion_mnist"} == {
        "cifar10": False,
        "cifar100": True,
        "imagenet": False,
        "cifar10_dvs": False,
        "dvs128_gesture": False,
        "digits": True,
        "digits_dvs": True,
        "tonic:NMNIST": False,
        "tonic:DVSGesture": False,
    }
    assert listed["imagenet"]["shape"] == [3, 224, 224]
    assert [file["from"] for file in listed["cifar10"]["files"]] == [FILES["cifar10"][0].url]
    assert ottt(monkeypatch, "datasets", "--root", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(DATASETS)
    assert f"there: {tmp_path}/cifar-100-python.tar.gz" in lines[2]
    assert f"missing: {tmp_path}/dvs128_gesture" in lines[6]
    assert "Tx2x128x128" in lines[6]


def test_a_sheet_shows_every_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.png"
    assert ottt(monkeypatch, "datasets", "show", "digits", "--out", str(out)) == 0
    assert capsys.readouterr().out == f"{out}\n"
    picture = cv2.imread(str(out))
    assert picture.shape[0] > 1000
    assert picture.shape[1] > 1000
    assert picture.std() > 30


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "cifar"], "data set must be one of cifar10, "),
        (
            ["show", "dvs128_gesture", "data.root=/nowhere"],
            "/nowhere/dvs128_gesture/DvsGesture.tar.gz: missing; get it",
        ),
        (["download", "dvs128_gesture", "--root", "/nowhere"], "cannot be fetched by a program"),
        (["show", "digits", "data.colour=1"], "data.colour is not a known key"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ottt(monkeypatch, "datasets", *arguments) == 2
    assert line in capsys.readouterr().err
