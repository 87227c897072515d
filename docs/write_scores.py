"""Write the scores measured by the leaderboard to the pages that show them.

``docs/scores/`` holds the figures, each once: ``generated.json`` and ``real.json`` as ``vps-d2
leaderboard`` writes them, ``copies.json`` for copies of the true mask of frame 11, and
``published.json``. Pages hold them between ``<!-- scores: NAME -->`` and
``<!-- end of scores -->``. ``make scores`` runs this; ``--generated`` and ``--real`` add new
measurements, and ``--frames`` adds those of predicted frames, as ``vps-d2 evaluate`` writes them.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / "docs" / "scores"
PAGES = ("README.md", "docs/scores.md", "docs/frames.md", "vps_d2/weights/README.md")
BEST = "unet_object_dynamics"
FRAMES = {
    "object_frames_unet": "objects moved by ObjectDynamics",
    "simvp_unet": "SimVP",
    "copy": "frame 11, copied",
}
# What the leaderboard's JSON says of each video and class is too much to keep.
_KEPT = ("title", "jaccard", "jaccard_interval", "segmentation", "parameters")
_MARK = re.compile(r"(<!-- scores: (\w+) -->\n)(.*?)(<!-- end of scores -->)", re.DOTALL)

Figures = dict[str, dict[str, Any]]


def read(name: str) -> Figures:
    """Return the figures of one file, by method."""
    figures: Figures = json.loads((SCORES / f"{name}.json").read_text(encoding="utf-8"))
    return figures


def take_in(name: str, leaderboard: Path) -> None:
    """Replace the figures of a file by those that the leaderboard measured."""
    report = json.loads(leaderboard.read_text(encoding="utf-8"))
    kept = {method: {key: row[key] for key in _KEPT} for method, row in report.items()}
    text = json.dumps(kept, indent=2) + "\n"
    (SCORES / f"{name}.json").write_text(text, encoding="utf-8")


def take_in_frames(videos: str, pipeline: str, scores: Path) -> None:
    """Keep the scores of a pipeline's frames on some videos, and those of copying frame 11."""
    report = json.loads(scores.read_text(encoding="utf-8"))
    figures = read("frames")
    rows = figures.setdefault(videos, {})
    rows[pipeline] = {"jaccard": report["jaccard"], **report["frames"]}
    rows["copy"] = {"jaccard": report["copy"]["jaccard"], **report["copied_frames"]}
    text = json.dumps(figures, indent=2) + "\n"
    (SCORES / "frames.json").write_text(text, encoding="utf-8")


def frames_table() -> str:
    """Return the table of predicted frames."""
    rows = []
    for videos, methods in read("frames").items():
        for method in (each for each in FRAMES if each in methods):
            row = methods[method]
            cells = [f"{row['num_videos']} {videos}", FRAMES[method], f"{row['mse']:.0f}"]
            others = [f"{row[name]:.3f}" for name in ("ssim", "flip", "jaccard")]
            rows.append([*cells, f"{row['psnr']:.1f}", *others])
    head = ["videos", "frames 12-22", "MSE", "PSNR (dB)", "SSIM", "FLIP", "Jaccard, frame 22"]
    return _table(head, rows)


def method_table(name: str) -> str:
    """Return the table of all methods on one set of videos, the best first."""
    published = read("published") if name == "real" else {}
    head = ["method", "Jaccard (95 % interval)", "segmentation alone", "parameters"]
    rows = []
    for method, row in sorted(read(name).items(), key=lambda each: -each[1]["jaccard"]):
        cells = [
            row["title"],
            _score(row),
            f"{row['segmentation']:.3f}",
            f"{row['parameters'] / 1e6:.1f} M",
        ]
        if published:
            cells.append(str(published.get(method, {}).get("jaccard", "-")))
        rows.append(cells)
    return _table([*head, "published"] if published else head, rows)


def headline() -> str:
    """Return the table of the best method on every set of videos."""
    copies = read("copies")
    sets = {"generated": "100 generated", "real": "40 real"}
    rows = [[sets[name], _score(read(name)[BEST]), f"{copies[name]:.3f}"] for name in sets]
    return _table(["videos", "Jaccard (95 % interval)", "true mask of frame 11, copied"], rows)


def _score(row: dict[str, Any]) -> str:
    low, high = row["jaccard_interval"]
    return f"{row['jaccard']:.3f} ({low:.3f}-{high:.3f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def render(text: str) -> str:
    """Return a page with new tables between its marks."""
    tables = {"headline": headline, "frames": frames_table}

    def replace(match: re.Match[str]) -> str:
        name = match[2]
        table = tables[name]() if name in tables else method_table(name)
        return f"{match[1]}{table}{match[4]}"

    return _MARK.sub(replace, text)


def main() -> None:
    """Take in new figures, if there are some, and write all pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("generated", "real"):
        parser.add_argument(f"--{name}", type=Path, help="leaderboard.json to take in")
    parser.add_argument(
        "--frames",
        nargs=3,
        action="append",
        default=[],
        metavar=("VIDEOS", "PIPELINE", "FILE"),
        help="scores.json of vps-d2 evaluate --copy, such as: real simvp_unet scores.json",
    )
    args = parser.parse_args()
    for videos, pipeline, scores in args.frames:
        take_in_frames(videos, pipeline, Path(scores))
    for name in ("generated", "real"):
        if getattr(args, name):
            take_in(name, getattr(args, name))
    for page in PAGES:
        path = ROOT / page
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
