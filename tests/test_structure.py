"""The packages depend on each other, and on heavy ones, in one direction only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RAY = {
    f"experiments/{name}.py"
    for name in ("cluster/jobs", "cluster/launcher", "machines", "runner", "search", "stopping", "trainable", "tuning")
}
MLFLOW = {f"experiments/{name}.py" for name in ("mlflow_model", "mlflow_run", "tracking")}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def offending(package: str, forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(package)
        for name in sorted(imports(path))
        if name.split(".")[0] in forbidden
    ]


def test_the_walk_sees_imports_inside_functions() -> None:
    assert "ottt.trainer" in imports(ROOT / "experiments" / "trainable.py")
    assert "ray" in imports(ROOT / "experiments" / "tuning.py")


def test_the_method_knows_nothing_of_the_others() -> None:
    assert offending("ottt", {"experiments", "analysis", "ray", "mlflow", "pandas"}) == []


def test_the_analysis_knows_the_schema_only() -> None:
    assert offending("analysis", {"experiments", "torch", "torchvision", "ray"}) == []
    allowed = ("ottt", "ottt.schema", "ottt.errors")
    used = {name for path in files("analysis") for name in imports(path) if name.split(".")[0] == "ottt"}
    assert {name for name in used if not name.startswith(allowed[1:]) and name not in allowed} == set()


@pytest.mark.parametrize(("package", "allowed"), [("ray", RAY), ("mlflow", MLFLOW)])
def test_few_files_of_the_experiments_know(package: str, allowed: set[str]) -> None:
    found = {line.split(" ")[0] for line in offending("experiments", {package})}
    assert found == allowed


@pytest.mark.parametrize(
    "arguments", [["--help"], ["sweep", "run", "--help"], ["sweep", "status", "--help"], ["compare", "--help"]]
)
def test_help_loads_nothing_heavy_and_has_an_example(arguments: list[str]) -> None:
    code = (
        "import sys; from experiments.cli import main; status = main();"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'numpy', 'scipy'} & sys.modules.keys();"
        "print(*sorted(heavy), file=sys.stderr, end=''); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert arguments == ["--help"] or "Example: ottt " in done.stdout
