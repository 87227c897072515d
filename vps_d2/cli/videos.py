"""What the commands share that make a folder of results of each video they are given."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vps_d2.cli.arguments import (
    CommandParser,
    add_shard_option,
    parse_count,
    parse_positive,
    parse_rate,
)
from vps_d2.cli.plugins import add_import_option
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls, print_line

if TYPE_CHECKING:
    from vps_d2.io.video import VideoSource

__all__ = [
    "add_engine_options",
    "add_overlay_option",
    "add_override_options",
    "add_prompt_options",
    "add_range_options",
    "add_rate_option",
    "add_run_options",
    "check_first",
    "check_range",
    "clean_each",
    "count_words",
    "list_inputs",
    "print_notes",
    "run_each",
]


def add_range_options(parser: CommandParser) -> None:
    """Add the options that say which frames of a video are taken, and at what times."""
    add = parser.add_argument
    add("--start", type=parse_count, default=0, metavar="K", help="first frame, counted from 0")
    add("--end", type=parse_positive, metavar="K", help="frame to stop before")
    add_rate_option(parser)


def add_rate_option(parser: CommandParser) -> None:
    """Add the option for the rate of a folder of pictures."""
    parser.add_argument(
        "--rate",
        type=parse_rate,
        metavar="FPS",
        help="frames per second of a folder of pictures (default: 25)",
    )


def add_overlay_option(parser: CommandParser) -> None:
    """Add the option for ``overlay.mp4``."""
    parser.add_argument(
        "--overlay",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write overlay.mp4, the objects over the video with its sound (default)",
    )


def add_run_options(parser: CommandParser) -> None:
    """Add the options of resuming and cleaning, and those that come last."""
    add = parser.add_argument
    add("--resume", action="store_true", help="go on with an interrupted run")
    add_shard_option(add)
    add(
        "--clean",
        action="store_true",
        help="remove the results of an earlier run for these inputs, and nothing else",
    )
    add_override_options(parser)


def add_override_options(parser: CommandParser) -> None:
    """Add ``--import``, and ``--opts``, which comes last."""
    add_import_option(parser)
    parser.add_argument(
        "--opts",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="KEY VALUE",
        help="config keys to override; must come last",
    )


def add_engine_options(parser: CommandParser) -> None:
    """Add the options that say what follows the objects."""
    add = parser.add_argument
    add(
        "--engine",
        metavar="NAME",
        help="what follows the objects: small (default), stcn, sam2:NAME, edgetam:NAME or flow",
    )
    add("--config-file", metavar="FILE", help="config of a model that the engine loads")
    add("--weights", metavar="FILE", help="weights of that config")
    add("--device", metavar="NAME", help="of PyTorch (default: a GPU if there is one, else cpu)")
    add(
        "--short-side",
        type=parse_positive,
        metavar="N",
        help="pixels of the shorter side at which the engine works; masks keep the video's size "
        "(default: what suits the engine)",
    )


def add_prompt_options(parser: CommandParser) -> None:
    """Add the options that say what makes masks of clicks and scribbles."""
    add = parser.add_argument
    add(
        "--prompt-weights",
        metavar="FILE",
        help="of another network that makes masks of clicks and scribbles, such as s2m.pth",
    )
    add("--prompt-config", metavar="FILE", help="config of these weights")


def check_range(parser: CommandParser, args: argparse.Namespace) -> None:
    """End the program, as for a wrong command line, if ``--end`` is not after ``--start``."""
    if args.end is not None and args.end <= args.start:
        parser.error("--end must be greater than --start")


def print_notes(notes: Iterable[str]) -> None:
    """Print sentences for the user, such as about a license, beside the results."""
    for note in filter(None, notes):
        print(escape_controls(note), file=sys.stderr)


def count_words(count: int, noun: str) -> str:
    """Return a number and its noun, such as "1 frame" or "2 frames"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def list_inputs(paths: Iterable[Path], output: Path) -> list[str]:
    """Return the paths of the videos, and tar files of videos, that are named or in a named folder.

    Args:
        paths: of videos, of tar files, or of folders that hold such and no pictures.
        output: folder for the results of each.

    Raises:
        UserError: if two would have the same results.
    """
    from vps_d2.io.tars import is_tar
    from vps_d2.io.video import list_videos, video_name

    inputs: list[str] = []
    names: dict[str, str] = {}
    for path in paths:
        own = path.name if is_tar(path) else video_name(path)
        inside = [(os.path.join(path, each), name) for each, name in list_videos(path)]
        for each, name in inside or [(str(path), own)]:
            other = names.setdefault(name, each)
            if other != each:
                raise UserError(
                    f"{each} and {other} would both be written to {output / name}; do one at a "
                    "time, with another --output."
                )
            inputs.append(each)
    return inputs


Run = Callable[["VideoSource", Path, Path], None]
"""Does something with a video, given the folder for its results and the name to report it by."""


def check_first(inputs: Iterable[str], rate: Fraction | None) -> None:
    """Open the first videos, so that a wrong one is known before long work begins.

    Raises:
        UserError: if one cannot be opened.
    """
    from vps_d2.data.folder import CHECKED
    from vps_d2.io.tars import is_tar
    from vps_d2.io.video import open_video

    for each in islice(inputs, CHECKED):
        if not is_tar(each):
            open_video(each, rate=rate)


def run_each(
    inputs: Sequence[str], output: Path, rate: Fraction | None, run: Run, resume: bool
) -> None:
    """Do something with each video; if it fails with one of several, do the others all the same.

    The results of the videos in a tar file become a tar file.

    Args:
        inputs: see :func:`list_inputs`.
        output: for the results.
        rate: frames per second of folders of pictures; None for the default.
        run: what is done with each.
        resume: keep the tar files that are there.

    Raises:
        UserError: if it failed with any of them.
    """
    from vps_d2.io.files import write_errors
    from vps_d2.io.tars import is_tar, repacked
    from vps_d2.io.video import open_video

    failures = count = 0

    def try_to_run(path: str, folder: Path, shown: Path, alone: bool) -> None:
        nonlocal failures, count
        count += 1
        try:
            source = open_video(path, rate=rate)
            run(source, folder / source.name, shown / source.name)
        except UserError as error:
            if alone:
                raise
            print_notes([f"{path} is left out: {error}"])
            failures += 1

    for each in inputs:
        if not is_tar(each):
            try_to_run(each, output, output, len(inputs) == 1)
            continue
        target = output / Path(each).name
        if resume and target.exists():
            continue
        with write_errors(output):
            output.mkdir(parents=True, exist_ok=True)
        with repacked(each, target) as (folder, results):
            for inner in list_inputs([folder], results):
                try_to_run(inner, results, target, False)
    if failures:
        raise UserError(
            f"{failures} of {count} videos were left out, for the reasons above; mend them, "
            "and run the command again with --resume."
        )


def clean_each(paths: Iterable[str], output: Path, clean: Callable[[Path], list[str]]) -> None:
    """Remove the results of an earlier run for videos, and say what was removed.

    Args:
        paths: of the videos.
        output: folder of the folders of results.
        clean: removes the results in a folder, and returns their names.

    Raises:
        UserError: if a folder holds no such results.
    """
    from vps_d2.io.video import video_name

    for path in paths:
        folder = output / video_name(Path(path))
        removed = clean(folder)
        print_line(f"{folder}: removed {', '.join(removed)}")
