"""Interactive segmentation of a whole data set, into a folder of results.

The folder has ``scores.json`` with everything that was measured, ``rounds.csv`` with a row for each
round of each video, and ``curves.png``. After each video, ``scores.json`` is on the disk, and a run
that was killed goes on after the last one.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vps_d2 import __version__
from vps_d2.evaluation.interactive.rounds import RoundOptions, run_sample
from vps_d2.evaluation.interactive.samples import ROBOT, InteractiveVideo
from vps_d2.evaluation.interactive.summary import MEASURES, Round, Sample, summarize_samples
from vps_d2.inference.result_folder import check_results
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.io.errors import UserError
from vps_d2.io.files import scratch_folder, write_errors, write_json, write_text, write_whole
from vps_d2.io.folders import claim_folder
from vps_d2.visualization.curves import Curve, draw_curves

__all__ = ["SCORES_FILE", "InteractiveEvaluation"]

SCORES_FILE = "scores.json"
"""Everything that was measured, and how."""

_TABLE, _CURVES = "rounds.csv", "curves.png"


class InteractiveEvaluation:
    """Measure what comes of scribbles, on many videos.

    Args:
        videos: of a data set.
        engine: follows objects.
        mask_maker: makes masks of scribbles.
        output: folder for the results.
        options: of the rounds.
    """

    def __init__(
        self,
        videos: Sequence[InteractiveVideo],
        engine: VOSEngine,
        mask_maker: MaskMaker,
        output: Path,
        options: RoundOptions,
    ) -> None:
        self.engine, self.mask_maker = engine, mask_maker
        self.output, self.options = output, options
        self.samples = [(video, file) for video in videos for file in video.scribbles or (None,)]

    def __call__(self, resume: bool = False) -> dict[str, Any]:
        """Segment the videos, or what is left of them.

        Args:
            resume: go on with an earlier run of the same models and options; videos that it was not
                asked for are added.

        Returns:
            what ``scores.json`` has: the measures of :func:`summarize_samples`, a ``caption``, and
            all rounds of all samples.

        Raises:
            UserError: if the folder holds something else, another run is writing it, a file cannot
                be read or written, or a video has other masks than frames.
        """
        with claim_folder(self.output), write_errors(self.output):
            path = self.output / SCORES_FILE
            manifest = check_results(path, [_TABLE, _CURVES], self._fingerprint(), resume)
            known = _read_samples(manifest, path) if resume else {}
            done: list[Sample] = []
            total = len(self.samples) * self.options.num_rounds
            with tqdm(total=total, desc="scribbling", unit="round") as bar:
                for video, file in self.samples:
                    bar.set_postfix_str(video.name)
                    sample = known.get(video.fingerprint(file))
                    if sample is None:
                        with scratch_folder(self.output) as folder:
                            sample = run_sample(
                                *(video, file, (self.engine, self.mask_maker), self.options),
                                *(folder / "session", bar.update),
                            )
                    done.append(sample)
                    bar.n = len(done) * self.options.num_rounds
                    scores = self._write(done)
            self._write_report(scores, done)
        return scores

    def _fingerprint(self) -> str:
        """Return a hash of all that the scores of a video depend on, but for the video itself."""
        parts = [__version__, self.engine.fingerprint(), self.mask_maker.source]
        text = json.dumps([*parts, asdict(self.options)])
        return hashlib.sha256(text.encode()).hexdigest()

    def _write(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Write all scores so far, and return them."""
        options = self.options
        scores = {
            "program": f"vps_d2 {__version__}",
            "run": self._fingerprint(),
            "files": [_TABLE, _CURVES],
            "complete": len(samples) == len(self.samples),
            "engine": self.engine.source,
            "mask_maker": self.mask_maker.source,
            "licenses": [self.engine.license_note, self.mask_maker.license_note],
            "options": asdict(options),
            "caption": self._caption(samples),
            **summarize_samples(samples, options.num_rounds, options.object_seconds),
            "samples": [
                {"fingerprint": video.fingerprint(file), **asdict(sample)}
                for (video, file), sample in zip(self.samples, samples, strict=False)
            ],
        }
        write_json(self.output / SCORES_FILE, scores)
        return scores

    def _caption(self, samples: Sequence[Sample]) -> str:
        """Return what must be known to compare the scores with others."""
        videos = {sample.video for sample in samples}
        objects = sum(len(sample.objects) for sample in samples)
        robot = sum(sample.scribbles == ROBOT for sample in samples)
        begun = "the robot" if robot == len(samples) else "people"
        if 0 < robot < len(samples):
            begun = f"the robot in {_count(robot, 'sample')}, and people in the others"
        side, limit = self.options.short_side, self.options.object_seconds
        size = f"{side} rows" if side else "the size of the video"
        time = f"{limit:g} s per object" if limit else "no time limit"
        threads = _count(torch.get_num_threads(), "CPU thread")
        device = "a GPU" if torch.cuda.is_available() else threads
        return (
            f"{_count(len(samples), 'sample')} of {_count(len(videos), 'video')}, "
            f"{_count(objects, 'object')} in all; first scribbles by {begun}; {time}. Objects "
            f"followed at {size} by {self.engine.source}; masks of scribbles by "
            f"{self.mask_maker.source}. Times are those of this machine "
            f"({device}), so AUC and J&F@60s compare only with others measured on it."
        )

    def _write_report(self, scores: Mapping[str, Any], samples: Sequence[Sample]) -> None:
        write_text(self.output / _TABLE, _format_table(samples))
        rounds, limit = scores["rounds"], scores["max_seconds"]
        times, values = [0.0, *rounds["seconds"], limit], [0.0, *rounds["J&F"], rounds["J&F"][-1]]
        title = f"AUC {scores['AUC']:.3f}, J&F@60s {scores['J&F@60s']:.3f}"
        over_time = Curve(times, values, "seconds", title, (60.0, scores["J&F@60s"]))
        numbers = [float(number) for number in range(1, len(rounds["J&F"]) + 1)]
        picture = draw_curves(
            [over_time, Curve(numbers, rounds["J&F"], "rounds")], "J&F", scores["caption"]
        )
        with write_whole(self.output / _CURVES) as file:
            file.write(picture)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _read_samples(manifest: Mapping[str, Any], path: Path) -> dict[str, Sample]:
    """Return the samples of an earlier run, by the fingerprints of videos and scribbles."""
    try:
        return {each["fingerprint"]: _read_sample(each) for each in manifest.get("samples", ())}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged; leave out --resume to start over.") from error


def _read_sample(value: Mapping[str, Any]) -> Sample:
    numbers = tuple(map(int, value["objects"]))
    rounds = tuple(
        Round(
            int(each["frame"]),
            float(each["seconds"]),
            {
                number: {name: float(each["objects"][str(number)][name]) for name in MEASURES}
                for number in numbers
            },
        )
        for each in value["rounds"]
    )
    return Sample(str(value["video"]), str(value["scribbles"]), numbers, rounds)


def _format_table(samples: Sequence[Sample]) -> str:
    """Return a row for each round of each sample, its measures as means over objects."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["video", "scribbles", "round", "frame_index", "seconds", *MEASURES])
    for sample in samples:
        for number, each in enumerate(sample.rounds, 1):
            means = [
                sum(scores[name] for scores in each.objects.values()) / len(each.objects)
                for name in MEASURES
            ]
            place = [sample.video, sample.scribbles, number, each.frame, f"{each.seconds:.3f}"]
            table.writerow([*place, *(f"{mean:.4f}" for mean in means)])
    return text.getvalue()
