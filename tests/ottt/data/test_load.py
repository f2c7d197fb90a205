"""From a configuration to batches: splits, normalisation, frames drawn, exact resuming."""

from pathlib import Path

import numpy as np
import pytest
import torch

import ottt
from ottt.config.load import preset_names
from ottt.data.files import FILES
from ottt.data.frames import Framing
from ottt.data.info import DATASETS
from ottt.data.normalise import PUBLISHED
from ottt.data.readers.camera import Camera
from ottt.data.readers.digits import read_digits
from ottt.data.readers.digits_dvs import record_digit
from ottt.data.samples import ResidentSamples
from ottt.data.splits import stratified
from ottt.training.load_data import load_data
from ottt.training.trainer import Trainer

CPU = torch.device("cpu")
EVENTS = {"data.name": "digits_dvs", "T": 4, "model.width": 0.25, "batch_size": 256, "epochs": 3, "device": "cpu"}
TIMES = {"time/epoch_s", "perf/images_per_s"}


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("data"))


def resident(part: object) -> ResidentSamples:
    assert isinstance(part, ResidentSamples)
    return part


def every(part: object) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = zip(*resident(part).batches(100), strict=True)
    return torch.cat(inputs), torch.cat(labels)


def test_every_data_set_is_known_everywhere() -> None:
    names = set(DATASETS)
    assert names == set(FILES)
    with_presets = {name for name in names if not name.startswith("tonic:")}
    assert with_presets <= set(preset_names())
    for name in names:
        config = ottt.load_config(name if name in with_presets else {"data.name": name})
        assert config.data.name == name
        info = config.data.samples
        assert len(info.class_names) in {0, info.classes}
        if name in PUBLISHED:
            assert len(PUBLISHED[name].mean) == len(PUBLISHED[name].std) == info.channels
    assert ottt.load_config("cifar10_dvs").data.samples.height == 48


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cifar10", {"T": 6, "epochs": 300, "batch_size": 128, "optim.lr": 0.1, "loss.mse_weight": 0.05}),
        ("cifar100", {"T": 6, "data.augment.crop": 4, "data.augment.cutout": 0.5, "data.augment.flip": 0.5}),
        ("cifar10_dvs", {"T": 10, "loss.mse_weight": 0.001, "neuron.dropout": 0.1, "data.frames.size": 48}),
        ("dvs128_gesture", {"T": 20, "batch_size": 16, "optim.name": "adam", "optim.lr": 0.001}),
        ("imagenet", {"epochs": 100, "batch_size": 256, "optim.weight_decay": 2e-5, "loss.mse_weight": 0.0}),
    ],
)
def test_presets_are_the_papers(name: str, expected: dict[str, object]) -> None:
    flat = ottt.load_config(name).flat()
    assert {key: flat[key] for key in expected} == expected
    assert (flat["neuron.tau"], flat["schedule.name"], flat["data.val_fraction"], flat["seed"]) == (
        2,
        "cosine",
        0,
        2022,
    )


def test_digits_are_split_by_class_without_overlap() -> None:
    data = load_data(ottt.load_config("digits"), CPU)
    parts = [resident(part) for part in (data.train, data.val, data.test)]
    assert [len(part) for part in parts] == pytest.approx([0.85 * 0.8 * 1797, 0.15 * 0.8 * 1797, 0.2 * 1797], abs=6)
    members = torch.cat([part.members for part in parts])
    assert members.sort().values.tolist() == list(range(1797))
    for part in parts:
        shares = torch.bincount(part.labels) / len(part)
        assert shares.tolist() == pytest.approx([0.1] * 10, abs=0.006)
    inputs, _ = every(data.train)
    assert inputs.mean().item() == pytest.approx(0, abs=1e-4)
    assert inputs.std().item() == pytest.approx(1, abs=1e-3)
    rows = [{image.numpy().tobytes() for image in every(part)[0]} for part in (data.train, data.test)]
    assert not rows[0] & rows[1]


def test_the_digest_depends_on_the_split() -> None:
    config = ottt.load_config("digits")
    digests = {load_data(config.replace(change), CPU).digest for change in ({}, {"data.split_seed": 1})}
    assert len(digests) == 2
    assert load_data(config, CPU).digest in digests
    whole = load_data(config.replace({"data.val_fraction": 0.0}), CPU)
    assert len(whole.val) == 0
    assert torch.equal(whole.test.labels, load_data(config, CPU).test.labels)


def test_stratified_by_hand() -> None:
    first, second = stratified(np.array([0, 0, 0, 0, 1, 1]), 0.5, seed=3)
    assert sorted([*first, *second]) == [0, 1, 2, 3, 4, 5]
    assert len([i for i in second if i < 4]) == 2
    assert len([i for i in second if i >= 4]) == 1


def test_settings_that_a_data_set_does_not_read_are_not_part_of_the_trial() -> None:
    def same(name: str, *changes: str) -> bool:
        return ottt.load_config(name).trial_hash == ottt.load_config(name, changes).trial_hash

    assert same("digits", "data.workers=1", "data.root=/x", "data.frames.size=9", "data.frames.train_steps=2")
    assert not same("digits", "data.augment.cutout=0.5")
    assert same("digits_dvs", "data.augment.cutout=0.5", "data.frames.train_steps=10")
    assert not same("digits_dvs", "data.frames.train_steps=9")
    assert not same("digits_dvs", "data.frames.by=time")
    assert same("imagenet", "data.augment.crop=4", "data.split_seed=1")
    assert not same("imagenet", "data.augment.flip=0")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (["data.frames.train_steps=11"], r"data\.frames\.train_steps must be <= T = 10, got 11"),
        (["T_eval=[5, 12]"], r"T_eval must be <= T = 10, the frames of digits_dvs, got 12"),
        (["data.frames.train_steps=3", "rule.name=tbptt", "rule.k=4"], r"rule\.k must be <= T = 3 for tbptt, got 4"),
        (["data.frames.by=events"], r"data\.frames\.by must be one of count, time, got 'events'"),
        (["data.augment.flip=2"], r"data\.augment\.flip must be >= 0 and <= 1|<= 1, got 2"),
    ],
)
def test_frames_that_do_not_fit_are_refused(changes: list[str], rule: str) -> None:
    with pytest.raises(ottt.UserError, match=rule):
        ottt.load_config("digits_dvs", changes)


def test_parts_share_one_tensor_and_on_the_cpu_the_cached_map(root: str) -> None:
    config = ottt.load_config({**EVENTS, "data.root": root})
    data, again = load_data(config, CPU), load_data(config, CPU)
    parts = [resident(part) for part in (data.train, data.val, data.test)]
    assert len({part.stored.data_ptr() for part in parts}) == 1
    assert parts[0].stored.dtype == torch.uint8
    assert data.digest == again.digest
    # Changing a tensor does not change what is read next.
    resident(again.train).stored.zero_()
    assert resident(load_data(config, CPU).train).stored.sum() == parts[0].stored.sum() > 0


def test_event_frames_follow_the_order_of_the_digits(root: str) -> None:
    data = load_data(ottt.load_config({**EVENTS, "data.root": root, "data.val_fraction": 0.0}), CPU)
    digits = read_digits()
    assert torch.equal(resident(data.train).stored_labels, torch.from_numpy(digits.labels))
    inputs, _ = every(data.train)
    assert inputs.shape == (digits.train, 4, 2, 24, 24)
    assert inputs.mean((0, 1, 3, 4)).tolist() == pytest.approx([0, 0], abs=1e-3)
    framing = Framing(4, "count", 24, 24)
    for i in (0, 700, 1796):
        events = record_digit(digits.inputs[i, 0], Camera(), np.random.default_rng([Camera().seed, i]))
        assert np.array_equal(resident(data.train).stored[i], framing(events))


def test_frames_drawn_for_training_are_a_sorted_subset(root: str) -> None:
    config = ottt.load_config({**EVENTS, "data.root": root, "data.frames.train_steps": 2})
    data = load_data(config, CPU)
    train = resident(data.train)
    order, changes = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(4):
        shuffled = torch.randperm(len(train), generator=torch.Generator().set_state(order.get_state()))
        for i, (inputs, _) in enumerate(train.training_batches(256, order=order, augmentation=changes)):
            assert inputs.shape[1] == 2
            sample = train.stored[train.members[shuffled[256 * i]]]
            frames = [
                [t for t in range(4) if torch.equal(train.normalisation(sample[t]), inputs[0, k])] for k in (0, 1)
            ]
            (first,), (second,) = frames
            assert first < second
            seen.add((first, second))
    assert len(seen) >= 5  # of six pairs
    evaluated, _ = next(resident(data.test).batches(8))
    assert evaluated.shape[1] == 4


def test_a_training_step_has_as_many_losses_as_frames_drawn(root: str) -> None:
    config = ottt.load_config({**EVENTS, "data.root": root, "data.frames.train_steps": 2, "loss.mse_weight": 0.0})
    trainer = Trainer(config)
    batches = trainer.train_set.training_batches(32, order=trainer.order, augmentation=trainer.augmentation)
    inputs, labels = next(iter(batches))
    batch = trainer.rule.train_batch(trainer.net, trainer.optimizer, inputs, labels)
    assert batch.losses.shape == (2,)
    expected = [torch.nn.functional.cross_entropy(out, labels) / 2 for out in batch.logits]
    assert batch.losses.tolist() == pytest.approx([loss.item() for loss in expected])


@pytest.mark.parametrize(
    "changes",
    [
        {"data.augment.crop": 1, "data.augment.flip": 0.5, "data.augment.cutout": 0.5, "T": 2, "data.name": "digits"},
        {"data.augment.crop": 2, "data.frames.train_steps": 2},
    ],
)
def test_resumed_training_draws_like_uninterrupted_training(
    changes: dict[str, object], root: str, tmp_path: Path
) -> None:
    config = ottt.load_config({**EVENTS, "data.root": root, **changes})

    def metrics(trainer: Trainer) -> dict[str, float]:
        return {name: value for name, value in trainer.train_epoch().items() if name not in TIMES}

    whole = Trainer(config)
    expected = [metrics(whole) for _ in range(3)]
    first = Trainer(config)
    got = [metrics(first)]
    first.save(tmp_path)
    second = Trainer(config)
    second.load(tmp_path)
    got += [metrics(second) for _ in range(2)]
    assert got == expected
    assert torch.equal(whole.augmentation.get_state(), second.augmentation.get_state())


def test_augmentation_changes_training_batches_only() -> None:
    config = ottt.load_config("digits", ["data.augment.cutout=1", "data.val_fraction=0"])
    data, plain = load_data(config, CPU), load_data(ottt.load_config("digits", ["data.val_fraction=0"]), CPU)
    assert torch.equal(every(data.train)[0], every(plain.train)[0])
    drawn = [
        next(
            iter(
                resident(part).training_batches(
                    50, order=torch.Generator().manual_seed(1), augmentation=torch.Generator().manual_seed(1)
                )
            )
        )[0]
        for part in (data.train, plain.train)
    ]
    changed = (drawn[0] != drawn[1]).flatten(1).any(1)
    assert changed.float().mean() > 0.8
    brightest = resident(data.train).normalisation.undo(drawn[0]).max().item()
    assert brightest <= 16 + 1e-4  # the value of a cutout is a possible value of a pixel


@pytest.mark.timeout(900)
def test_learns_from_events(root: str) -> None:
    smaller = ["T=5", "epochs=10", "model.width=0.5"]  # 0.87 in a sixth of the time
    config = ottt.load_config("digits_dvs", [f"data.root={root}", "device=cpu", *smaller])
    metrics = ottt.train(config).metrics
    assert metrics["test/top1"] >= 0.83
