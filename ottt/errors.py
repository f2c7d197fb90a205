"""Errors that are the user's to mend. Standard library only."""


class UserError(Exception):
    """A mistake in what the user gave us: one line per problem, naming place, rule and value.

    Attributes:
        problems: the lines, in the order they were found; `str(error)` joins them.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def first_line(error: BaseException) -> str:
    """What `error` says, cut to one line; its type where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
