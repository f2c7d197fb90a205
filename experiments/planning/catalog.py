"""The studies that come with this: what each asks, how many trials it has, what it costs."""

from dataclasses import dataclass
from pathlib import Path

from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.studies import studies as study_files


@dataclass(frozen=True)
class Study:
    """A sweep spec to be launched by name.

    Attributes:
        name: that the commands take.
        question: that it answers.
        trials: how many it has.
        cost: of all of them, and how it is known.
    """

    name: str
    question: str
    trials: int
    cost: str

    @classmethod
    def of(cls, path: Path) -> "Study":
        """The study in the file `path`.

        Raises:
            UserError: one line per problem of its spec.
        """
        spec = read_spec(path)
        trials = len(expand(spec).trials) if spec.search is None else spec.search.trials * len(spec.seeds)
        return cls(spec.name, spec.question or "", trials, spec.cost or "")

    def text(self) -> str:
        """In two lines."""
        count = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        return f"{self.name}  ({count}, {self.cost})\n    {self.question}"


def studies(containing: str = "") -> list[Study]:
    """Those whose name contains the text, by name."""
    return [Study.of(path) for name, path in study_files().items() if containing in name]
