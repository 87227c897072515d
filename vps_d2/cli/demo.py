"""Generate videos, predict, segment and label, and show the results on a page."""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vps_d2.cli.arguments import CommandParser
from vps_d2.io.errors import UserError
from vps_d2.io.escape import print_line

EPILOG = "example: vps-d2 demo --output output/demo --videos 24"
PIPELINE = "package://configs/demo.yaml"
COPY = "package://configs/pipeline/copy_unet.yaml"


class Labeling(NamedTuple):
    """What came of labeling a video.

    Attributes:
        folder: of the results.
        lines: what was done.
        scores: mean intersection over union after following the objects, and after each correction.
    """

    folder: Path
    lines: list[str]
    scores: list[float]


def parse_args(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(prog, __doc__, EPILOG)
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        default=Path("output/demo"),
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )
    add("--videos", type=int, default=24, metavar="N", help="videos to make (default: %(default)s)")
    add(
        "--seed",
        type=int,
        default=20231,
        metavar="N",
        help="random seed; the default was never trained on (default: %(default)s)",
    )
    add("--gif", type=int, default=6, metavar="N", help="videos to draw (default: %(default)s)")
    return parser.parse_args(argv)


def run_step(title: str, command: str, *arguments: object) -> None:
    """Run one of the commands, after printing it so that it can be repeated by hand.

    Raises:
        UserError: if it fails; it has printed its own error by then.
    """
    words = [command, *map(str, arguments)]
    print(f"\n== {title}\n$ vps-d2 {shlex.join(words)}", flush=True)
    if subprocess.run([sys.executable, "-m", "vps_d2", *words]).returncode:
        raise UserError(f"the demo stopped because vps-d2 {command} failed; see its error above.")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the demo.

    Args:
        argv: arguments; None for those of the command line.
        prog: how the command was called; None for the name of the script.

    Raises:
        UserError: if a step fails.
    """
    args = parse_args(argv, prog)
    out = args.output.resolve()
    data = out / "data" / f"seed_{args.seed}_{args.videos}"
    hidden, truth = data / "hidden", data / "hidden_truth.npy"

    run_step(
        "Generate videos with a seed never trained on", "make-synthetic",
        "--out", data, "--train", 0, "--val", 0, "--unlabeled", 0, "--hidden", args.videos,
        "--seed", args.seed,
    )  # fmt: skip
    run_step(
        "Predict frames 12-22 and the mask of frame 22", "predict",
        "--config-file", PIPELINE, "--input", hidden, "--output", out, "--gif", args.gif,
    )  # fmt: skip
    run_step(
        "For comparison: segment frame 11 and copy it", "predict",
        "--config-file", COPY, "--input", hidden, "--output", out / "copy",
    )  # fmt: skip
    scores = {}
    for name, folder in (("pipeline", out), ("copy", out / "copy")):
        report = folder / "scores.json"
        run_step(
            f"Score the {name}", "evaluate",
            "--pred", folder / "hidden_masks.npy", "--truth", truth, "--json", report,
        )  # fmt: skip
        scores[name] = json.loads(report.read_text(encoding="utf-8"))["jaccard"]
    run_step(
        "Draw a contact sheet", "visualize",
        "--config-file", PIPELINE, "--input", hidden, "--output", out / "pictures",
        "--truth", truth, "--videos", args.gif,
    )  # fmt: skip
    clip = make_clip(out / "data" / f"clip_{args.seed}", args.seed)
    run_step(
        "Segment a whole video, with objects that keep their identity", "segment",
        clip, "--model", "vps", "--output", out / "segment", "--resume",
    )  # fmt: skip
    print("\n== Label the video: click on its objects, follow them, and correct the worst frames")
    labeling = label_clip(clip, out / "labels")
    page = write_page(out, clip, scores, labeling)
    print(f"\nJaccard index of the mask of frame 22: {scores['pipeline']:.3f}")
    print(f"copying the segmentation of frame 11:  {scores['copy']:.3f}\n")
    print_line(f"masks     {out / 'hidden_masks.npy'}")
    print_line(f"look at   {page}")


def make_clip(data: Path, seed: int) -> Path:
    """Generate one video of 22 frames with true masks, and return its folder."""
    run_step(
        "Generate a longer video", "make-synthetic", "--out", data, "--val", 1, "--seed", seed,
    )  # fmt: skip
    (clip,) = (data / "val").iterdir()
    return clip


def label_clip(clip: Path, out: Path) -> Labeling:
    """Label a video as a person would on the page of vps-d2 annotate, by a robot's clicks.

    Args:
        clip: folder of a generated video.
        out: folder for the session and what is exported from it.
    """
    import numpy as np

    from vps_d2.data.video import read_masks
    from vps_d2.evaluation.scripted_session import run_scripted_session
    from vps_d2.inference.vos.engines import find_vos_engine
    from vps_d2.inference.vos.prompts import find_mask_maker
    from vps_d2.inference.vos.session import VOSSession
    from vps_d2.inference.vos.store import remove_session
    from vps_d2.io.video import open_video

    classes = read_masks(clip)
    numbers = np.zeros(256, np.uint8)  # each object has a class of its own
    present = [number for number in np.unique(classes).tolist() if number]
    numbers[present] = range(1, len(present) + 1)
    engine = find_vos_engine()
    if (out / "session").exists():
        remove_session(out / "session")
    lines: list[str] = []

    def tell(line: str) -> None:
        print_line(line)
        lines.append(line)

    with VOSSession(
        open_video(clip), out / "session", engine, mask_maker=find_mask_maker(engine)
    ) as session:
        scores = run_scripted_session(session, list(numbers[classes]), tell)
        session.export(out / "overlay.mp4", "overlay")
        session.export(out / "masks", "palette")
    return Labeling(out, lines, scores)


def write_page(out: Path, clip: Path, scores: dict[str, float], labeling: Labeling) -> Path:
    """Write the page that shows all that was made, and return its path."""
    from vps_d2.io.files import write_whole
    from vps_d2.visualization.gallery import Section, format_gallery

    segmented = out / "segment" / clip.name
    films = [(path.stem, path) for path in sorted((out / "gifs").glob("*.gif"))]
    after = [
        "after following them",
        *(f"after correction {i}" for i in range(1, len(labeling.scores))),
    ]
    sections = [
        Section(
            "Predicted",
            "From 11 frames of videos that the models have never seen, frames 12 to 22 and the "
            "mask of frame 22. Each film shows the input, then the prediction.",
            [
                *films,
                *(
                    (path.stem.replace("_", " "), path)
                    for path in sorted((out / "pictures").glob("*.png"))
                ),
            ],
            [
                ("Jaccard index of the mask of frame 22", f"{scores['pipeline']:.3f}"),
                ("the segmentation of frame 11, copied", f"{scores['copy']:.3f}"),
            ],
        ),
        Section(
            "Segmented",
            "vps-d2 segment finds the objects of a video, and follows each through it.",
            [("objects", segmented / "overlay.mp4"), ("its own page", segmented / "summary.html")],
        ),
        Section(
            "Labeled",
            "What a person does on the page of vps-d2 annotate, here done by a robot that knows "
            "the true masks: a click makes a mask, the mask follows its object, and the worst "
            "frames are corrected. The numbers compare the masks with the true ones.",
            [("labeled objects", labeling.folder / "overlay.mp4")],
            [
                (f"mean IoU {when}", f"{score:.3f}")
                for when, score in zip(after, labeling.scores, strict=True)
            ],
            labeling.lines,
        ),
        Section(
            "Try it",
            "The same video on the page for labeling, and your own video segmented:",
            lines=[f"vps-d2 annotate {clip}", "vps-d2 segment clip.mp4"],
        ),
    ]
    page = out / "index.html"
    with write_whole(page) as file:
        text = "What vps-d2 demo made on this machine, with the shipped weights."
        file.write(format_gallery("vps_d2 demo", text, sections, out).encode())
    return page
