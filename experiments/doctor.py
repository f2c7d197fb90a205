"""Checks for problems that would stop a sweep: one line per check, with the fix."""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from uuid import uuid4

from packaging.requirements import Requirement

from analysis.store.uri import explained
from experiments.cluster.shared_storage import Ask, Seen, look
from experiments.costs.gpu_share import gpus_here
from experiments.results.folder import Results, shown
from experiments.results.provenance import DISTRIBUTION, Provenance, code_hash, git_problem, own_version
from experiments.sweep_spec.studies import find_spec, studies
from ottt.errors import UserError, first_line

MIN_FREE_GIB = 2.0
MAX_SKEW_S = 2.0  # difference between two clocks
_SHOWN = ("torch", "torchvision", "ray", "mlflow")


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: name of the check.
        found: what was found.
        fix: what to do; None if nothing is wrong.
    """

    name: str
    found: str
    fix: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return self.fix is None

    def text(self) -> str:
        """The result in one line."""
        mark = "ok  " if self.is_good else "FAIL"
        line = f"{mark}  {self.name:<9}  {self.found}"
        return line if self.fix is None else f"{line}; {self.fix}"


def examine(results: Results, spec: str | None) -> Iterator[Check]:
    """Run all checks, each as it is asked for.

    Args:
        results: folder in which a sweep would write.
        spec: spec to check; None: the studies that ship with this package.
    """
    yield packages()
    yield code()
    yield disk(results.root)
    yield clock(results.root)
    yield store(results)
    yield specs(spec)
    yield from cluster(results.root)


def packages() -> Check:
    """Python and the packages, against the requirements of this distribution."""
    found = ", ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in _SHOWN)])
    try:
        wanted = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        return Check("packages", found, "not installed, so no requirement was checked: pip install -e .")
    unmet = [problem for one in wanted if one.marker is None and (problem := _unmet(one)) is not None]
    return Check("packages", found, f"install {', '.join(unmet)}" if unmet else None)


def code() -> Check:
    """The code that results would be attributed to."""
    commit, made = Provenance.current().commit, f"version {own_version()}, sources {code_hash()}"
    found = f"{made}, commit {commit[:10]}" if commit is not None else f"{made}, no commit"
    if (problem := git_problem()) is None:
        return Check("code", found)
    return Check("code", f"{found}: {problem}", "fix git, so that results name their commit")


def disk(root: Path) -> Check:
    """Free space for results, and permission to write there."""
    folder = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(folder).free / 2**30
    found = f"{free:.1f} GiB are free in {shown(root)}"
    if not folder.is_dir():
        return Check("disk", found, f"{shown(folder)} must be a folder: choose another with --results")
    if not os.access(folder, os.W_OK):
        return Check("disk", found, f"{shown(folder)} must be writable: choose another folder with --results")
    too_little = free < MIN_FREE_GIB
    return Check("disk", found, f"free {MIN_FREE_GIB:g} GiB, or choose another with --results" if too_little else None)


def clock(root: Path) -> Check:
    """Clock of this machine against that of the file system."""
    folder = next(path for path in (root, *root.parents) if path.exists())
    probe = folder / f".probe-{uuid4().hex}"
    try:
        probe.touch()
        skew = probe.stat().st_mtime - time.time()
        probe.unlink()
    except OSError as error:
        return Check("clock", first_line(error), "make the folder of results writable")
    found = f"{abs(skew):.1f} s from the file system's"
    return Check("clock", found, "set it with NTP: times of epochs would be wrong" if abs(skew) > MAX_SKEW_S else None)


def store(results: Results) -> Check:
    """The tracking store answers and stores an experiment, which is deleted again."""
    from experiments.tracking.connection import connect
    from experiments.tracking.redact import redacted

    shown_store = f"sqlite:///{shown(results.root / 'mlflow.db')}" if results.is_local else redacted(results.store)
    try:
        client = connect(results.store)
        client.delete_experiment(client.create_experiment(f"ottt-doctor-{uuid4().hex}"))
    except Exception as error:  # a store can raise anything; the error is the result
        fix = "make the folder of results writable" if results.is_local else "check MLFLOW_TRACKING_URI and its server"
        return Check("store", f"{shown_store}: {redacted(explained(error, results.store))}", fix)
    return Check("store", f"{shown_store} answers and can be written")


def specs(given: str | None) -> Check:
    """A spec, or every study, can be expanded."""
    from experiments.planning.plan import expand
    from experiments.sweep_spec.read import read_spec

    names = [given] if given is not None else list(studies())
    counts = []
    for name in names:
        try:
            counts.append(f"{name}: {len(expand(read_spec(find_spec(name))).trials)} trials")
        except UserError as error:
            return Check("spec", error.problems[0], f"fix {name}, {len(error.problems)} problems in all")
    return Check("spec", ", ".join(counts) if given is not None else f"all {len(counts)} studies can be planned")


def cluster(root: Path) -> Iterator[Check]:
    """Ray starts; its machines have the driver's GPUs, the folder of results, and the same time."""
    from experiments.cluster.nodes import connected, on_every_node, resources

    try:
        with connected():
            yield devices(resources())
            yield from storage(root, on_every_node)
    except (UserError, RuntimeError, OSError) as error:
        yield Check("ray", first_line(error), _mend(error))


def devices(total: dict[str, float]) -> Check:
    """Number of GPUs in Ray, against this machine's."""
    counted, here = total.get("GPU", 0.0), gpus_here()
    found = f"{total.get('CPU', 0.0):g} CPUs, {counted:g} GPUs as Ray sees them, {here} GPUs in this machine"
    are_hidden = counted < here
    return Check("ray", found, "check CUDA_VISIBLE_DEVICES and `nvidia-smi`" if are_hidden else None)


def storage(root: Path, ask: Ask) -> Iterator[Check]:
    """The folder of results on the cluster's machines, and their clocks."""
    try:
        seen = look(root, ask)
    except OSError as error:
        yield Check("storage", first_line(error), "make the folder of results writable, or choose another")
    else:
        yield from machines(seen, root)


def machines(seen: list[Seen], root: Path) -> Iterator[Check]:
    """Results of `storage` from the machines' answers."""
    blind = [f"{one.host}: {one.problem}" for one in seen if one.problem is not None]
    found = f"{shown(root)} is read and written by {len(seen) - len(blind)} of {len(seen)} machines"
    fix = f"put --results on storage that all share; {blind[0]}" if blind else None
    yield Check("storage", found, fix)
    skew = max((abs(one.clock - time.time()) for one in seen), default=0.0)
    is_off = skew > MAX_SKEW_S and len(seen) > 1
    yield Check("machines", f"clocks within {skew:.1f} s", "set them with NTP" if is_off else None)


def _mend(error: Exception) -> str:
    """What to do where Ray does not start."""
    if os.environ.get("RAY_ADDRESS"):
        return "check RAY_ADDRESS, or unset it to start Ray on this machine"
    if isinstance(error, UserError):
        return "export TMPDIR with such a folder"
    return "Ray must start on this machine: `python -c 'import ray; ray.init()'` shows more"


def _unmet(wanted: Requirement) -> str | None:
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        return str(wanted)
    return None if wanted.specifier.contains(installed, prereleases=True) else f"{wanted} (is {installed})"
