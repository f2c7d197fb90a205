"""Executes the example's notebook in a kernel of this Python.

`python -m tests.examples.notebooks` executes it anew and writes its outputs into the file.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "ablation.ipynb"
KERNEL = "python3"


def executed(path: Path, folder: Path) -> NotebookNode:
    """The notebook with the outputs that it has when it is executed in `folder`, which should be empty."""
    notebook = nbformat.read(path, as_version=4)
    with _surroundings(folder) as own:
        NotebookClient(
            notebook,
            kernel_name=KERNEL,
            config=Config(KernelManager={"transport": "ipc", "ip": str(own / "socket")}),
            timeout=900,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        ).execute()
    notebook.metadata = {"kernelspec": {"name": KERNEL, "display_name": "Python 3", "language": "python"}}
    return notebook


@contextmanager
def _surroundings(folder: Path) -> Iterator[Path]:
    """The variables of the kernel: it is this Python, imports this tree, and writes into `folder` alone.

    Yields:
        A folder for Jupyter's own files.
    """
    with tempfile.TemporaryDirectory() as jupyter:  # a short path, since sockets lie in it
        spec = Path(jupyter) / "kernels" / KERNEL / "kernel.json"
        spec.parent.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
        own = {"JUPYTER_PATH": jupyter, "JUPYTER_RUNTIME_DIR": jupyter, "IPYTHONDIR": jupyter}
        rest = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "OTTT", "RAY"))}
        here = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
        with patch.dict(os.environ, rest | own | here, clear=True):
            yield Path(jupyter)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(executed(NOTEBOOK, Path(folder)), NOTEBOOK)


if __name__ == "__main__":
    main()
