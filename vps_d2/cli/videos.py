"""What the commands share that make a folder of results of each video they are given."""

import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls, print_line

if TYPE_CHECKING:
    from vps_d2.io.video import VideoSource

__all__ = ["clean_each", "open_each", "run_each"]


def open_each(paths: Sequence[Path], output: Path, rate: Fraction | None) -> list["VideoSource"]:
    """Open all videos, so that a wrong one is known before long work begins.

    Args:
        paths: of the videos.
        output: folder for the folders of results.
        rate: frames per second of folders of pictures; None for the default.

    Raises:
        UserError: if one cannot be opened, or two would have the same folder of results.
    """
    from vps_d2.io.video import open_video

    names: dict[str, Path] = {}
    sources = []
    for path in paths:
        source = open_video(path, rate=rate)
        other = names.setdefault(source.name, path)
        if other != path:
            raise UserError(
                f"{path} and {other} would both be written to {output / source.name}; do one at a "
                "time, with another --output."
            )
        sources.append(source)
    return sources


def run_each(sources: Sequence["VideoSource"], run: Callable[["VideoSource"], None]) -> None:
    """Do something with each video; if it fails with one of several, do the others all the same.

    Args:
        sources: the videos.
        run: what is done with each.

    Raises:
        UserError: if it failed with any of them.
    """
    failures = 0
    for source in sources:
        try:
            run(source)
        except UserError as error:
            if len(sources) == 1:
                raise
            print(escape_controls(f"{source.path} is left out: {error}"), file=sys.stderr)
            failures += 1
    if failures:
        raise UserError(
            f"{failures} of {len(sources)} videos were left out, for the reasons above; mend them, "
            "and run the command again with --resume."
        )


def clean_each(paths: Sequence[Path], output: Path, clean: Callable[[Path], list[str]]) -> None:
    """Remove the results of an earlier run for videos, and say what was removed.

    Args:
        paths: of the videos.
        output: folder of the folders of results.
        clean: removes the results in a folder, and returns their names.

    Raises:
        UserError: if a folder holds no such results.
    """
    for path in paths:
        folder = output / (path.resolve().name if path.is_dir() else path.stem)
        removed = clean(folder)
        print_line(f"{folder}: removed {', '.join(removed)}")
