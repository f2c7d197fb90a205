"""Download of published files."""

import tempfile
from pathlib import Path
from urllib.error import URLError

from ottt.data.files import SourceFile, verify
from ottt.errors import UserError


def fetch(file: SourceFile, root: Path) -> Path:
    """Download `file` to its place below `root`; it appears there complete and verified, or not at all.

    Raises:
        UserError: the download failed, or the file is not the published one.
    """
    from torchvision.datasets.utils import download_url

    target = root / file.path
    if not file.fetchable:
        raise UserError(f"{target}: cannot be fetched by a program; get it from {file.url} and put it there")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{file.name}-") as folder:
        partial = Path(folder) / file.name
        try:
            download_url(file.url, folder, file.name)
        except (URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise UserError(f"{target}: cannot be fetched from {file.url}: {reason}") from error
        verify(partial, file)
        return partial.replace(target)
