"""The artifacts of runs, text and plots by their path, made from the trial records."""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, distributions, version
from typing import Any

from experiments.planning.plan import SweepPlan
from experiments.results.provenance import source_diff
from experiments.results.trial_records import Epoch
from experiments.tracking.shown_plan import shown_plan
from experiments.tracking.trial_plot import draw
from ottt.evalreport import EvalReport
from ottt.schema import PLAN_ARTIFACT, SPEC_ARTIFACT

_KIND = "accelerator_type:"  # prefix of a resource in Ray

PICTURE_AFTER_S = 10.0  # of training; drawing takes the driver half a second, too much for many short trials
LONGEST_DIFF = 5_000_000  # characters; longer ones hold data, not code

DIFF = "git.diff"
ENVIRONMENT = "environment.json"
PICTURE = "report/trial.png"
EVALUATION = "report/evaluation.json"
CLUSTER = "cluster.json"
STATES = "checkpoint"  # folder


def of_sweep(plan: SweepPlan, spec: str) -> dict[str, str]:
    """The spec of the sweep and the table of its trials."""
    return {SPEC_ARTIFACT: spec, PLAN_ARTIFACT: json.dumps(shown_plan(plan).to_json(), indent=1)}


def of_process() -> dict[str, str]:
    """The packages and the machine of this process, and the difference of its code from the commit."""
    packages = dict(_name_and_version(found) for found in distributions())
    environment = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
    diff = source_diff()
    files = {ENVIRONMENT: json.dumps(environment, indent=1)}
    if diff:
        files[DIFF] = diff if len(diff) <= LONGEST_DIFF else f"{len(diff)} characters: too long to keep\n"
    return files


def _name_and_version(package: Distribution) -> tuple[str, str]:
    """From the first lines of its metadata: to parse those of all packages takes a second."""
    text = package.read_text("METADATA") or package.read_text("PKG-INFO") or ""
    head = dict(re.findall(r"^(Name|Version): (.*)$", text.partition("\n\n")[0], re.MULTILINE))
    return head.get("Name", "unknown"), head.get("Version", "unknown")


def of_cluster(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The machines at the start of the sweep, from Ray's description."""
    machines = [
        {
            "host": node["NodeManagerHostname"],
            "cpus": node["Resources"].get("CPU", 0),
            "gpus": node["Resources"].get("GPU", 0),
            "memory_gib": round(node["Resources"].get("memory", 0) / 2**30, 1),
            "accelerators": [name.removeprefix(_KIND) for name in node["Resources"] if name.startswith(_KIND)],
        }
        for node in nodes
    ]
    totals = {name: sum(machine[name] for machine in machines) for name in ("cpus", "gpus")}
    return {CLUSTER: json.dumps({"ray": version("ray"), **totals, "machines": machines}, indent=1)}


def of_trial(epochs: Sequence[Epoch], report: EvalReport | None) -> dict[str, str | bytes]:
    """The plot of a trial that has ended, and its evaluation on test data, if any.

    A trial that trained for less than `PICTURE_AFTER_S` has no plot.
    """
    files: dict[str, str | bytes] = {}
    if epochs and sum(epoch.metrics.get("time/epoch_s", PICTURE_AFTER_S) for epoch in epochs) >= PICTURE_AFTER_S:
        files[PICTURE] = draw(epochs, report)
    if report is not None:
        files[EVALUATION] = report.to_json()
    return files
