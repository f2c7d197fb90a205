"""Files and texts that are too large, too deep, or no YAML: a line that says so, at once."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ottt.config.bounded_yaml import MAX_BYTES, MAX_DEPTH, MAX_NUMBER, MAX_TEXT, MAX_VALUES
from ottt.config.load import load_config
from ottt.config.yaml_reader import parse_override, read_yaml
from ottt.errors import LONGEST_LINE, LONGEST_VALUE, UserError, brief

NINE = "x,x,x,x,x,x,x,x,x"
BOMB = f"a: &a [{NINE}]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi"))
CHAIN = "l0: &l0 [x]\n" + "".join(f"l{i}: &l{i} [*l{i - 1}]\n" for i in range(1, 3000))
SECONDS, MEMORY = 10, 2**30  # of the processor, with the imports; bytes


def written(folder: Path, text: str) -> Path:
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, rf"a\.yaml:6: must stand for at most {MAX_VALUES:,} values, got 597,871"),
        ("a: &a [*a]", r"a\.yaml:1: must not contain itself"),
        ("a: &a {b: *a}", r"a\.yaml:1: must not contain itself"),
        (CHAIN, rf"a\.yaml:50: must have at most {MAX_DEPTH} levels of lists and groups, got 51"),
        ("\n\na: " + "[" * 3000, rf"a\.yaml:3: must have at most {MAX_DEPTH} levels of lists and groups, got more"),
        ("{" * (MAX_BYTES - 1), rf"a\.yaml:1: must have at most {MAX_DEPTH} levels"),
        ("a: " + "1" * 5000, rf"a\.yaml:1: a number must have at most {MAX_NUMBER} characters, got 5,000"),
        ("a: 0x" + "f" * 5000, rf"a\.yaml:1: a number must have at most {MAX_NUMBER} characters, got 5,002"),
        ("a: " + "x" * (MAX_TEXT + 1), rf"a\.yaml:1: a text must have at most {MAX_TEXT:,} characters, got 10,001"),
        ("a: 1\n" + "#" * MAX_BYTES, rf"a\.yaml: must have at most {MAX_BYTES:,} bytes, got more"),
        ("a" + ".a" * MAX_DEPTH + ": 1", rf"a\.yaml: keys must have at most {MAX_DEPTH} parts, got 'a\.a\."),
        ("a: \0", r"a\.yaml: not valid YAML: unacceptable character #x0000"),
        ("a: 2020-99-99", r"a\.yaml: not valid YAML: month must be in 1\.\.12"),
        ("a: !!int x", r"a\.yaml: not valid YAML: invalid literal for int"),
        ("b: 1\na: 2020-01-01", r"a\.yaml:2: a must be a number, text, a list or settings; quote it if it is text"),
        ("a: !!set {x}", r"a\.yaml:1: a must be a number, text, a list or settings"),
        ("a: !!binary aGk=", r"a\.yaml:1: a must be a number, text, a list or settings"),
        ("? [a, b]\n: 1", r"a\.yaml: keys must be text, got \('a', 'b'\)"),
    ],
)
def test_refuses(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        read_yaml(written(tmp_path, text))
    assert len(caught.value.problems) == 1
    assert len(caught.value.problems[0]) <= LONGEST_VALUE + len(str(tmp_path)) + 100


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), None),  # the document itself is one level
        ("a: " + "1" * MAX_NUMBER, {"a": int("1" * MAX_NUMBER)}),
        ("a: " + "x" * MAX_TEXT, {"a": "x" * MAX_TEXT}),
        ("a: &a [1]\nb: *a\nc: &a [2]\nd: *a", {"a": [1], "b": [1], "c": [2], "d": [2]}),
        ("a: 1e400", {"a": float("inf")}),
    ],
)
def test_accepts_what_is_within_the_bounds(text: str, values: dict | None, tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, text)).values == (values or YAML(typ="safe", pure=True).load(text))


def test_overrides_are_bounded_too() -> None:
    for value, problem in (("[" * 60, "levels"), ("1" * 101, "characters"), ("&a [*a]", "contain itself")):
        with pytest.raises(UserError, match=problem):
            parse_override(f"axes.T={value}")
    with pytest.raises(UserError, match="keys must have at most"):
        parse_override("a" + ".a" * MAX_DEPTH + "=1")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _not_utf_8(path: Path) -> None:
    path.write_bytes(b"a: \xff")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_pipe, "must be a regular file, got a pipe or a device"),
        (_device, "must be a regular file, got a pipe or a device"),
        (Path.mkdir, "is a directory"),
        (_not_utf_8, "must be UTF-8 text, got byte 0xff"),
    ],
)
def test_what_is_no_text_file_is_not_waited_for(make: Callable[[Path], None], problem: str, tmp_path: Path) -> None:
    make(path := tmp_path / "a.yaml")
    found: list[UserError] = []

    def read() -> None:
        with pytest.raises(UserError, match=problem) as caught:
            load_config(path)
        found.append(caught.value)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(60)
    assert len(found) == 1


def test_a_name_that_no_file_can_have_is_a_mistake() -> None:
    with pytest.raises(UserError, match="must be a YAML file or one of the presets"):
        load_config("x" * 5000)


@pytest.mark.parametrize("text", [BOMB, "a: " + "[" * 10**6, "a: " + "9" * 10**6, "x" * 10**8])
def test_little_time_and_memory_is_spent(text: str, tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    command = [sys.executable, "-m", "experiments.cli", "sweep", "plan", "--no-estimate", str(written(tmp_path, text))]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, timeout=900)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path}/a.yaml")
    assert done.stderr.count("\n") == 1


def test_messages_are_lines_of_bounded_length() -> None:
    assert str(UserError("a\nb\x1b[2J\u2028c")) == r"a\nb\x1b[2J\u2028c"
    assert UserError("µ × é", "b").problems == ("µ × é", "b")
    assert len(str(UserError("x" * 10**6))) == LONGEST_LINE + 3
    assert brief("x" * 10) == "'xxxxxxxxxx'"
    assert len(brief([1] * 10**5)) == LONGEST_VALUE
