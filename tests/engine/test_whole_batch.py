"""Two processes learn from a batch, and score videos, as one does."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

import vps_d2.evaluation  # noqa: F401  registers the evaluators
from tests.conftest import make_video
from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.d2.engine import launch
from vps_d2.d2.structures import Boxes, Instances
from vps_d2.d2.utils import comm
from vps_d2.d2.utils.events import EventStorage
from vps_d2.data.datasets import (
    register_frames,
    register_tracks,
    register_video_instances,
    register_videos,
)
from vps_d2.data.synthetic import make_tracks
from vps_d2.data.video import write_video
from vps_d2.data.vos.datasets import register_vos_procedural
from vps_d2.engine.trainer import Trainer

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the processes are on the CPU")

# Two dozen layers of batch normalization over a few pixels would raise rounding to percents.
_FROZEN = ("MODEL.RESNETS.NORM", "FrozenBN", "MODEL.FPN.NORM", "")
LEARNED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "simvp": ("videos", ()),
    "convlstm": ("videos", ()),
    "reconstructor": ("videos", ()),
    "mask_simvp": ("videos", ()),
    "unet": ("frames", ()),
    # All proposals are learned from, so none are drawn.
    "mask_rcnn_R50w32_FPN": (
        "frames",
        (
            *_FROZEN,
            *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 9999, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 20),
            *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 9999),
            *("MODEL.ROI_HEADS.POSITIVE_FRACTION", 1.0),
        ),
    ),
    "object_dynamics": ("tracks", ()),
    "vistr": ("instances", ("MODEL.VISTR.DROPOUT", 0.0)),
    "video_mask_former": ("instances", _FROZEN),
    "small_vos": ("clips", ()),
    "small_s2m": ("", ("MODEL.S2M.ROUNDS", 1)),
}
"""The instant configurations, what they learn from, and keys that leave nothing to chance."""
# Untrained, it amplifies rounding: with other kernels, one process differs from itself by as much.
ROUNDING = {"video_mask_former": 1e-3}
"""Errors of gradients, relative to their norm, where they may be above 2e-5."""
SCORED = {
    "simvp": ("videos", ("FramePredictionEvaluator",)),
    "mask_simvp": ("videos", ("FutureMaskEvaluator",)),
    "unet": ("frames", ("SemanticJaccardEvaluator", "COCO")),
    "vistr": ("instances", ("YTVISEvaluator",)),
    "small_vos": ("clips", ("VOSEvaluator",)),
}


def _register(root: Path) -> None:
    """Register a data set of each kind, once with three videos and once with one."""
    for split, count in (("three", 3), ("one", 1)):
        register_videos(f"videos_{split}_of_whole", root / split)
        register_frames(f"frames_{split}_of_whole", root / split)
        register_video_instances(f"instances_{split}_of_whole", root / split)
        register_vos_procedural(f"clips_{split}_of_whole", count=count)
    register_tracks("tracks_three_of_whole", root / "tracks")


def _load(name: str, folder: Path, *keys: Any) -> CfgNode:
    return load_config(
        ROOT / "configs" / "instant_test" / f"{name}_instant_test.yaml",
        [
            *("MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", False, "SEED", 7),
            *("SOLVER.IMS_PER_BATCH", 4, "DATALOADER.NUM_WORKERS", 0, "OUTPUT_DIR", str(folder)),
            *("SOLVER.CLIP_GRADIENTS.ENABLED", False, *keys),
        ],
    )


@contextmanager
def _no_chance() -> Iterator[None]:
    """Let noise be none, and what is drawn the same for each object, in any process."""

    def rand(*size: Any, **kwargs: Any) -> torch.Tensor:
        shape = torch.Size(size[0] if size and not isinstance(size[0], int) else size)
        if len(shape) < 2:
            return torch.full(shape, 0.5)
        return (torch.arange(shape[-2:].numel()) * 0.618 % 1).view(shape[-2:]).expand(shape)

    with (
        mock.patch.object(torch, "rand", rand),
        mock.patch.object(torch, "rand_like", lambda like: torch.full_like(like, 0.5)),
        mock.patch.object(torch, "randn_like", torch.zeros_like),
    ):
        yield


def _learn(cfg: CfgNode) -> dict[str, Any]:
    """Train a model for an iteration."""
    torch.manual_seed(7)
    trainer = Trainer(cfg)
    loop = trainer._trainer
    with EventStorage() as storage, _no_chance():
        loop.iter, loop.storage = 0, storage
        loop.run_step()
    model = trainer.checkpointer.model
    return {
        "losses": {key: value for key, (value, _) in storage.latest().items() if "loss" in key},
        "gradients": {
            key: value.grad for key, value in model.named_parameters() if value.requires_grad
        },
        "buffers": dict(model.named_buffers()),
    }


class _Guess(nn.Module):
    """Finds the objects of made-up frames by their color, a little beside where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.count += len(inputs)
        return [self._guess(each) for each in inputs]

    def _guess(self, given: dict[str, Any]) -> dict[str, Any]:
        if "frames" in given:
            return {"frames": given["frames"][-1:].expand_as(given["target_frames"]).float()}
        if "masks" in given:
            return {"mask": given["masks"][-1].roll(9, 1)}
        if "object_maps" in given:
            return {"object_maps": given["object_maps"].roll(2, 2)}
        if "images" in given:
            return {"instances": [self._find(frame) for frame in given["images"]]}
        return {"instances": self._find(given["image"])}

    def _find(self, frame: torch.Tensor) -> Instances:
        red = torch.where(frame[2] < 100, frame[0].int(), 0)
        colors = red.unique()[1:]
        masks = (red == colors[:, None, None]).roll(1, 2)
        boxes = [
            [float(value) for value in (x.min(), y.min(), x.max() + 1, y.max() + 1)]
            for y, x in (each.nonzero(as_tuple=True) for each in masks)
        ]
        return Instances(
            tuple(frame.shape[1:]),
            pred_masks=masks,
            pred_boxes=Boxes(torch.tensor(boxes)),
            pred_classes=colors.long() // 5 - 1,
            scores=1 - colors / 512,
            track_ids=colors.long(),
        )


def _work(root: str, folder: str) -> None:
    """Learn and score, in each of the processes."""
    torch.set_num_threads(1)
    _register(Path(root))
    done: dict[Any, Any] = {}
    for name, (data, keys) in LEARNED.items():
        names = ("DATASETS.TRAIN", (f"{data}_three_of_whole",)) if data else ()
        done[name] = _learn(_load(name, Path(folder), *names, *keys))
    for name, (data, evaluators) in SCORED.items():
        for split in ("three", "one"):
            cfg = _load(
                name,
                Path(folder),
                *("DATASETS.TEST", (f"{data}_{split}_of_whole",), "TEST.EVALUATORS", evaluators),
            )
            guess = _Guess()
            scores = Trainer.test(cfg, guess)
            done[name, split] = scores, comm.all_gather(guess.count)
    torch.save(done, Path(folder, f"{comm.get_rank()}.pth"))


@pytest.mark.timeout(400)  # two processes import and build everything
def test_two_processes_learn_and_score_as_one_does(tmp_path: Path) -> None:
    for split, count in (("three", 3), ("one", 1)):
        for number in range(count):
            write_video(tmp_path / split / f"video_{number:05d}", *make_video(number))
    make_tracks(tmp_path / "tracks", 5, workers=1)
    done = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        launch(_work, count, dist_url="auto", args=(str(tmp_path), str(folder)))
        done.append(torch.load(folder / "0.pth", weights_only=False))
    one, two = done
    for name in LEARNED:
        _compare_learned(name, one[name], two[name])
    for name in SCORED:
        for split in ("three", "one"):  # the second process gets a video less, or none
            _compare_scores(f"{name}, {split}", one[name, split], two[name, split])


def _compare_learned(name: str, one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one["losses"], name
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5, abs=1e-7), name
    for key, value in one["buffers"].items():
        torch.testing.assert_close(two["buffers"][key], value, rtol=1e-5, atol=1e-6)
    gradients = one["gradients"]
    errors = {key: two["gradients"][key] - value for key, value in gradients.items()}
    whole, most = _norm(gradients), ROUNDING.get(name, 2e-5)
    assert whole > 0 and _norm(errors) < most * whole, name
    for key, error in errors.items():  # also of those that hardly count
        assert error.norm() < most * (5 * gradients[key].norm() + 0.05 * whole), f"{name}: {key}"


def _norm(values: dict[str, torch.Tensor]) -> float:
    return math.sqrt(sum(float(value.square().sum()) for value in values.values()))


def _compare_scores(name: str, one: tuple[Any, list[int]], two: tuple[Any, list[int]]) -> None:
    (scores, [count]), (their_scores, shares) = one, two
    assert shares == [math.ceil(count / 2), count // 2], name
    assert set(scores) == set(their_scores), name
    for task, values in scores.items():
        assert any(value > 0 for value in values.values()), name
        assert their_scores[task] == pytest.approx(values, rel=1e-6, nan_ok=True), name
