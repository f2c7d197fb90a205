"""Errors caused by user input. Standard library only."""


class UserError(Exception):
    """A mistake in user input: one line per problem, with place, rule and value.

    Attributes:
        problems: the lines, in the order found; `str(error)` joins them.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def first_line(error: BaseException) -> str:
    """The first line of the error's message; the error's type if the message is empty."""
    return next(iter(str(error).splitlines()), type(error).__name__)
