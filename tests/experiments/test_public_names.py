"""The public names of the package and the commands of `ottt`: users depend on both."""

import typer

import experiments
from experiments.cli import app

COMMANDS = {
    "cluster": {"check", "fetch", "logs", "status", "stop", "submit"},
    "compare": set(),
    "datasets": {"download", "show"},
    "doctor": set(),
    "evaluate": set(),
    "export": {"nir"},
    "mlflow": {"log-model", "register", "serve"},
    "models": set(),
    "report": set(),
    "runs": {"diff", "query", "show"},
    "sweep": {
        "export",
        "list",
        "plan",
        "resume",
        "retry-failed",
        "run",
        "schema",
        "status",
        "stop",
        "sync",
    },
    "train": set(),
}


def test_the_package_has_two_public_names() -> None:
    assert experiments.__all__ == ["Sweep", "Trainable"]
    assert [getattr(experiments, name).__name__ for name in experiments.__all__] == experiments.__all__


def test_the_command_has_these_subcommands() -> None:
    group = typer.main.get_command(app)
    found = {name: set(getattr(command, "commands", ())) for name, command in group.commands.items()}  # type: ignore[attr-defined]
    assert found == COMMANDS
