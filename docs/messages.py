"""The page of all messages to users, read from the source: no message can be missing there."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from docs.rooms import NOTE

ROOT = Path(__file__).parents[1]
PACKAGES = ("ottt", "analysis", "experiments")
SHORTEST = 12  # characters that a message must have besides what varies
_INTRODUCTION = """\
Every message about invalid input, and every note, as it stands in the code; `…` is what varies. A message begins with
its place. What to do about the frequent ones is in [troubleshooting.md](troubleshooting.md)."""


def page() -> str:
    """The page's text."""
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _files()}
    errors = _errors(sources.values()) | {"UserError", "warn", "ValueError"}
    parts = [NOTE, "# Messages", _INTRODUCTION]
    for package in PACKAGES:
        rows: dict[str, str] = {}
        for path, tree in sources.items():
            module = path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")
            if module.partition(".")[0] == package:
                rows |= {message: module for message in _messages(tree, errors) if message not in rows}
        table = ["| message | module |", "|---|---|", *(f"| `{text}` | `{rows[text]}` |" for text in sorted(rows))]
        parts += [f"## {package}", "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def texts() -> set[str]:
    """Every text in the code, with `…` for what varies."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in _files()]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr))
    return {text for node in nodes for text in _texts(node)}


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _errors(trees: Iterable[ast.Module]) -> set[str]:
    """Names of the classes that derive from UserError, directly or not."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"UserError"}
    while more := {name for name, own in bases.items() if own & found} - found:
        found |= more
    return found


def _messages(tree: ast.Module, errors: set[str]) -> Iterator[str]:
    """Texts with which a module makes an error of `errors`, or warns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in errors:
            for argument in node.args:
                if isinstance(argument, ast.Starred):
                    argument = getattr(argument.value, "elt", argument.value)
                for text in _texts(argument):
                    if len(text.replace("…", "").strip()) >= SHORTEST:
                        yield text.replace("|", "\\|").replace("`", "'").replace("\n", " ")


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can give."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in values]
            yield "".join(map(str, parts)).strip()
        case ast.IfExp(body=body, orelse=other):
            yield from _texts(body)
            yield from _texts(other)
        case ast.BinOp(left=left, op=ast.Add()):
            yield from _texts(left)
