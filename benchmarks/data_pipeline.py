"""Cost of the data pipeline relative to a training step: batches of 128 CIFAR-size images, `vgg11_ws`, the paper's T.

    python benchmarks/data_pipeline.py [--steps 3] [--device cpu|cuda] [--model vgg11_ws]

The images are random bytes, since pixel values do not affect the time. Batches are drawn, cropped, flipped, cut out,
normalised and moved to the device as in training. The ratio is from a single run.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date

import numpy as np
import torch

import ottt
from ottt.data.augment import Augmentation
from ottt.data.normalise import Normalisation, published
from ottt.data.samples import ResidentSamples
from ottt.training.optim import build_optimizer

IMAGES = 10_000


def random_samples(device: torch.device) -> ResidentSamples:
    rng = np.random.default_rng(0)
    return ResidentSamples(
        stored=torch.from_numpy(rng.integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8)).to(device),
        stored_labels=torch.from_numpy(rng.integers(0, 10, IMAGES)).to(device),
        members=torch.arange(IMAGES, device=device),
        normalisation=Normalisation(published("cifar10"), device),
        augment=Augmentation(crop=4, flip=0.5, cutout=0.5),
    )


def timed(action: Callable[[], object], device: torch.device) -> float:
    """Seconds that `action` takes, including work on the device."""
    started = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3, help="timed training steps")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="vgg11_ws")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    config = ottt.load_config("cifar10", [f"model.name={arguments.model}"])
    samples = random_samples(device)
    order, changes = torch.Generator().manual_seed(0), torch.Generator(device).manual_seed(0)
    batches = samples.training_batches(config.batch_size, order=order, augmentation=changes)
    next(batches)
    data = [timed(lambda: next(batches), device) for _ in range(50)]

    net, rule = ottt.build_model(config).to(device), ottt.build_rule(config)
    optimizer = build_optimizer(net.parameters(), config.optim)
    inputs, labels = next(batches)
    step = [
        timed(lambda: rule.train_batch(net, optimizer, inputs, labels), device) for _ in range(arguments.steps + 1)
    ][1:]

    batch, training = statistics.median(data), statistics.median(step)
    print(f"{date.today()}  {device.type}: {hardware(device)}  torch {torch.__version__}  numpy {np.__version__}")
    print(f"batch of {config.batch_size}, 3x32x32: {1e3 * batch:.2f} ms (median of {len(data)})")
    print(f"rate: {config.batch_size / batch:,.0f} images/s")
    print(f"training step of {arguments.model}, T = {config.T}: {1e3 * training:,.0f} ms (median of {len(step)})")
    print(f"data / training step: {batch / training:.2%}")


if __name__ == "__main__":
    main()
