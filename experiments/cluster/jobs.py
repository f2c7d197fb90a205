"""Sweeps submitted to a cluster as Ray jobs, which keep running when the submitting machine is gone."""

import asyncio
import logging
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from experiments.sweep_spec.spec import SweepSpec
from ottt.errors import UserError, first_line

SWEEP = "ottt.sweep"  # key of a job's metadata
STOP_S = "120"  # time to record results before Ray kills a stopped sweep; 3 by default


@dataclass(frozen=True)
class Job:
    """A submitted sweep.

    Attributes:
        id: id of the job.
        sweep: name of the sweep.
        status: "pending", "running", "succeeded", "failed" or "stopped".
        submitted: seconds since 1970; None if it never started.
        message: Ray's description of the status.
    """

    id: str
    sweep: str
    status: str
    submitted: float | None
    message: str

    @property
    def has_ended(self) -> bool:
        """Whether the job no longer runs."""
        return self.status in ("succeeded", "failed", "stopped")


class Jobs:
    """The submitted sweeps of a cluster.

    Args:
        address: address of Ray's dashboard as seen from this machine: "http://127.0.0.1:8265".

    Raises:
        UserError: no answer, or the token is wrong.
    """

    def __init__(self, address: str) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)
        self._address = address
        try:
            self._client = JobSubmissionClient(address)
        except ConnectionError as error:
            raise UserError(
                f"{address}: must be the dashboard of a cluster, got no answer; forward it with `ray dashboard FILE`"
            ) from error
        except (AuthenticationError, RuntimeError) as error:
            raise UserError(f"{address}: {first_line(error)}") from error

    def submit(self, spec: SweepSpec, *, results: str | None) -> str:
        """Submit a sweep to the cluster; returns the id of the job.

        Args:
            spec: spec of the sweep, sent with base and overrides included.
            results: folder of results on the cluster's machines; None: OTTT_RESULTS of the head.
        """
        words = ["ottt", "sweep", "run", f"{spec.name}.yaml"]
        where = [] if results is None else ["--results", results]
        with TemporaryDirectory() as folder:
            (Path(folder) / f"{spec.name}.yaml").write_text(spec.to_yaml(), encoding="utf-8")
            return str(
                self._client.submit_job(
                    entrypoint=f"exec {shlex.join([*words, *where])}",  # so that `stop` reaches the sweep itself
                    submission_id=f"{spec.name}-{time.strftime('%Y%m%d-%H%M%S')}",
                    runtime_env={"working_dir": folder, "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": STOP_S}},
                    metadata={SWEEP: spec.name},
                )
            )

    def all(self) -> list[Job]:
        """The submitted sweeps, newest first."""
        found = [_job(details) for details in self._client.list_jobs() if SWEEP in (details.metadata or {})]
        return sorted(found, key=lambda job: job.submitted or 0.0, reverse=True)

    def get(self, given: str) -> Job:
        """The job with this id, or the newest of the sweep with this name.

        Raises:
            UserError: no such job.
        """
        known = self.all()
        for job in known:
            if given in (job.id, job.sweep):
                return job
        there = f"one of {', '.join(job.id for job in known)}" if known else "a submitted sweep (there is none)"
        raise UserError(f"{self._address}: job must be {there}, got {given!r}")

    def logs(self, job: Job) -> str:
        """The sweep's output until now."""
        return str(self._client.get_job_logs(job.id))

    def follow(self, job: Job) -> Iterator[str]:
        """The sweep's output as it is printed, until the sweep ends."""
        lines: AsyncIterator[str] = self._client.tail_job_logs(job.id)
        with asyncio.Runner() as runner:
            while True:
                try:
                    yield runner.run(anext(lines))  # type: ignore[arg-type]
                except StopAsyncIteration:
                    return

    def stop(self, job: Job) -> None:
        """Ask the sweep to end; it records its results first."""
        self._client.stop_job(job.id)


def _job(details: JobDetails) -> Job:
    submitted = None if details.start_time is None else details.start_time / 1000
    status = JobStatus(details.status).value.lower()
    return Job(
        details.submission_id, details.metadata[SWEEP], status, submitted, " ".join((details.message or "").split())
    )
