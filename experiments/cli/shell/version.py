"""`ottt --version`."""

from experiments.results.provenance import Provenance, own_version

_SHORT_COMMIT = 12  # characters


def version_line() -> str:
    """`ottt 0.1.0`, in a work tree with its commit and whether files differ from it."""
    origin = Provenance.current()
    if origin.commit is None:
        return f"ottt {own_version()}"
    return f"ottt {own_version()}, commit {origin.commit[:_SHORT_COMMIT]}{' with changes' if origin.dirty else ''}"
