"""Commands for clusters: `ottt cluster`."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.arguments import JsonOption, Overrides, SpecArgument, at_home
from ottt.errors import UserError

if TYPE_CHECKING:
    from experiments.cluster.jobs import Job, Jobs

AddressOption = Annotated[
    str,
    typer.Option(
        envvar="RAY_API_SERVER_ADDRESS", metavar="URL", help="URL of the cluster's dashboard, seen from this machine."
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id of a submitted sweep, or the sweep's name.")]
DASHBOARD = "http://127.0.0.1:8265"  # where `ray dashboard FILE` forwards it

app = typer.Typer(help="Check launcher files, submit sweeps to a cluster, follow and stop them.", no_args_is_help=True)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(callback=at_home, metavar="FILE", help="Launcher file of `ray up`.")],
    as_json: JsonOption = False,
) -> None:
    """Check a launcher file offline: Ray's schema, versions, shared storage, open ports, passwords.

    Example: ottt cluster check cluster.yaml
    """
    from experiments.cluster.check import check as examine

    verdict = examine(file)
    if as_json:
        print(json.dumps({"file": str(file), **asdict(verdict)}, indent=2))
    for note in verdict.notes:
        print(f"note: {note}", file=sys.stderr)
    if verdict.problems:
        raise UserError(*verdict.problems)
    if not as_json:
        print(f"{file}: good: Ray {verdict.ray}, storage shared, closed but for SSH, token and password asked for")


@app.command()
def submit(
    spec: SpecArgument,
    overrides: Overrides = None,
    results: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder of results on the cluster (default: OTTT_RESULTS of its head)."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print the sweep's output until it ends.")] = False,
    address: AddressOption = DASHBOARD,
    as_json: JsonOption = False,
) -> int:
    """Submit a sweep to a cluster, where it keeps running when this machine is gone.

    Example: ottt cluster submit quickstart epochs=4
    """
    from experiments.sweep_spec.read import read_spec
    from experiments.sweep_spec.studies import find_spec

    checked = read_spec(find_spec(spec), overrides or ())
    jobs = _jobs(address)
    job = jobs.get(jobs.submit(checked, results=results))
    if as_json:
        print(json.dumps(asdict(job), indent=2))
    else:
        print(f"submitted: {job.id}")
    return _follow(jobs, job) if follow else 0


@app.command()
def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Id or name of a sweep (default: all).")] = None,
    address: AddressOption = DASHBOARD,
    as_json: JsonOption = False,
) -> None:
    """Show the status of submitted sweeps.

    Example: ottt cluster status quickstart
    """
    from analysis.text.terminal import aligned

    jobs = _jobs(address)
    found = jobs.all() if job is None else [jobs.get(job)]
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    elif found:
        rows = [[one.id, one.sweep, one.status, _when(one.submitted), one.message] for one in found]
        print(aligned([["job", "sweep", "status", "submitted", ""], *rows]))
    else:
        print("no sweep was submitted", file=sys.stderr)


@app.command()
def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", help="Keep printing until the sweep ends.")] = False,
    address: AddressOption = DASHBOARD,
) -> int:
    """Print the output of a submitted sweep.

    Example: ottt cluster logs quickstart --follow
    """
    jobs = _jobs(address)
    found = jobs.get(job)
    if follow:
        return _follow(jobs, found)
    print(jobs.logs(found), end="")
    return 0


@app.command()
def stop(job: JobArgument, address: AddressOption = DASHBOARD) -> None:
    """Stop a submitted sweep; its results are recorded, and submitting it again resumes it.

    Example: ottt cluster stop quickstart
    """
    jobs = _jobs(address)
    jobs.stop(jobs.get(job))


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Folder or address with SHA256SUMS and the files.")],
    to: Annotated[
        Path,
        typer.Option("--to", callback=at_home, metavar="DIR", help="Folder on this machine: the trials' data.root."),
    ],
) -> None:
    """Copy data sets from shared storage to this machine's disk, once, and check every file.

    Example: ottt cluster fetch s3://bucket/data --to /var/lib/ottt/data
    """
    from experiments.cluster.fetch import fetch as copy_data

    done = copy_data(source, to)
    print(f"{done.files} files in {to}: {done.copied} copied ({done.bytes / 2**20:.1f} MiB), the rest already there")


def _jobs(address: str) -> "Jobs":
    from experiments.cluster.access import show_token

    show_token()
    from experiments.cluster.jobs import Jobs

    return Jobs(address)


def _follow(jobs: "Jobs", job: "Job") -> int:
    for text in jobs.follow(job):
        print(text, end="", flush=True)
    return int(jobs.get(job.id).status != "succeeded")


def _when(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
