"""Draw what `ottt compare SWEEP` prints as an SVG, as it looks on a terminal.

python docs/table_picture.py quickstart docs/quickstart.svg
"""

import io
import os
import subprocess
import sys

from rich.console import Console
from rich.text import Text

WIDTH = 100  # characters


def main(sweep: str, file: str) -> None:
    """Run the command and keep its output as a picture."""
    command = [sys.executable, "-m", "experiments.cli", "compare", sweep]
    environment = os.environ | {"COLUMNS": str(WIDTH)}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ ottt compare {sweep}\n"))
    console.print(Text.from_ansi(output))
    console.save_svg(file, title="OTTT Lab", clear=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
