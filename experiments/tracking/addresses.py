"""Corrects the addresses of artifacts in a SQLite store whose folder was copied or moved.

MLflow keeps absolute addresses. A copy would otherwise write into the folder that it was copied from, and a moved
folder would make the old one again.
"""

import shutil
from pathlib import Path
from sqlite3 import Connection

from analysis.store.addresses import ARTIFACTS, local_path
from ottt.schema import Tag

# Columns of MLflow 3.17 that hold addresses.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
# Folders of experiments, by the experiments themselves and by their runs, unless all runs are another program's.
_FOLDERS = f"""
SELECT artifact_location FROM experiments WHERE experiment_id NOT IN (SELECT experiment_id FROM runs)
UNION SELECT e.artifact_location FROM experiments e JOIN runs USING (experiment_id) JOIN tags t USING (run_uuid)
WHERE t.key = '{Tag.KIND}'
UNION SELECT substr(artifact_uri, 1, length(artifact_uri) - length('/' || run_uuid || '/artifacts'))
FROM runs JOIN tags t USING (run_uuid)
WHERE t.key = '{Tag.KIND}' AND artifact_uri LIKE '%/' || run_uuid || '/artifacts'
"""


def correct_addresses(store: Connection, folder: Path) -> None:
    """Let addresses below the `artifacts` of another folder name those of `folder`, all of them or none.

    Experiments of other programs are left alone. Artifacts that are in the other folder and not in this one are copied.

    Args:
        store: connection to the SQLite file.
        folder: absolute path of its folder.
    """
    here = (folder / ARTIFACTS).as_uri()
    moved = {
        old: f"{here}/{name}"
        for (old,) in store.execute(_FOLDERS)
        for above, _, name in [old.rpartition("/")]
        if above.startswith("file:") and above.endswith(f"/{ARTIFACTS}") and above != here
    }
    for old, new in moved.items():
        _bring(local_path(old), local_path(new))
    with store:
        for old, new in moved.items():
            for table, column in _COLUMNS:
                store.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )


def _bring(old: Path | None, new: Path | None) -> None:
    """Copy a folder to where it should be, unless it is there; a copy that was cut short is made again."""
    if old is not None and new is not None and old.is_dir() and not new.exists():
        partial = new.with_name(f"{new.name}.new")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(old, partial)
        partial.rename(new)
