"""Event files, and the conversion of events to frames."""

import importlib
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottt.data.events import Events, checked, frame_by_count, frame_by_time, gather, resized
from ottt.data.frames import Framing
from ottt.data.readers.aedat import parse_aedat3
from ottt.data.readers.cifar10_dvs import parse_recording, read_cifar10_dvs
from ottt.data.readers.dvs128_gesture import read_dvs128_gesture
from ottt.errors import UserError
from tests.ottt.data.writers import aedat2, aedat3, packet, polarity, published, random_events, tar_gz, zipped

HEADER3 = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"


def equal(got: Events, expected: Events) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def test_aedat2_round_trip() -> None:
    events = random_events(500, seed=1)
    assert equal(parse_recording(aedat2(events), "f"), events)


def test_aedat2_by_hand() -> None:
    content = b"#!AER-DAT2.0\r\n" + struct.pack(">II", 0b0_0000101_0000011_1, 77)
    events = parse_recording(content, "f")
    assert [column.tolist() for column in events] == [[77], [127 - 3], [5], [0]]


@pytest.mark.parametrize("content", [b"#!AER-DAT2.0\r\n", b"", aedat2(random_events(3, 0))[:-4], b"#no end of line"])
def test_aedat2_refuses(content: bytes) -> None:
    with pytest.raises(UserError, match="f: must hold events of 8 bytes after its header, got"):
        parse_recording(content, "f")


@pytest.mark.parametrize("per_packet", [1, 7, 1000])
def test_aedat3_round_trip(per_packet: int) -> None:
    events = random_events(300, seed=2)
    late = events._replace(t=np.sort(events.t * 3000))  # beyond 2^31, with overflows
    assert late.t[-1] > 2**31
    for case in (events, late):
        assert equal(parse_aedat3(aedat3(case, per_packet=per_packet), "f"), case)


def test_aedat3_skips_other_packets_invalid_events_and_unused_capacity() -> None:
    content = (
        HEADER3
        + packet(0, [bytes(8)] * 2)
        + packet(1, [polarity(5, 1, 2, 1), polarity(6, 3, 4, 0, valid=0)], capacity=4)
        + packet(2, [bytes(16)], size=16)
        + packet(1, [polarity(7, 8, 9, 0) + b"more"], size=12)
    )
    assert [column.tolist() for column in parse_aedat3(content, "f")] == [[5, 7], [1, 8], [2, 9], [1, 0]]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (aedat3(random_events(5, 0))[:-1], "for its last packet, got"),
        (aedat3(random_events(5, 0)) + b"rest", "must hold a packet header of 28 bytes"),
        (b"#!AER-DAT3.1\r\n", "must have a header that ends with #!END-HEADER"),
        (HEADER3 + packet(1, [b"1234"], size=4), "events of >= 8 bytes, got 1 of 4"),
        (HEADER3 + packet(1, [struct.pack("<II", 1, 2**31 + 7)]), "must have timestamps of 31 bits, got 2147483655"),
    ],
)
def test_aedat3_refuses(content: bytes, rule: str) -> None:
    with pytest.raises(UserError, match=f"f: .*{rule}"):
        parse_aedat3(content, "f")


def test_an_event_outside_the_sensor_is_refused() -> None:
    events = random_events(10, 0)
    checked(events, 128, 128, "f")
    events.x[3] = 128
    with pytest.raises(UserError, match="f: event 3 must lie on the sensor of 128 x 128, got x=128"):
        checked(events, 128, 128, "f")


def test_frames_by_count_by_hand() -> None:
    # Seven events in three frames: two, two, and two plus the remainder of one.
    events = Events(
        np.arange(7), np.array([0, 1, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 0, 1, 1, 0])
    )
    frame = frame_by_count(7, 3)
    assert frame.tolist() == [0, 0, 1, 1, 2, 2, 2]
    expected = np.zeros((3, 2, 2, 2))
    expected[0, 1] = [[1, 1], [0, 0]]
    expected[1, 0] = [[0, 0], [2, 0]]
    expected[2, 1] = [[0, 2], [0, 0]]
    expected[2, 0] = [[0, 1], [0, 0]]
    assert np.array_equal(gather(events, frame, frames=3, height=2, width=2), expected)


@settings(deadline=None)
@given(count=st.integers(0, 500), frames=st.integers(1, 40))
def test_frames_by_count(count: int, frames: int) -> None:
    frame = frame_by_count(count, frames)
    sizes = np.bincount(frame, minlength=frames)
    assert len(frame) == count == sizes.sum()
    assert (sizes[:-1] == count // frames).all()
    assert sizes[-1] == count - (frames - 1) * (count // frames)
    assert (np.diff(frame) >= 0).all()


def test_frames_by_time_by_hand() -> None:
    t = np.array([100, 101, 133, 134, 166, 199, 200])  # 100 us in three spans of 33 us, the last one longer
    assert frame_by_time(t, 3).tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert frame_by_time(np.array([5, 5, 5]), 2).tolist() == [1, 1, 1]
    assert frame_by_time(np.array([], np.int64), 2).tolist() == []


@pytest.mark.parametrize(
    ("times", "rule"),
    [
        ([999_999, 0, 10, 20], "event 1 must not be earlier than event 0, got t=0 after t=999999 us"),
        ([0, 10, 999_999, 20], "event 3 must not be earlier than event 2, got t=20 after t=999999 us"),
        ([5, 6, 7, 6], "event 3 must not be earlier than event 2, got t=6 after t=7 us"),
    ],
)
def test_frames_by_time_need_timestamps_in_order(times: list[int], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        frame_by_time(np.array(times), 2)


def test_frames_by_count_take_the_order_of_the_file(tmp_path: Path) -> None:
    events = random_events(100, 0)
    shuffled = events._replace(t=np.random.default_rng(0).permutation(events.t))
    by_count, by_time = Framing(4, "count", 128, 128), Framing(4, "time", 128, 128)
    assert np.array_equal(by_count(shuffled), by_count(events))
    file = published(tmp_path, "cat.zip", zipped({f"cat/cifar10_cat_{i}.aedat": aedat2(shuffled) for i in range(2)}))
    data = read_cifar10_dvs(tmp_path, by_count, files=(file,), per_class=2, train_per_class=1)
    assert np.array_equal(data.inputs[0], by_count(events))
    with pytest.raises(UserError, match=r"cat\.zip/cat/cifar10_cat_0\.aedat: event \d+ must not be earlier than"):
        read_cifar10_dvs(tmp_path, by_time, files=(file,), per_class=2, train_per_class=1)


def test_aedat_readers_keep_the_order_of_the_file() -> None:
    events = random_events(50, 0)
    shuffled = events._replace(t=np.random.default_rng(0).permutation(events.t))
    assert equal(parse_recording(aedat2(shuffled), "f"), shuffled)
    assert equal(parse_aedat3(aedat3(shuffled, per_packet=7), "f"), shuffled)


def test_a_gesture_is_cut_by_timestamps_and_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    first, second = random_events(900, 4), random_events(800, 5)
    shuffled = second._replace(t=np.random.default_rng(0).permutation(second.t))
    files = gesture_archive(tmp_path, first, shuffled)
    framing = Framing(3, "count", 128, 128)
    data = read_dvs128_gesture(tmp_path, framing, files=files)
    within = shuffled.select((shuffled.t >= 100_000) & (shuffled.t < 700_000))
    assert (np.diff(within.t) < 0).any()
    assert np.array_equal(data.inputs[0], framing(within))
    with pytest.raises(UserError, match=r"user29_lab\.aedat: event \d+ must not be earlier than event"):
        read_dvs128_gesture(tmp_path, Framing(3, "time", 128, 128), files=files)


def test_a_gesture_without_events_is_refused(tmp_path: Path) -> None:
    first, second = random_events(900, 4), random_events(800, 5)
    late = second._replace(t=second.t + 10_000_000)
    rule = r"user29_lab\.aedat: must have events from 100000 to 700000 us, where a gesture is, got none"
    with pytest.raises(UserError, match=rule):
        read_dvs128_gesture(tmp_path, Framing(3, "count", 128, 128), files=gesture_archive(tmp_path, first, late))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=200).map(sorted), st.integers(1, 20))
def test_frames_by_time(times: list[int], frames: int) -> None:
    t = np.array(times, dtype=np.int64)
    frame = frame_by_time(t, frames)
    assert len(frame) == len(t)
    assert ((frame >= 0) & (frame < frames)).all()
    assert (np.diff(frame) >= 0).all()
    if len(t) and (span := (times[-1] - times[0]) // frames):
        assert all(times[0] + k * span <= u for k, u in zip(frame.tolist(), times, strict=True))
        assert all(u < times[0] + (k + 1) * span for k, u in zip(frame.tolist(), times, strict=True) if k < frames - 1)


def test_counts_can_exceed_a_byte() -> None:
    many = Events(np.arange(1000), np.zeros(1000, int), np.zeros(1000, int), np.ones(1000, int))
    frames = Framing(2, "count", 4, 4)(many)
    assert frames[:, 1, 0, 0].tolist() == [500, 500]
    assert frames.sum() == 1000


def test_resizing_keeps_the_mean_and_the_polarities_apart() -> None:
    frames = Framing(3, "count", 128, 128)(random_events(5000, 3))
    small = resized(frames, 48)
    assert small.shape == (3, 2, 48, 48)
    assert small.mean((2, 3)) == pytest.approx(frames.mean((2, 3)), rel=1e-4)
    frames[:, 0] = 0
    assert resized(frames, 48)[:, 0].max() == 0
    assert np.array_equal(resized(frames, 48)[:, 1], small[:, 1])
    halves = resized(np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4), 2)
    assert halves[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


@pytest.mark.parametrize("size", [None, 48])
def test_cifar10_dvs_from_its_archives(size: int | None, tmp_path: Path) -> None:
    recordings = {(k, i): random_events(200 + 10 * i + k, seed=10 * k + i) for k in range(2) for i in range(3)}
    files = tuple(
        published(
            tmp_path,
            f"cifar10_dvs/{name}.zip",
            zipped({f"{name}/cifar10_{name}_{i}.aedat": aedat2(recordings[k, i]) for i in (2, 0, 1)}),
        )
        for k, name in enumerate(("airplane", "automobile"))
    )
    framing = Framing(4, "count", 128, 128, size)
    data = read_cifar10_dvs(tmp_path, framing, files=files, per_class=3, train_per_class=2)
    assert data.labels.tolist() == [0, 0, 1, 1, 0, 1]
    assert data.train == 4
    order = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)]
    assert np.array_equal(data.inputs, np.stack([framing(recordings[key]) for key in order]))
    assert data.inputs.dtype == (np.uint8 if size is None else np.float32)


def test_cifar10_dvs_names_a_damaged_recording_and_caches_nothing(tmp_path: Path) -> None:
    content = {f"cat/cifar10_cat_{i}.aedat": aedat2(random_events(20, i)) for i in range(2)}
    content["cat/cifar10_cat_1.aedat"] = content["cat/cifar10_cat_1.aedat"][:-2]
    framing = Framing(2, "count", 128, 128)
    file = published(tmp_path, "cat.zip", zipped(content))
    with pytest.raises(UserError, match=r"cat\.zip/cat/cifar10_cat_1\.aedat: must hold events of 8 bytes"):
        read_cifar10_dvs(tmp_path, framing, files=(file,), per_class=2, train_per_class=1)
    few = published(tmp_path, "cat.zip", zipped({"cat/cifar10_cat_0.aedat": aedat2(random_events(20, 0))}))
    with pytest.raises(UserError, match=r"cat\.zip: must contain recording 1"):
        read_cifar10_dvs(tmp_path, framing, files=(few,), per_class=2, train_per_class=1)
    assert {entry.suffix for entry in (tmp_path / "cache").iterdir()} == {".lock"}


def test_cifar10_dvs_takes_each_recording_once_and_no_hidden_file(tmp_path: Path) -> None:
    content = {f"cat/cifar10_cat_{i}.aedat": aedat2(random_events(20, i)) for i in range(2)}
    framing = Framing(2, "count", 128, 128)
    hidden = {"__MACOSX/cat/._cifar10_cat_1.aedat": b"Mac OS X attributes"}
    file = published(tmp_path, "cat.zip", zipped(content | hidden))
    data = read_cifar10_dvs(tmp_path, framing, files=(file,), per_class=2, train_per_class=1)
    assert np.array_equal(data.inputs[1], framing(random_events(20, 1)))
    twice = published(tmp_path, "cat.zip", zipped(content | {"old/cifar10_cat_1.aedat": aedat2(random_events(9, 0))}))
    with pytest.raises(UserError, match=r"once, got cat/cifar10_cat_1\.aedat and old/cifar10_cat_1\.aedat"):
        read_cifar10_dvs(tmp_path, framing, files=(twice,), per_class=2, train_per_class=1)


def gesture_archive(root: Path, first: Events, second: Events) -> tuple:
    table = "class,startTime_usec,endTime_usec\n"
    archive = tar_gz(
        {
            "DvsGesture/user01_led.aedat": aedat3(first),
            "DvsGesture/user01_led_labels.csv": (table + "2,0,500000\n2,500000,900000\n11,900000,2000000\n").encode(),
            "DvsGesture/user29_lab.aedat": aedat3(second),
            "DvsGesture/user29_lab_labels.csv": (table + "1,100000,700000\n").encode(),
            "DvsGesture/user30_lab.aedat": b"not listed",
            "DvsGesture/trials_to_test.txt": b"user01_led.aedat\n",
            "DvsGesture/trials_to_train.txt": b"user29_lab.aedat\n",
        }
    )
    names = published(root, "dvs128_gesture/gesture_mapping.csv", b"action,label\n")
    return published(root, "dvs128_gesture/DvsGesture.tar.gz", archive), names


def test_dvs128_gesture_from_its_archive(tmp_path: Path) -> None:
    first, second = random_events(900, 4), random_events(800, 5)
    framing = Framing(3, "count", 128, 128)
    data = read_dvs128_gesture(tmp_path, framing, files=gesture_archive(tmp_path, first, second))
    assert data.labels.tolist() == [0, 1, 1, 10]
    assert data.train == 1
    spans = [(second, 100_000, 700_000), (first, 0, 500_000), (first, 500_000, 900_000), (first, 900_000, 2_000_000)]
    for frames, (events, start, end) in zip(data.inputs, spans, strict=True):
        assert np.array_equal(frames, framing(events.select((events.t >= start) & (events.t < end))))
        assert frames.sum() == ((events.t >= start) & (events.t < end)).sum()


@pytest.fixture
def jelly(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("spikingjelly")
    # Its speech data sets import torchaudio, which only loads if built for the same CUDA version as torch.
    monkeypatch.setitem(sys.modules, "torchaudio", ModuleType("torchaudio"))
    return importlib.import_module("spikingjelly.datasets")


@pytest.mark.filterwarnings("ignore")
def test_readers_agree_with_spikingjelly(jelly: ModuleType, tmp_path: Path) -> None:
    events = random_events(400, seed=6)
    path = tmp_path / "a.aedat"
    path.write_bytes(aedat3(events, per_packet=150))
    theirs = jelly.utils.load_aedat_v3(path)
    ours = parse_aedat3(path.read_bytes(), "a")
    assert all(np.array_equal(theirs[key], getattr(ours, key)) for key in "txyp")

    path.write_bytes(aedat2(events))
    theirs = jelly.cifar10_dvs._load_origin_data(path)
    ours = parse_recording(path.read_bytes(), "a")
    assert np.array_equal(theirs["t"], ours.t)
    assert np.array_equal(theirs["p"], ours.p)
    # It rotates the picture by 90 degrees, unlike the version used in the paper.
    assert np.array_equal(127 - theirs["x"], ours.y)
    assert np.array_equal(theirs["y"], ours.x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("by", ["count", "time"])
@pytest.mark.parametrize("count", [401, 40])
def test_frames_agree_with_spikingjelly(jelly: ModuleType, by: str, count: int) -> None:
    events = random_events(count, seed=7)
    split = {"count": "number", "time": "time"}[by]
    theirs = jelly.utils.integrate_events_by_fixed_frames_number(events._asdict(), split, 7, 128, 128)
    assert np.array_equal(Framing(7, by, 128, 128)(events), theirs)


def test_the_frames_cache_depends_on_the_framing(tmp_path: Path) -> None:
    content = {f"cat/cifar10_cat_{i}.aedat": aedat2(random_events(50, i)) for i in range(2)}
    file = published(tmp_path, "cat.zip", zipped(content))
    for framing in (Framing(2, "count", 128, 128), Framing(3, "count", 128, 128), Framing(2, "time", 128, 128)):
        for _ in range(2):
            read_cifar10_dvs(tmp_path, framing, files=(file,), per_class=2, train_per_class=1)
    assert len([entry for entry in (tmp_path / "cache").iterdir() if entry.is_dir()]) == 3
