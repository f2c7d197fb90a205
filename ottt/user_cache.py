"""Files that save time when they are there: in the user's cache folder, which can be deleted at any moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs

from ottt.files import replacing


def cache_folder() -> Path | None:
    """The folder, `$XDG_CACHE_HOME/ottt` on Linux; None if it cannot be made or written."""
    folder = Path(platformdirs.user_cache_dir("ottt"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder):
            return folder
    except OSError:
        return None


@contextmanager
def remembered(name: str, make: Callable[[Path], None], *, is_sound: Callable[[Path], bool]) -> Iterator[Path]:
    """A file of the cache, in the context; without a cache, a file of the context's own.

    Args:
        name: name of the file; what its content depends on is part of it.
        make: writes the file, if it is not there or not sound.
        is_sound: whether a file that is there can be used.
    """
    folder = cache_folder()
    path = None if folder is None else _kept(folder / name, make, is_sound)
    if path is not None:
        yield path
        return
    with TemporaryDirectory() as own:
        make(Path(own) / name)
        yield Path(own) / name


def _kept(path: Path, make: Callable[[Path], None], is_sound: Callable[[Path], bool]) -> Path | None:
    """The file, made if need be; None if there is no room for it."""
    try:
        if not (path.is_file() and is_sound(path)):
            with replacing(path) as partial:
                make(partial)
    except OSError:
        return None
    return path
