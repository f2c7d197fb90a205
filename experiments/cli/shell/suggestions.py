"""Unknown commands: the line that was probably meant."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from typer.core import TyperGroup

from ottt.errors import UserError, command

_MOST = 3  # suggestions


class SuggestingGroup(TyperGroup):
    """Commands under one name; an unknown one is answered with lines of commands that exist, wherever they are."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See click."""
        if ctx.resilient_parsing or not args or args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        group = ctx.command_path.split()[1:]
        found = suggested((*group, args[0]), list(_paths(ctx.find_root().command)))
        lines = " or ".join(f"`{command(*words, *args[1:])}`" for words in found)
        hint = f" (did you mean {lines}?)" if found else ""
        raise UserError(f"command must be one of `{command(*group, '--help')}`, got {args[0]!r}{hint}")


def suggested(given: Sequence[str], known: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Of the `known` commands those that `given` may mean, best first.

    Those with the same last word, in another group; else those of the same group that are spelt like it; else others.
    """
    *group, last = given
    if same := [path for path in known if path[-1] == last]:
        return same[:_MOST]
    siblings = [path for path in known if list(path[:-1]) == group]
    others = [path for path in known if path not in siblings]
    return (_near(last, siblings) or _near(last, others))[:_MOST]


def _near(word: str, paths: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The paths whose last word is like `word`, the nearest first."""
    order = get_close_matches(word, {path[-1] for path in paths})
    return [path for one in order for path in paths if path[-1] == one]


def _paths(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group of commands."""
    for name, one in group.commands.items():
        yield (*before, name)
        yield from _paths(one, (*before, name)) if hasattr(one, "commands") else ()
