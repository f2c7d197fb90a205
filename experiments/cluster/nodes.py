"""The Ray cluster that a sweep runs on: connecting, its machines, tasks on them."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from experiments.cluster.access import refuse_silent
from experiments.cluster.liveness import Service, watched
from experiments.cluster.own_instance import own_instance
from experiments.costs.cores import usable_cores
from experiments.garbage_collection import collection_paused
from experiments.interrupt import Ending, Interrupted, signal_handlers_kept
from experiments.ray_internals import bare_instance, has_autoscaler, same_imports
from experiments.sweep_spec.run_settings import Share
from ottt.errors import UserError

_QUIET = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same in the workers as in the driver
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # they would stay idle: Tune's workers have an environment of their own
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU share sees no GPU
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # see experiments.interrupt
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # a sweep resumes from the trial records, never from Tune's state
}

_RAY_WAITS = "RAY_gcs_rpc_server_reconnect_timeout_s"  # Ray's own name
TINY = 1e-6  # what dividing may lack
POLL_S = 0.2  # between two checks for a request to end

T = TypeVar("T")


@contextmanager
def connected(ending: Ending | None = None) -> Iterator[None]:
    """Connect to the cluster at RAY_ADDRESS, else start an instance of Ray whose processes end with the context.

    Args:
        ending: told if what this process is connected to is lost in the context.

    Raises:
        UserError: no cluster answers, or there is no room for an instance.
    """
    os.environ.update(_QUIET)
    address = os.environ.get("RAY_ADDRESS") or "local"
    ending = ending or Ending()
    # What Ray prints must not mix with the output of the command.
    with redirect_stdout(sys.stderr), own_instance() if address == "local" else nullcontext() as folder:
        with signal_handlers_kept():
            _start(address, folder)
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        services = _services(is_own=address == "local")
        try:
            with watched(services, ending.lose):
                yield
        finally:
            if not ending.gone.is_set() and all(service.answers for service in services):  # else Ray would wait for it
                with collection_paused():  # Ray aborts if another thread collects one of its references meanwhile
                    ray.shutdown()


def _start(address: str, folder: Path | None) -> None:
    common = {"log_to_driver": False, "logging_level": logging.CRITICAL, **same_imports()}
    if folder is not None:
        cores = usable_cores()
        own = None if cores == os.cpu_count() else cores  # None: Ray also heeds the limits of containers
        with bare_instance():
            ray.init(address=address, num_cpus=own, include_dashboard=False, _temp_dir=str(folder), **common)
    else:
        refuse_silent(address)
        ray.init(address=address, **common)


def _services(*, is_own: bool) -> list[Service]:
    """What this process is connected to."""
    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    # A cluster's control service can be started again; Ray waits for it, and ends this process after that time.
    ray_waits_s = float(os.environ.get(_RAY_WAITS, "60"))
    control = Service("Ray's control service (GCS)", host.strip("[]"), int(port), 0.0 if is_own else ray_waits_s / 2)
    here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    return [control, Service("Ray's raylet", here["NodeManagerAddress"], here["NodeManagerPort"])]


def resources() -> dict[str, float]:
    """Total resources of the cluster: CPU, GPU, memory."""
    return dict(ray.cluster_resources())


def nodes() -> list[dict[str, Any]]:
    """Machines of the cluster, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def grows() -> bool:
    """Whether the cluster can add machines."""
    return has_autoscaler()


def on_every_node(visit: Callable[[], T]) -> list[T]:
    """Call the function on each machine of the cluster; returns the results."""
    task = ray.remote(num_cpus=0)(visit)
    there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes()]
    found: list[T] = ray.get([task.options(scheduling_strategy=one).remote() for one in there])
    return found


def on_a_gpu(visit: Callable[[], T], *, ending: Ending) -> T:
    """Call the function on a machine with a GPU to itself; returns the result.

    Raises:
        Interrupted: the sweep was asked to end; other users can hold the GPUs for long.
    """
    result = ray.remote(num_gpus=1, max_retries=0)(visit).remote()
    while not ray.wait([result], timeout=POLL_S)[0]:
        if ending.is_asked:
            raise Interrupted
    try:
        found: T = ray.get(result)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    return found


def idle() -> list[dict[str, float]]:
    """Resources of each machine; none if others use the cluster: a GPU is taken, or machines can be added."""
    if grows() or ray.available_resources().get("GPU") != resources().get("GPU"):
        return []
    return [node["Resources"] for node in nodes()]


def room(share: Share) -> int:
    """How many trials with this share the machines there are train beside each other, others' use left aside."""
    return sum(_room(node["Resources"], share) for node in nodes())


def _room(has: Mapping[str, float], share: Share) -> int:
    cores = int(has.get("CPU", 0) / share.cpu + TINY)
    if not share.gpu:
        return cores
    gpus = int(has.get("GPU", 0))
    return min(cores, gpus * int(1 / share.gpu + TINY) if share.gpu < 1 else int(gpus / share.gpu))


def check_shares(shares: Mapping[str, Share]) -> None:
    """Refuse shares that no machine here can provide.

    A cluster with no machine to train on is accepted: its autoscaler adds some.

    Args:
        shares: shares of a machine, by the key of the spec that asks for them.

    Raises:
        UserError: one line per resource.
    """
    there = [node["Resources"] for node in nodes() if node["Resources"].get("CPU", 0) > 0]
    if not there:
        return
    problems = []
    for key, share in shares.items():
        for name, amount in (("cpu", share.cpu), ("gpu", share.gpu)):
            most = max(node.get(name.upper(), 0) for node in there)
            if amount > most:
                problems.append(f"{key}.{name} must be <= {most:g}, what a machine here has, got {amount:g}")
    if problems:
        raise UserError(*dict.fromkeys(problems))
