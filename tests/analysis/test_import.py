"""Imports of the package in fresh processes: which libraries they load, and which they need."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_alone_loads_nothing_heavy():
    code = (
        "import sys, analysis\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & set("
        "'torch ray mlflow pandas numpy scipy rich sqlalchemy matplotlib'.split())))"
    )
    assert run(code).strip() == "[]"


def test_reading_a_database_does_not_load_mlflow(tmp_path):
    (tmp_path / "mlflow.db").touch()
    code = (
        "import sys, analysis.load, analysis.store.mlflow_internals\n"
        "from analysis.store.open import open_store\n"
        f"print(type(open_store('sqlite:///{tmp_path / 'mlflow.db'}')).__name__, 'mlflow' in sys.modules)"
    )
    assert run(code).strip() == "SqlStore False"


def test_every_public_name_loads_where_torch_and_ray_are_missing():
    code = (
        "import sys\n"
        "blocked = {name: None for name in ('torch', 'torchvision', 'ray', 'experiments')}\n"
        "sys.modules.update(blocked)\n"
        "import analysis\n"
        "for name in analysis.__all__: getattr(analysis, name)\n"
        "print(analysis.load.runs is analysis.runs, analysis.render.text.__name__)\n"
        "loaded = [name for name in sys.modules if name.partition('.')[0] in blocked and sys.modules[name]]\n"
        "print(loaded)"
    )
    assert run(code).split("\n")[:2] == ["True text", "[]"]


def test_an_unknown_name_is_an_attribute_error():
    code = "import analysis\ntry: analysis.nothing\nexcept AttributeError as error: print(error)"
    assert run(code).strip() == "module 'analysis' has no attribute 'nothing'"
