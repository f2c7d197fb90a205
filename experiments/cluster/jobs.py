"""Sweeps that a cluster runs by itself: they go on when whoever submitted them is gone."""

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

from experiments.spec.spec import SweepSpec
from ottt.errors import UserError, first_line

SWEEP = "ottt.sweep"  # key of a job's metadata
STOP_S = "120"  # to record what is done before Ray kills a stopped sweep; 3 by its default


@dataclass(frozen=True)
class Job:
    """A submitted sweep.

    Attributes:
        id: of the job.
        sweep: its name.
        status: "pending", "running", "succeeded", "failed" or "stopped".
        submitted: seconds since 1970; None where it never began.
        message: what Ray says of it.
    """

    id: str
    sweep: str
    status: str
    submitted: float | None
    message: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.status in ("succeeded", "failed", "stopped")


class Jobs:
    """The sweeps of the cluster at an address.

    Args:
        address: of Ray's dashboard, as this machine reaches it: "http://127.0.0.1:8265".

    Raises:
        UserError: nothing answers there, or it wants another token.
    """

    def __init__(self, address: str) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)
        self._address = address
        try:
            self._client = JobSubmissionClient(address)
        except ConnectionError as error:
            raise UserError(
                f"{address}: must be the dashboard of a cluster, got no answer; bring it here with `ray dashboard FILE`"
            ) from error
        except (AuthenticationError, RuntimeError) as error:
            raise UserError(f"{address}: {first_line(error)}") from error

    def submit(self, spec: SweepSpec, *, results: str | None) -> str:
        """Have the cluster run `spec`; returns the job's id.

        Args:
            spec: travels whole, its base and overrides included.
            results: folder of results as the cluster's machines see it; None: OTTT_RESULTS of the head.
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
        """The submitted sweeps, the newest first."""
        found = [_job(details) for details in self._client.list_jobs() if SWEEP in (details.metadata or {})]
        return sorted(found, key=lambda job: job.submitted or 0.0, reverse=True)

    def get(self, given: str) -> Job:
        """The job with that id, or the newest of the sweep with that name.

        Raises:
            UserError: there is none.
        """
        known = self.all()
        for job in known:
            if given in (job.id, job.sweep):
                return job
        there = f"one of {', '.join(job.id for job in known)}" if known else "a submitted sweep (there is none)"
        raise UserError(f"{self._address}: job must be {there}, got {given!r}")

    def logs(self, job: Job) -> str:
        """Everything that the sweep printed so far."""
        return str(self._client.get_job_logs(job.id))

    def follow(self, job: Job) -> Iterator[str]:
        """What the sweep prints, as it does, until it has ended."""
        lines: AsyncIterator[str] = self._client.tail_job_logs(job.id)
        with asyncio.Runner() as runner:
            while True:
                try:
                    yield runner.run(anext(lines))  # type: ignore[arg-type]
                except StopAsyncIteration:
                    return

    def stop(self, job: Job) -> None:
        """Ask the sweep to end; what it has done is recorded."""
        self._client.stop_job(job.id)


def _job(details: JobDetails) -> Job:
    began = None if details.start_time is None else details.start_time / 1000
    status = JobStatus(details.status).value.lower()
    return Job(details.submission_id, details.metadata[SWEEP], status, began, " ".join((details.message or "").split()))
