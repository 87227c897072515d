"""Measure how fast each part of the project is on this machine.

Every figure is the median of repeats after a warm-up. Models have random weights, on which their
speed does not depend, except that Mask R-CNN takes longer the more it detects.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.d2.utils.events import EventStorage
from vps_d2.data.clips import ClipSpec
from vps_d2.data.mappers import FrameMapper, FutureFramesMapper
from vps_d2.data.video import (
    MASK_FILE,
    find_videos,
    frame_indices,
    frame_path,
    read_frames,
    read_masks,
)
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.models import LoadedModel
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model, check_model
from vps_d2.modeling.precision import computes_in_bfloat16, inference_autocast
from vps_d2.modeling.tasks import Task, check_task

_TASKS: dict[str, Task] = {
    "predictor": "frames",
    "segmenter": "segmentation",
    "mask_predictor": "future_masks",
}
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Args:
        name: of what was measured.
        value: the median.
        unit: of the value.
        repeats: how many measurements it is the median of.
    """

    name: str
    value: float
    unit: str
    repeats: int


def median_seconds(step: Callable[[], object], repeats: int) -> float:
    """Return the median time of ``step`` in seconds, after a warm-up call."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


class Benchmark:
    """The measurements, each a method that returns its figures.

    Args:
        data: folder of labeled videos.
        predictor_config: file of the video predictor.
        segmenter_config: file of the segmenter of frames.
        mask_predictor_config: file of the predictor of masks.
        device: that models run on.
        repeats: of each measurement.
        batch_size: videos, and frames, in a batch.

    Raises:
        UserError: if there are no videos, or a configuration is wrong or describes another kind of
            model.
    """

    def __init__(
        self,
        data: Path,
        predictor_config: Path,
        segmenter_config: Path,
        mask_predictor_config: Path,
        *,
        device: str = "cpu",
        repeats: int = 5,
        batch_size: int = 4,
    ) -> None:
        self.folders = find_videos(data)
        self.device = device
        self.configs = {
            "predictor": self._load("predictor", predictor_config),
            "segmenter": self._load("segmenter", segmenter_config),
            "mask_predictor": self._load("mask_predictor", mask_predictor_config),
        }
        self.repeats = repeats
        self.batch_size = batch_size

    def _figure(self, name: str, value: float, unit: str) -> Figure:
        return Figure(name, value, unit, self.repeats)

    def _folder(self, index: int) -> Path:
        return self.folders[index % len(self.folders)]

    def loader(self) -> list[Figure]:
        """Measure reading and decoding frames, in one thread."""
        videos = [(folder, frame_indices(folder)) for folder in self.folders[:8]]

        def step() -> None:
            for folder, indices in videos:
                read_frames(folder, indices)

        count = sum(len(indices) for _, indices in videos)
        return [self._figure("loader", count / median_seconds(step, self.repeats), "frames/s")]

    def predictor(self) -> list[Figure]:
        """Measure training and inference of the video predictor."""
        return self._model("predictor", "s/video")

    def segmenter(self) -> list[Figure]:
        """Measure training and inference of the segmenter."""
        return self._model("segmenter", "s/frame")

    def _model(self, kind: str, unit: str) -> list[Figure]:
        figures = []
        for precision in PRECISIONS:
            loaded = self._build(kind, precision)
            name = loaded.cfg.MODEL.META_ARCHITECTURE
            train, infer = self._inputs(kind, True), self._inputs(kind, False)
            optimizer = torch.optim.SGD(loaded.model.parameters(), lr=1e-6)
            loaded.model.train()
            step = self._training_step(loaded, optimizer, train)
            seconds = median_seconds(step, self.repeats) / len(train)
            figures.append(self._figure(f"{name} training, {precision}", seconds, unit))
            loaded.model.eval()
            seconds = median_seconds(partial(loaded.__call__, infer), self.repeats) / len(infer)
            figures.append(self._figure(f"{name} inference, {precision}", seconds, unit))
        return figures

    def _load(self, kind: str, config: Path) -> CfgNode:
        cfg = load_config(config)
        cfg.MODEL.DEVICE = self.device
        try:
            check_model(cfg)
        except UserError as error:
            raise UserError(f"{config}: {error}") from error
        check_task(cfg, _TASKS[kind], str(config))
        return cfg

    def _build(self, kind: str, precision: str) -> LoadedModel:
        cfg = self.configs[kind].clone()
        cfg.MODEL.CHANNELS_LAST = None  # the faster one
        cfg.SOLVER.AMP.ENABLED = True
        cfg.SOLVER.AMP.DTYPE = precision
        torch.manual_seed(0)
        return LoadedModel(build_model(cfg), cfg)

    def _inputs(self, kind: str, training: bool) -> list[dict[str, Any]]:
        inputs = []
        for index in range(self.batch_size):
            folder = self._folder(index)
            height, width = read_frames(folder, [0]).shape[1:3]
            num_frames = len(frame_indices(folder))
            record: dict[str, Any] = {"height": height, "width": width}
            if kind == "predictor":
                record |= {"video_id": index, "video_name": folder.name, "folder": str(folder)}
                record["num_frames"] = num_frames
                clips = FutureFramesMapper(
                    is_train=training, clip=ClipSpec.from_config(self.configs[kind])
                )
                inputs.append(clips(record))
            else:
                middle = (num_frames - 1) // 2
                record |= {"file_name": str(frame_path(folder, middle)), "image_id": index}
                record |= {"mask_file_name": str(folder / MASK_FILE), "mask_index": middle}
                inputs.append(FrameMapper(is_train=training)(record))
        return inputs

    def _training_step(
        self, loaded: LoadedModel, optimizer: torch.optim.Optimizer, inputs: list[dict[str, Any]]
    ) -> Callable[[], None]:
        def step() -> None:
            with EventStorage(), inference_autocast(loaded.cfg):
                loss = sum(loaded.model(inputs).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step

    def mask_predictor(self) -> list[Figure]:
        """Measure inference of the mask predictor from true masks, with 4 times the batch size."""
        figures = []
        count = ClipSpec.from_config(self.configs["mask_predictor"]).num_input
        inputs = [
            {"masks": torch.from_numpy(read_masks(self._folder(index))[:count].copy())}
            for index in range(4 * self.batch_size)
        ]
        for precision in PRECISIONS:
            loaded = self._build("mask_predictor", precision)
            loaded.model.eval()
            seconds = median_seconds(partial(loaded.__call__, inputs), self.repeats) / len(inputs)
            name = f"{loaded.cfg.MODEL.META_ARCHITECTURE} inference, {precision}"
            figures.append(self._figure(name, 1000 * seconds, "ms/video"))
        return figures

    def pipeline(self) -> list[Figure]:
        """Measure the pipeline of predictor and segmenter."""
        return [self._pipeline(precision) for precision in PRECISIONS]

    def _pipeline(self, precision: str) -> Figure:
        models = [self._build(kind, precision) for kind in ("predictor", "segmenter")]
        for loaded in models:
            loaded.model.eval()
        pipeline = FutureMaskPredictor(*models, batch_size=self.batch_size)
        frames = np.stack(
            [
                read_frames(self._folder(index), range(pipeline.num_known))
                for index in range(self.batch_size)
            ]
        )
        seconds = median_seconds(lambda: pipeline(frames), self.repeats)
        return self._figure(f"pipeline, {precision}", seconds / self.batch_size, "s/video")


def generator_figure(generate: Callable[[Path, int], None], repeats: int, count: int) -> Figure:
    """Measure the generation of videos, including their files but not the start of the command.

    Args:
        generate: makes a number of videos in a folder, in one process.
        repeats: of the measurement.
        count: of videos.
    """
    speeds = []
    for _ in range(repeats):
        seconds = []
        for number in (1, 1 + count):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                generate(Path(folder), number)
                seconds.append(time.perf_counter() - start)
        speeds.append(count / max(seconds[1] - seconds[0], 1e-9))
    return Figure("generator", statistics.median(speeds), "videos/s", repeats)


def describe_machine(device: str) -> str:
    """Return a line that describes the machine."""
    _, words = computes_in_bfloat16(device)
    return f"{words}, {torch.get_num_threads()} thread(s)"


def format_table(figures: list[Figure]) -> str:
    """Return figures as a table, with the speedup of reduced precision."""
    lines = [f"{each.name:<48}{each.value:>10.3f} {each.unit}" for each in figures]
    values = {each.name: each.value for each in figures}
    plain, fast = PRECISIONS
    for name, value in values.items():
        other = values.get(name.replace(plain, fast))
        if name.endswith(plain) and other:
            lines.append(f"{name.split(',')[0] + ', gain':<48}{value / other:>10.2f} x")
    return "\n".join(lines)


def to_report(figures: list[Figure], device: str) -> dict[str, Any]:
    """Return figures and the machine, for JSON."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "computes_in_bfloat16": computes_in_bfloat16(device)[0],
        "threads": torch.get_num_threads(),
        "figures": [asdict(each) for each in figures],
    }
