"""What lies beside the runs as files: text and pictures by their path, made of what is recorded."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import distributions

from experiments.plan import Plan
from experiments.provenance import source_diff
from experiments.records import Epoch
from experiments.redact import redacted
from experiments.trial_picture import draw
from ottt.evalreport import EvalReport
from ottt.schema import PLAN_ARTIFACT, SPEC_ARTIFACT

LONGEST_DIFF = 5_000_000  # characters; longer ones hold data, not code

DIFF = "git.diff"
ENVIRONMENT = "environment.json"
PICTURE = "report/trial.png"
EVALUATION = "report/evaluation.json"


def of_sweep(plan: Plan, spec: str) -> dict[str, str]:
    """The sweep as it was asked for, and the table of its trials."""
    return {SPEC_ARTIFACT: redacted(spec), PLAN_ARTIFACT: json.dumps(plan.to_json(), indent=1)}


def of_process() -> dict[str, str]:
    """The packages and the machine of this process, and how its code differs from the commit."""
    packages = {found.metadata["Name"]: found.version for found in distributions()}
    environment = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
    diff = source_diff()
    files = {ENVIRONMENT: json.dumps(environment, indent=1)}
    if diff:
        files[DIFF] = redacted(diff) if len(diff) <= LONGEST_DIFF else f"{len(diff)} characters: too long to keep\n"
    return files


def of_trial(epochs: Sequence[Epoch], report: EvalReport) -> dict[str, str | bytes]:
    """The report of a trial that has finished: its evaluation on test data, and a picture of it all."""
    return {EVALUATION: report.to_json(), PICTURE: draw(epochs, report)}
