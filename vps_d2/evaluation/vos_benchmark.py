"""Measure how fast objects are followed: each part of the work on a frame, and all of it.

The networks have random weights, on which their speed does not depend. They follow squares over a
clip of noise, in turns, frame by frame, so that other work on the machine slows all of them alike;
the parts are timed then, with the memories as full as they got.
"""

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F

from vps_d2.config.loading import load_config
from vps_d2.data.vos.maps import write_object_map
from vps_d2.evaluation.benchmark import Figure
from vps_d2.inference.vos.maps import decide
from vps_d2.inference.vos.stcn import SMALL_CONFIG, STCN_CONFIG
from vps_d2.modeling.build import build_model
from vps_d2.modeling.vos.architecture import STCN
from vps_d2.modeling.vos.flow import backward_flow, warp
from vps_d2.modeling.vos.network import with_others

__all__ = ["KEY_SCALE", "MEMORY_EVERY", "REMEMBER", "Clip", "Follower", "OurFollower", "time_vos"]

SIZE = (240, 427)
"""Rows and columns of DAVIS's frames at 240 rows."""

COUNTS = (1, 3)
"""Of objects."""

MEMORY_EVERY = 5
"""Frames from one that is remembered to the next."""

REMEMBER = f"remember, every {MEMORY_EVERY}"
"""The name of what is done for the frames that are remembered."""

KEY_SCALE = 0.05
"""Random keys are made so much shorter, or the softmax of the public code overflows."""

_NETWORKS = {"small": SMALL_CONFIG, "STCN": STCN_CONFIG}

Steps = Mapping[str, Callable[[], object]]
"""Parts of the work on a frame, by name."""


class Clip:
    """Noise, with squares to follow in the first frame.

    Args:
        num_frames: ``T``.
        size: rows and columns.
        count: of squares.

    Attributes:
        frames: uint8 ``(T, H, W, 3)``.
        object_map: of the first frame, uint8 ``(H, W)``.
        numbers: of the objects in it.
    """

    def __init__(self, num_frames: int, size: tuple[int, int], count: int) -> None:
        rng = np.random.default_rng(0)
        self.frames = rng.integers(0, 256, (num_frames, *size, 3), dtype=np.uint8)
        self.numbers = list(range(1, count + 1))
        self.object_map = np.zeros(size, np.uint8)
        side = max(2, min(size[0] // 2, size[1] // (count + 1)) - 1)
        for number in self.numbers:
            left = number * size[1] // (count + 1) - side // 2
            self.object_map[side // 2 : side // 2 + side, left : left + side] = number


class Follower(ABC):
    """A network that follows the objects of a clip; the first frame is remembered already."""

    @abstractmethod
    def follow(self, index: int) -> None:
        """Find the objects in a frame, and remember it if it is its turn.

        Args:
            index: of the frame, one after the other, from 1 on.
        """

    @abstractmethod
    def steps(self) -> Steps:
        """Return the parts of that work, to be run again and again."""


class OurFollower(Follower):
    """A network of this project.

    Args:
        config: of the model.
        device: that it runs on.
        clip: to follow.
    """

    def __init__(self, config: str, device: str, clip: Clip) -> None:
        keys = ["MODEL.DEVICE", device, "MODEL.VOS.MEMORY_EVERY", str(MEMORY_EVERY)]
        keys += ["SOLVER.AMP.ENABLED", "False"]
        torch.manual_seed(0)
        model = build_model(load_config(config, keys)).eval()
        assert isinstance(model, STCN)
        model.network.key_proj.key_proj.weight.data *= KEY_SCALE
        self.clip = clip
        self.video = model.start_video()
        self.video.remember(clip.frames[0], clip.object_map, permanent=True)

    def follow(self, index: int) -> None:
        """Find the objects in a frame; see the base class."""
        self.video.segment(self.clip.frames[index], self.clip.numbers)

    def steps(self) -> Steps:
        """Return the parts of that work, and the writing of a map."""
        network, device = self.video.network, self.video.pixel_mean.device
        count = len(self.clip.numbers)
        size = self.clip.object_map.shape
        rows, columns = (-(-side // network.stride) * network.stride for side in size)
        frame = torch.randn(1, 3, rows, columns, device=device)
        features = network.encode_key(frame)
        query, cells = features.key[0].flatten(1), features.key.shape[-2:]
        readout = torch.randn(count, network.value_channels, *cells, device=device)
        masks = with_others(torch.rand(count, rows, columns, device=device))
        last = torch.cat([masks, torch.ones_like(masks[:, :1])], 1)
        shown = self.clip.frames[-1]
        self.video.segment(shown, self.clip.numbers)  # so that it is encoded
        steps: dict[str, Callable[[], object]] = {
            "encode key": lambda: network.encode_key(frame),
            "read memory": lambda: self.video.memory.read(query, self.clip.numbers),
            "decode": lambda: network.decode(readout, features, last),
            REMEMBER: lambda: self.video.remember(shown, self.clip.object_map, False),
        }
        if network.decoder.follows:
            pair = np.random.default_rng(0).integers(0, 256, (2, rows, columns, 3), dtype=np.uint8)
            steps["optical flow"] = lambda: warp(masks, backward_flow(*pair)[None].to(device))
        return steps


class MapWriter:
    """Writes what was found in a frame, again and again.

    Args:
        clip: whose objects are found.
        path: of the file.
    """

    def __init__(self, clip: Clip, path: Path) -> None:
        self.path, self.numbers = path, clip.numbers
        height, width = clip.object_map.shape
        self.size = (height, width)
        coarse = torch.rand(1, len(self.numbers) + 1, 6, 10)
        self.probabilities = F.interpolate(coarse, self.size, mode="bilinear")[0].numpy()

    def __call__(self) -> None:
        """Decide whose each pixel is, and write the map."""
        write_object_map(self.path, decide(self.probabilities, self.numbers, self.size)[0])


def time_vos(
    *,
    device: str,
    further: Mapping[str, Callable[[Clip], Follower]] | None = None,
    size: tuple[int, int] = SIZE,
    num_frames: int = 31,
    repeats: int = 5,
) -> list[Figure]:
    """Measure the small network, the published one, and others beside them.

    Args:
        device: of the networks.
        further: makers of what else is measured, by names.
        size: rows and columns of the frames.
        num_frames: of the clip that is followed, at least 6.
        repeats: of each part.

    Returns:
        the parts in milliseconds, frames per second, and how many times as long each network takes
        as the small one, in float32.
    """
    figures = []
    for count in COUNTS:
        clip = Clip(num_frames, size, count)
        followers: dict[str, Follower] = {
            name: OurFollower(config, device, clip) for name, config in _NETWORKS.items()
        }
        followers |= {name: make(clip) for name, make in (further or {}).items()}
        words = f"{count} object{'s' * (count > 1)}"
        figures += _measure(followers, clip, words, repeats)
    return figures


@torch.inference_mode()
def _measure(
    followers: Mapping[str, Follower], clip: Clip, words: str, repeats: int
) -> list[Figure]:
    rounds = _time_following(followers, len(clip.frames))
    with tempfile.TemporaryDirectory() as folder:
        steps: dict[tuple[str, str], Callable[[], object]] = {
            (name, part): step
            for name, each in followers.items()
            for part, step in each.steps().items()
        }
        steps["", "write"] = MapWriter(clip, Path(folder, "map.png"))
        times: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
        for _ in range(repeats + 1):  # the first is a warm-up
            for key, step in steps.items():
                times[key].append(_seconds(step))
    milliseconds = {key: 1000 * median(each[1:]) for key, each in times.items()}
    figures = []
    for name in followers:
        for (owner, part), value in milliseconds.items():
            if owner in (name, ""):
                figures.append(Figure(f"vos {name}, {words}, {part}", value, "ms", repeats))
        total = median(rounds[name]) + milliseconds["", "write"] / 1000
        figures.append(Figure(f"vos {name}, {words}, all", 1 / total, "frames/s", 1))
    base, *others = followers
    for name in others:
        ratios = [slow / fast for slow, fast in zip(rounds[name], rounds[base], strict=True)]
        figures.append(Figure(f"vos {name} / {base}, {words}", median(ratios), "x", 1))
    return figures


def _time_following(
    followers: Mapping[str, Follower], num_frames: int
) -> dict[str, Sequence[float]]:
    """Return the seconds per frame of each follower, means of rounds with one that is remembered.

    The first round is a warm-up and left out, if there are more.
    """
    times: dict[str, list[float]] = {name: [] for name in followers}
    for index in range(1, num_frames):
        for name, follower in followers.items():
            times[name].append(_seconds(partial(follower.follow, index)))
    count = (num_frames - 1) // MEMORY_EVERY
    rounds = range(min(1, count - 1), count)
    return {
        name: [float(np.mean(each[MEMORY_EVERY * i : MEMORY_EVERY * (i + 1)])) for i in rounds]
        for name, each in times.items()
    }


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
