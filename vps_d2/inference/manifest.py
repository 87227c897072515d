"""The manifest of a folder of results: which files a run wrote, so that only they are removed."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, write_errors
from vps_d2.io.folders import claim_folder

MANIFEST_FILE = "segmentation.json"
"""What a result was made of, and under "files" what belongs to it."""

_PICTURES = "[0-9]" * 6 + "*.png"  # in a folder that belongs to a result


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder of results, None if there is none.

    Raises:
        UserError: if it cannot be read.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        manifest = None
    known = isinstance(manifest, dict) and isinstance(manifest.get("files"), list)
    if not known or not all(isinstance(name, str) for name in manifest["files"]):
        raise UserError(f"{path} is damaged; delete the folder, or choose another one.")
    return dict(manifest)


def clean_folder(folder: Path, possible: Collection[str]) -> list[str]:
    """Remove the files that a manifest names, the manifest, and the folder if nothing is left.

    Args:
        folder: of the results.
        possible: names that a run can have written; others are kept, whatever the manifest says.

    Returns:
        the names of what was removed.

    Raises:
        UserError: if the folder holds no results, or another run is writing it.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder} holds no results of an earlier run; nothing was removed.")
    with claim_folder(folder), write_errors(folder):
        removed = remove_files(folder, manifest["files"], possible)
        (folder / MANIFEST_FILE).unlink()
    with suppress(OSError):  # it holds files of somebody else
        folder.rmdir()
    return [*removed, MANIFEST_FILE]


def remove_files(folder: Path, names: Iterable[str], possible: Collection[str]) -> list[str]:
    """Remove files, and of folders the numbered pictures.

    Args:
        folder: that holds them.
        names: of what to remove.
        possible: see :func:`clean_folder`.

    Returns:
        the names of what was removed.
    """
    removed = []
    for name in sorted({*names} & {*possible}):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            for file in path.glob(_PICTURES):
                file.unlink()
            with suppress(OSError):
                path.rmdir()
        elif path.is_file() or path.is_symlink():
            path.unlink()
        else:
            continue
        removed.append(name)
    return removed
