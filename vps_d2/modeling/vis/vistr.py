"""VisTR (arXiv 2011.14503): the instances of a whole clip at once, behind Detectron2's interface.

Shapes: ``N`` clips, ``T`` frames, ``K`` instances, ``C`` classes, ``H`` rows, ``W`` columns.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torchvision.ops import box_convert

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY
from vps_d2.d2.structures import Instances
from vps_d2.data.metadata import config_taxonomy
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import PixelArchitecture
from vps_d2.modeling.outputs import VideoInstancesOutput
from vps_d2.modeling.tasks import Task
from vps_d2.modeling.vis.passes import join_passes
from vps_d2.modeling.vis.resnet import ResNetBody, rename_resnet
from vps_d2.modeling.vis.vistr_losses import TubeCriterion, TubeTargets
from vps_d2.modeling.vis.vistr_network import VisTRNetwork

_MIN_FRAME_SCORE = 0.001
"""An object is not in a frame in which no class is more likely than this, as in the public code."""
_BODY = "vistr.backbone.0.body."
_QUERIES = "vistr.query_embed.weight"


@META_ARCH_REGISTRY.register()
class VisTR(PixelArchitecture):
    """VisTR behind Detectron2's model interface.

    Its weights have the names and shapes of the public code's, so that its checkpoints load.

    Args:
        network: from frames to classes, boxes and masks.
        criterion: the losses.
        pixel_mean: R, G, B in 0-255.
        pixel_std: R, G, B in 0-255.
        trained_stages: how many of the last stages of the backbone are trained, 0 to 4.
        overlap: frames that two passes over a longer video share.
        min_iou: see :func:`join_passes`.

    Raises:
        UserError: if ``overlap`` is not smaller than the number of frames of a pass.
    """

    task: Task = "video_instances"
    network: VisTRNetwork

    @configurable
    def __init__(
        self,
        *,
        network: VisTRNetwork,
        criterion: TubeCriterion,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        trained_stages: int = 3,
        overlap: int = 18,
        min_iou: float = 0.3,
    ) -> None:
        super().__init__(pixel_mean, pixel_std)
        if overlap >= network.num_frames:
            raise UserError(
                f"MODEL.VISTR.PASS_OVERLAP is {overlap}, but a pass has {network.num_frames} "
                "frames; lower it."
            )
        # Only the parts of the network are children of this module, so that weights have the names
        # of the public code, which has no module around them.
        self.__dict__["network"] = network
        for name, part in network.named_children():
            self.add_module(name, part)
        self.criterion = criterion
        self.overlap = overlap
        self.min_iou = min_iou
        network.body.freeze(trained_stages)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys = cfg.MODEL.VISTR
        body = ResNetBody(
            depth=keys.BACKBONE.DEPTH, width=keys.BACKBONE.WIDTH, dilation=keys.BACKBONE.DILATION
        )
        return {
            "network": VisTRNetwork(
                body=body,
                num_logits=config_taxonomy(cfg).num_classes + 1,
                num_frames=cfg.INPUT.CLIP.NUM_FRAMES,
                num_instances=keys.NUM_INSTANCES,
                channels=keys.CHANNELS,
                heads=keys.HEADS,
                num_encoder_layers=keys.NUM_ENCODER_LAYERS,
                num_decoder_layers=keys.NUM_DECODER_LAYERS,
                feedforward_channels=keys.FEEDFORWARD_CHANNELS,
                dropout=keys.DROPOUT,
                deformable=keys.DEFORMABLE,
            ),
            "criterion": TubeCriterion(
                class_weight=keys.LOSS.CLASS,
                box_weight=keys.LOSS.BOX,
                giou_weight=keys.LOSS.GIOU,
                mask_weight=keys.LOSS.MASK,
                dice_weight=keys.LOSS.DICE,
                no_object_weight=keys.LOSS.NO_OBJECT_WEIGHT,
            ),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "trained_stages": keys.BACKBONE.TRAINED_STAGES,
            "overlap": keys.PASS_OVERLAP,
            "min_iou": keys.PASS_MIN_IOU,
        }

    def adapt_weights(
        self, weights: dict[str, torch.Tensor], strict: bool
    ) -> dict[str, torch.Tensor]:
        """Return weights to start from in a form that fits this model.

        A backbone of torchvision or Detectron2, alone or in a detector, gets the names of this
        model's. Queries that were trained with another number of frames are interpolated.

        Args:
            weights: of a checkpoint.
            strict: whether all weights are needed as they are; they are then not changed.
        """
        if strict:
            return weights
        if _QUERIES in weights:
            return {**weights, _QUERIES: self._resample(weights[_QUERIES])}
        found = {_BODY + name: value for name, value in rename_resnet(weights).items()}
        return found or weights

    def _resample(self, queries: torch.Tensor) -> torch.Tensor:
        count, length = self.network.num_instances, self.network.num_frames
        if queries.ndim != 2 or len(queries) % count:
            return queries  # of another number of instances, which the checkpointer reports
        codes = queries.unflatten(0, (-1, count)).permute(1, 2, 0)
        codes = F.interpolate(codes.float(), length, mode="linear", align_corners=True)
        return codes.permute(2, 0, 1).flatten(0, 1)

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[VideoInstancesOutput]:
        """Segment videos of any length.

        Args:
            batched_inputs: for each video ``images`` ``(T, 3, H, W)``, 0-255, and the ``height``
                and ``width`` that its masks are to have.

        Returns:
            for each video ``instances``, those of each frame; see :meth:`stream`.
        """
        outputs: list[VideoInstancesOutput] = []
        for video in batched_inputs:
            size = (video["height"], video["width"])
            outputs.append({"instances": list(self.stream(video["images"], size))})
        return outputs

    def stream(
        self, frames: Iterable[torch.Tensor], size: tuple[int, int] | None = None
    ) -> Iterator[Instances]:
        """Segment the frames of a video one after the other, in memory that does not grow.

        The objects of a frame are known once its pass is complete.

        Args:
            frames: ``(3, H, W)`` each, 0-255, RGB, all of one size.
            size: height and width of the masks; None for those of the frames.

        Yields:
            for each frame its objects, with ``pred_masks`` bool, ``pred_classes``, ``scores`` and
            ``track_ids``. Class and score are the same in all frames of a pass.
        """
        return self.join(frames, partial(self.segment_clip, size=size))

    def join(
        self,
        frames: Iterable[torch.Tensor],
        segment: Callable[[torch.Tensor], Sequence[Instances]],
    ) -> Iterator[Instances]:
        """Segment the frames of a video in passes; see :func:`join_passes`.

        Args:
            frames: see :meth:`stream`.
            segment: does a pass, such as :meth:`segment_clip`.
        """
        return join_passes(
            frames,
            segment,
            num_frames=self.network.num_frames,
            overlap=self.overlap,
            min_iou=self.min_iou,
        )

    @torch.no_grad()
    def segment_clip(
        self, frames: torch.Tensor, size: tuple[int, int] | None = None
    ) -> list[Instances]:
        """Segment a clip in one pass.

        Args:
            frames: ``(T, 3, H, W)``, 0-255, RGB. A clip shorter than a pass is repeated up to its
                length, as in the public code.
            size: height and width of the masks; None for those of the frames.

        Returns:
            objects of each frame, as of :meth:`stream`; ``track_ids`` are numbers of queries.
        """
        length, count = len(frames), self.network.num_frames
        repeats = -(-count // length)
        whole = frames.repeat(repeats, 1, 1, 1)[:count]
        logits, _, masks = self.network(self.normalize(whole)[None])
        return select_tubes(logits[0, :length], masks[0, :length], size or frames.shape[-2:])

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch; see :class:`TubeCriterion`.

        Args:
            batched_inputs: for each clip ``images`` ``(T, 3, H, W)``, 0-255, and ``instances``:
                for each frame, the same objects in the same order, with ``gt_classes``,
                ``gt_masks`` and ``gt_boxes``.

        Raises:
            UserError: if a clip has another number of frames than a pass.
        """
        for clip in batched_inputs:
            if len(clip["images"]) != self.network.num_frames:
                raise UserError(
                    f"VisTR learns from clips of {self.network.num_frames} frames, not "
                    f"{len(clip['images'])}; set INPUT.CLIP.NUM_FRAMES for both."
                )
        frames, padding = self._batch([clip["images"] for clip in batched_inputs])
        height, width = frames.shape[-2:]
        tubes = self.network.detect(frames, padding)
        return self.criterion(
            tubes,
            [
                make_targets(clip["instances"], (height, width), self.device)
                for clip in batched_inputs
            ],
            lambda clip, chosen: self.network.draw(tubes, clip, chosen)[0],
        )

    def _batch(self, clips: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return normalized clips in one tensor, and where it is outside their frames, if it is."""
        height, width = (max(clip.shape[axis] for clip in clips) for axis in (-2, -1))
        frames, padding = [], []
        for clip in clips:
            margin = (0, width - clip.shape[-1], 0, height - clip.shape[-2])
            frames.append(F.pad(self.normalize(clip), margin))
            inside = torch.zeros(clip.shape[-2:], dtype=torch.bool, device=self.device)
            padding.append(F.pad(inside, margin, value=True))
        outside = torch.stack(padding)
        return torch.stack(frames), outside if outside.any() else None


def select_tubes(
    logits: torch.Tensor, masks: torch.Tensor, size: tuple[int, int] | Sequence[int]
) -> list[Instances]:
    """Turn what the network finds in a clip into objects, as the public code does.

    The class of a tube is the one that wins in most frames, its score the mean of the probabilities
    of the winners.

    Args:
        logits: of the classes ``(T, K, C)``.
        masks: logits ``(T, K, H', W')``.
        size: height and width of the result.

    Returns:
        the objects that are visible in each frame; ``track_ids`` count the tubes from 0.
    """
    probabilities = logits.softmax(-1)[..., 1:-1]
    best, winners = probabilities.max(-1)
    scores = best.mean(0)
    votes = F.one_hot(winners, probabilities.shape[-1]).sum(0)
    classes = votes.argmax(-1)
    height, width = size
    frames = []
    for index in range(len(logits)):
        # Frame by frame, as the logits of all frames in full size would take much memory.
        drawn = F.interpolate(masks[index][None], (height, width), mode="bilinear")[0] > 0
        kept = drawn.flatten(1).any(1) & (best[index] >= _MIN_FRAME_SCORE)
        frames.append(
            Instances(
                (height, width),
                pred_masks=drawn[kept],
                pred_classes=classes[kept],
                scores=scores[kept],
                track_ids=kept.nonzero().flatten(),
            )
        )
    return frames


def make_targets(
    instances: Sequence[Instances], size: tuple[int, int], device: torch.device
) -> TubeTargets:
    """Return the true objects of a clip as the losses take them.

    Args:
        instances: for each frame, the same objects in the same order.
        size: height and width of the padded frames.
        device: of the model.
    """
    height, width = instances[0].image_size
    masks = torch.stack([each.gt_masks.tensor.to(device) for each in instances])
    boxes = torch.stack([each.gt_boxes.tensor.to(device) for each in instances])
    scale = boxes.new_tensor([width, height, width, height])
    return TubeTargets(
        labels=instances[0].gt_classes.to(device) + 1,
        boxes=box_convert(boxes / scale, "xyxy", "cxcywh"),
        visible=masks.flatten(2).any(2),
        masks=F.pad(masks, (0, size[1] - width, 0, size[0] - height)),
    )
