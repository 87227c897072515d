"""Folders of results of a video: what made them, and which files in them may be replaced.

A manifest, a JSON file, names the run and the files that it writes. Only these are ever removed, so
files that somebody else put into the folder are safe.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vps_d2 import __version__
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, write_errors, write_json
from vps_d2.io.folders import claim_folder
from vps_d2.io.video import VideoSource

__all__ = [
    "MASKS_FOLDER",
    "OVERLAY_FILM",
    "check_results",
    "clean_folder",
    "load_manifest",
    "remove_pictures",
    "remove_results",
    "write_manifest",
]

MASKS_FOLDER = "masks"
"""Holds a PNG of object numbers for each frame, named by its index."""
OVERLAY_FILM = "overlay.mp4"
"""The objects drawn over the video, with its sound."""

Removers = Mapping[str, Callable[[Path], None]]
"""What removes a folder of results, by its name; all other results are files."""


def load_manifest(path: Path) -> dict[str, Any] | None:
    """Return a manifest, None if there is none.

    Raises:
        UserError: if it cannot be read.
    """
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


def write_manifest(
    path: Path, run: str, source: VideoSource, files: Iterable[str], **more: Any
) -> None:
    """Write a manifest, whole or not at all.

    Args:
        path: of the manifest, in the folder of the results.
        run: a hash of all that the results depend on.
        source: the video.
        files: names of the files and folders that the run writes.
        more: what else is said of the run, as JSON values.

    Raises:
        UserError: if it cannot be written.
    """
    write_json(
        path,
        {
            "program": f"vps_d2 {__version__}",
            "run": run,
            "video": source.path.name,
            "height": source.height,
            "width": source.width,
            "frames_per_second": float(source.rate),
            "files": list(files),
            **more,
        },
    )


def check_results(path: Path, files: Iterable[str], run: str, resume: bool) -> dict[str, Any]:
    """Check that a run may write its results.

    Args:
        path: of the manifest, in the folder of the results.
        files: names of the files and folders that the run writes.
        run: a hash of all that the results depend on.
        resume: go on with an earlier run.

    Returns:
        the manifest of an earlier run, {} if there is none.

    Raises:
        UserError: if a file is there that no earlier run wrote, or the run to go on with is another
            one.
    """
    manifest = load_manifest(path)
    if manifest is None:
        there = [name for name in files if (path.parent / name).exists()]
        if there:
            raise UserError(
                f"{path.parent / there[0]} was not written by an earlier run, so it is not "
                "replaced; choose another output folder."
            )
        return {}
    if resume and manifest.get("run") != run:
        raise UserError(
            f"{path.parent} holds a run with another video, model or options; give the same ones "
            "to resume it, or leave out --resume to start over."
        )
    return manifest


def remove_results(
    folder: Path, names: Iterable[str], known: Collection[str], removers: Removers
) -> list[str]:
    """Remove results.

    Args:
        folder: that they are in.
        names: of files and folders, as a manifest has them.
        known: names that this kind of results can have; no others are removed.
        removers: see :data:`Removers`.

    Returns:
        the names of what was removed.
    """
    removed = []
    for name in sorted(set(names) & set(known)):
        path = folder / name
        if name in removers and path.is_dir() and not path.is_symlink():
            removers[name](path)
            removed.append(name)
        elif path.is_file() or path.is_symlink():
            path.unlink()
            removed.append(name)
    return removed


def remove_pictures(folder: Path) -> None:
    """Remove the PNGs of a folder that are named by frame indices, and then the folder."""
    for file in folder.glob("[0-9]" * 6 + "*.png"):
        file.unlink()
    with suppress(OSError):  # it holds files of somebody else
        folder.rmdir()


def clean_folder(
    path: Path, known: Collection[str], removers: Removers, more: Iterable[str] = ()
) -> list[str]:
    """Remove the results that a manifest names, and the manifest, and nothing else.

    Args:
        path: of the manifest.
        known: as for :func:`remove_results`, as are the removers.
        removers: likewise.
        more: names of unfinished files, which the manifest does not name.

    Returns:
        the names of what was removed.

    Raises:
        UserError: if there is no manifest, or another run is writing the folder.
    """
    folder = path.parent
    manifest = load_manifest(path)
    if manifest is None:
        raise UserError(f"{folder} holds no results of an earlier run; nothing was removed.")
    with claim_folder(folder), write_errors(folder):
        removed = remove_results(folder, [*manifest["files"], *more], known, removers)
        path.unlink()
    with suppress(OSError):  # it holds files of somebody else
        folder.rmdir()
    return [*removed, path.name]
