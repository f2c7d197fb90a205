"""The device of a trial."""

import platform

import torch


def choose_device(name: str) -> torch.device:
    """The device with this name; "auto" is the GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def described(device: torch.device) -> str:
    """Kind and model of a device, e.g. `cuda: NVIDIA H200`."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"cpu: {platform.machine()}, {torch.get_num_threads()} threads"
