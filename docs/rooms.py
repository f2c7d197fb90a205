"""The page of rooms: each package drawn from its imports, and what each room is for; `docs.generate` writes it."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from statistics import fmean

from tests.test_structure import ORDER, edges, files, module, room

NOTE = "<!-- Written by `python -m docs.generate`. -->"
Graph = Mapping[str, frozenset[str]]  # what each node imports

BOX, BEND, GAP, ROW, MARGIN = (132, 34), 8, 16, 84, 14  # pixels: box, width of a passing arrow, space, floor, border
PURPOSE = {
    "ottt": "the method and the trainer of one trial",
    "analysis": "results to tables, figures and the report",
    "experiments": "sweeps, their records, MLflow, and the `ottt` command",
}
_PAGE = """\
# Rooms

Each package is divided into rooms: folders, and a few loose files. A room imports only from rooms on floors below it:
`tests/test_structure.py` states their order and checks it. In the pictures, which follow from the imports, an arrow
points from a room to one that it imports; arrows that others imply are left out. The ideas are in
[design.md](design.md); [trial.md](trial.md) follows a trial through the rooms."""
_DRIVER = """\
## The driver

The files of `experiments/run`. An event travels from `ray_tune`, which hears it from Tune, to `driver`, which decides
what it changes, to `effects`, which records and shows it.

![The files of experiments/run](pictures/rooms-run.svg)"""


def page() -> str:
    """The page in Markdown."""
    parts = [NOTE, _PAGE]
    for package, purpose in PURPOSE.items():
        graph = rooms(package)
        rows = [f"| `{name}` | {_purpose(package, name)} |" for name in reversed(ORDER[package]) if name in graph]
        parts.append(f"## {package}: {purpose}\n\n![The rooms of {package}](pictures/rooms-{package}.svg)")
        parts.append("\n".join(["| room | what is in it |", "|---|---|", *rows]))
    parts.append(_DRIVER)
    return "\n\n".join(parts) + "\n"


def pictures() -> dict[str, str]:
    """SVGs by name of the file below docs/."""
    found = {f"pictures/rooms-{package}.svg": picture(rooms(package)) for package in PURPOSE}
    return found | {"pictures/rooms-run.svg": picture(members("experiments.run"))}


def rooms(package: str) -> Graph:
    """What the rooms of a package import of each other."""
    found: dict[str, set[str]] = {name: set() for name in ORDER[package]}
    for name, taken in edges().items():
        if name.startswith(f"{package}.") and room(name):
            found[room(name)] |= {room(other) for other in taken if other.startswith(f"{package}.")} - {room(name), ""}
    return {name: frozenset(taken) for name, taken in found.items()}


def members(folder: str) -> Graph:
    """What the files of a room import of each other."""
    inside = {name for name in edges() if name.startswith(f"{folder}.")}
    short = {name: name.removeprefix(f"{folder}.") for name in inside}
    return {short[name]: frozenset(short[other] for other in edges()[name] & inside) for name in sorted(inside)}


def _purpose(package: str, name: str) -> str:
    """First sentence of the room's docstring."""
    place = f"{package}.{name}"
    path = next(path for path in files(package) if module(path) == place)
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")


def picture(graph: Graph) -> str:
    """The graph as an SVG: each node on the floor above all that it imports."""
    arrows = [(name, other) for name, taken in _reduced(graph).items() for other in sorted(taken)]
    height = _heights(graph)
    paths = {(name, other): _path(name, other, height) for name, other in arrows}
    floors: list[list[Place]] = [[] for _ in range(1 + max(height.values()))]
    for place in dict.fromkeys(
        [*((name, name, height[name]) for name in graph), *(p for path in paths.values() for p in path)]
    ):
        floors[place[2]].append(place)
    at = _positions(_ordered(floors, list(paths.values())))
    width = 2 * MARGIN + max(x + _width(place) for place, (x, _) in at.items())
    lowest = 2 * MARGIN + (len(floors) - 1) * ROW + BOX[1]
    drawn = [_arrow([at[place] for place in path], [_width(place) for place in path]) for path in paths.values()]
    boxes = [_box(place[0], *where) for place, where in at.items() if place[0] == place[1]]
    return "\n".join([_HEAD.format(width=f"{width:g}", height=lowest), *drawn, *boxes, "</svg>"]) + "\n"


Place = tuple[str, str, int]  # a node (twice its name), or where an arrow between two nodes passes a floor

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<style>text {{ font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1f2328; text-anchor: middle; }}
rect {{ fill: #eef4fb; stroke: #0072b2; }}
path {{ fill: none; stroke: #57606a; stroke-width: 1.2; marker-end: url(#tip); }}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<polygon points="0 0, 8 4, 0 8" fill="#57606a"/></marker></defs>
<rect x="0" y="0" width="{width}" height="{height}" style="fill: white; stroke: none"/>"""


def _box(name: str, x: float, y: float) -> str:
    frame = f'<rect x="{x:g}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="5"/>'
    return f'{frame}<text x="{x + BOX[0] / 2:g}" y="{y + BOX[1] / 2 + 4.5:g}">{escape(name)}</text>'


def _arrow(corners: Sequence[tuple[float, float]], widths: Sequence[float]) -> str:
    """A curve through places, from the bottom of the first to the top of the last."""
    middles = [(x + width / 2, y) for (x, y), width in zip(corners, widths, strict=True)]
    steps = [f"M {middles[0][0]:g} {middles[0][1] + BOX[1]:g}"]
    for (x, y), (u, v) in pairwise(middles):
        bend = (v - y - BOX[1]) / 2
        steps.append(f"C {x:g} {y + BOX[1] + bend:g}, {u:g} {v - bend:g}, {u:g} {v:g}")
        if (u, v) != middles[-1]:
            steps.append(f"L {u:g} {v + BOX[1]:g}")
    return f'<path d="{" ".join(steps)}"/>'


def _width(place: Place) -> float:
    return BOX[0] if place[0] == place[1] else BEND


def _heights(graph: Graph) -> dict[str, int]:
    """Each node's floor, the ground is 0."""
    found: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in found:
            found[name] = 1 + max(map(of, graph[name]), default=-1)
        return found[name]

    return {name: of(name) for name in graph}


def _path(name: str, other: str, height: Mapping[str, int]) -> list[Place]:
    """The places of an arrow, one per floor."""
    between = [(name, other, floor) for floor in range(height[name] - 1, height[other], -1)]
    return [(name, name, height[name]), *between, (other, other, height[other])]


def _ordered(floors: Sequence[Sequence[Place]], paths: Iterable[Sequence[Place]]) -> list[list[Place]]:
    """The floors with each place near those that it is tied to: the mean of their positions, a few times over."""
    tied: dict[Place, list[Place]] = {place: [] for floor in floors for place in floor}
    for path in paths:
        for above, below in pairwise(path):
            tied[above].append(below)
            tied[below].append(above)
    found = [sorted(floor) for floor in floors]
    for _ in range(12):
        at = {place: x for place, (x, _) in _positions(found).items()}
        for floor in found:
            floor.sort(key=lambda place: (round(fmean([at[one] for one in tied[place] or [place]]), 6), place))
    return found


def _positions(floors: Sequence[Sequence[Place]]) -> dict[Place, tuple[float, float]]:
    """Upper left corner of each place; every floor is centred."""
    widths = [sum(_width(place) + GAP for place in floor) - GAP for floor in floors]
    found = {}
    for number, floor in enumerate(floors):
        x = MARGIN + (max(widths) - widths[number]) / 2
        for place in floor:
            found[place] = x, MARGIN + (len(floors) - 1 - number) * ROW
            x += _width(place) + GAP
    return found


def _reduced(graph: Graph) -> dict[str, set[str]]:
    """The graph without the arrows that others imply."""

    def below(name: str) -> set[str]:
        return {*graph[name], *(one for other in graph[name] for one in below(other))}

    return {
        name: {one for one in taken if not any(one in below(other) for other in taken)} for name, taken in graph.items()
    }
