"""Renders the output of `ottt compare SWEEP` as an SVG, as it looks in a terminal.

python docs/table_picture.py quickstart docs/quickstart.svg
"""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 100  # characters


def main(sweep: str, file: str) -> None:
    """Run the command and save its output as an SVG."""
    command = [sys.executable, "-m", "experiments.cli", "compare", sweep]
    environment = os.environ | {"COLUMNS": str(WIDTH)}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ ottt compare {sweep}\n"))
    console.print(Text.from_ansi(output))
    picture = console.export_svg(title="OTTT Lab")
    # Without a network the web font would be missing: use the reader's own font.
    picture = re.sub(r"@font-face\s*\{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code", "ui-monospace")
    Path(file).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
