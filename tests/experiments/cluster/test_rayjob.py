"""deploy/rayjob.yaml against the schema of ray.io/v1."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from experiments.cluster.check import pinned_ray

FILE = Path(__file__).parents[3] / "deploy" / "rayjob.yaml"
SCHEMA = json.loads((Path(__file__).parent / "rayjob.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def problems(job: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(job)]


def test_it_is_a_ray_job(job: dict[str, Any]) -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert problems(job) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda job: job.update(apiVersion="ray.io/v1alpha1"), "'ray.io/v1' was expected"),
        (lambda job: job["spec"].update(entryPoint="x"), "'entryPoint' was unexpected"),
        (lambda job: job["spec"].update(backoffLimit="5"), "'5' is not of type 'integer'"),
        (lambda job: job["spec"]["rayClusterSpec"].pop("headGroupSpec"), "'headGroupSpec' is a required property"),
        (
            lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
            "0 is not of type 'string'",
        ),
    ],
)
def test_the_schema_refuses_what_the_server_would(
    job: dict[str, Any], change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    altered = copy.deepcopy(job)
    change(altered)
    assert any(expected in problem for problem in problems(altered))


def test_it_retries_ends_and_is_closed(job: dict[str, Any]) -> None:
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    head, [workers] = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert spec["shutdownAfterJobFinishes"]
    assert spec["backoffLimit"] > 0
    assert spec["entrypoint"].startswith("ottt sweep run ")  # which resumes from the records
    assert cluster["rayVersion"] == pinned_ray(FILE)
    assert cluster["authOptions"] == {"mode": "token"}
    assert (head["rayStartParams"]["num-cpus"], head["rayStartParams"]["num-gpus"]) == ("0", "0")
    assert (workers["minReplicas"], cluster["enableInTreeAutoscaling"]) == (0, True)
    pods = [group["template"]["spec"] for group in (head, workers)]
    assert all("/mnt/ottt" in [one["mountPath"] for one in pod["containers"][0]["volumeMounts"]] for pod in pods)
