"""YAML from anyone: a file or text of bounded size, depth and content, or one line that says what is wrong with it.

Aliases count as often as they are used: a few hundred bytes can stand for more values than any memory holds.
"""

from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from ottt.errors import UserError, first_line

MAX_BYTES = 2**18  # of a file
MAX_DEPTH = 50  # levels of lists and mappings, parts of a dotted key
MAX_VALUES = 300_000  # with every alias replaced by what it stands for
MAX_TEXT = 10_000  # characters of one text
MAX_NUMBER = 100  # characters of one number

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Refused(MarkedYAMLError):
    """YAML beyond a bound."""


def read_text(path: Path) -> str:
    """The text of a file of at most MAX_BYTES.

    Raises:
        UserError: it cannot be read, is none, is too large, or is not UTF-8.
    """
    try:
        mode = path.stat().st_mode
        if not S_ISREG(mode) and not S_ISDIR(mode):  # a pipe would be waited for, a device would never end
            raise UserError(f"{path}: must be a regular file, got a pipe or a device")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{path}: must have at most {MAX_BYTES:,} bytes, got more")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: must be UTF-8 text, got byte {error.object[error.start]:#x}") from error


def load_yaml(text: str, name: str) -> Any:
    """The values in `text`, as ruamel's types, which know their lines.

    Args:
        text: one YAML document.
        name: of the file or text, for messages.

    Raises:
        UserError: not YAML, or beyond a bound.
    """
    yaml = YAML(typ="rt")
    yaml.Constructor = _BoundedConstructor
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark is not None else name
        problem = (error.problem or error.context or "cannot be parsed").splitlines()[0]
        if isinstance(error, MaxDepthExceededError):
            problem = f"must have at most {MAX_DEPTH} levels of lists and groups, got more"
        kind = "" if isinstance(error, _Refused | MaxDepthExceededError) else "not valid YAML: "
        raise UserError(f"{place}: {kind}{problem}") from error
    except YAMLError as error:
        raise UserError(f"{name}: not valid YAML: {first_line(error)}") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What tags, directives and malformed numbers and dates make the parser raise.
        raise UserError(f"{name}: not valid YAML: {first_line(error)}") from error


class _BoundedConstructor(RoundTripConstructor):
    """Constructs a document within the bounds."""

    def construct_document(self, node: Node) -> Any:
        _check(node, {})
        return super().construct_document(node)


def _check(node: Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Number of values in a node and its depth, both with aliases replaced.

    Args:
        node: of a document whose depth without aliases is bounded.
        known: of nodes that were met, by identity; None: the node is being checked.

    Raises:
        _Refused: a bound does not hold.
    """
    if isinstance(node, ScalarNode):
        _check_scalar(node)
        return 1, 1
    if id(node) not in known:
        known[id(node)] = None
        parts = node.value if not isinstance(node, MappingNode) else [part for pair in node.value for part in pair]
        sizes = [_check(part, known) for part in parts]
        known[id(node)] = 1 + sum(count for count, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)
    found = known[id(node)]
    if found is None:
        raise _refused(node, "must not contain itself")
    count, depth = found
    if count > MAX_VALUES:
        raise _refused(node, f"must stand for at most {MAX_VALUES:,} values, got {count:,}")
    if depth > MAX_DEPTH:
        raise _refused(node, f"must have at most {MAX_DEPTH} levels of lists and groups, got {depth}")
    return found


def _check_scalar(node: ScalarNode) -> None:
    is_number = str(node.ctag) in _NUMBERS
    longest, what = (MAX_NUMBER, "a number") if is_number else (MAX_TEXT, "a text")
    if len(node.value) > longest:
        raise _refused(node, f"{what} must have at most {longest:,} characters, got {len(node.value):,}")


def _refused(node: Node, problem: str) -> _Refused:
    return _Refused(problem=problem, problem_mark=node.start_mark)
