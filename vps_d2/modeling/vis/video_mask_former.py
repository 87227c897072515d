"""Query-based instance segmentation of videos: Mask2Former's network on each frame, and embeddings.

As in MinVIS (arXiv 2208.02245), a video is segmented frame by frame, and a tracker joins what the
queries found. As in CTVIS (arXiv 2307.12616), it matches by embeddings that are learned for this.

Shapes: ``N`` frames, ``T`` frames of a clip, ``Q`` queries, ``K`` objects, ``D`` numbers of an
embedding, ``H`` rows, ``W`` columns.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from fvcore.nn import weight_init
from torch import nn

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.modeling import META_ARCH_REGISTRY, build_backbone
from vps_d2.d2.structures import Instances
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import PixelArchitecture, check_one_size
from vps_d2.modeling.outputs import VideoInstancesOutput
from vps_d2.modeling.tasks import Task
from vps_d2.modeling.vis.contrastive import ABSENT, ContrastiveLoss
from vps_d2.modeling.vis.masked_decoder import MLP, MultiScaleMaskedTransformerDecoder, Prediction
from vps_d2.modeling.vis.pixel_decoder import NUM_SCALES, MSDeformAttnPixelDecoder
from vps_d2.modeling.vis.public_weights import LICENSE_NOTE, to_our_names
from vps_d2.modeling.vis.set_criterion import HungarianMatcher, Match, SetCriterion, Target

_logger = logging.getLogger(__name__)


class MaskFormerHead(nn.Module):
    """From the maps of a backbone to predictions, with the public names of the parameters.

    Args:
        pixel_decoder: from the maps of the backbone to those that the queries look at.
        predictor: of classes and masks.
    """

    def __init__(
        self,
        pixel_decoder: MSDeformAttnPixelDecoder,
        predictor: MultiScaleMaskedTransformerDecoder,
    ) -> None:
        super().__init__()
        self.pixel_decoder = pixel_decoder
        self.predictor = predictor

    def forward(self, features: Mapping[str, torch.Tensor]) -> list[Prediction]:
        """Return the predictions of all layers, the one that counts last."""
        mask_features, maps = self.pixel_decoder(features)
        return self.predictor(maps, mask_features)

    @classmethod
    def from_config(cls, cfg: CfgNode, in_shapes: Mapping[str, Any]) -> "MaskFormerHead":
        """Build the head that MODEL.SEM_SEG_HEAD and MODEL.MASK_FORMER describe.

        Args:
            cfg: configuration.
            in_shapes: of the maps of the backbone, with ``channels`` and ``stride``.

        Raises:
            UserError: if the backbone does not give the maps that the head takes.
        """
        head, keys = cfg.MODEL.SEM_SEG_HEAD, cfg.MODEL.MASK_FORMER
        _check_features(head, in_shapes)
        pixel_decoder = MSDeformAttnPixelDecoder(
            {name: (in_shapes[name].channels, in_shapes[name].stride) for name in head.IN_FEATURES},
            transformer_features=head.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES,
            channels=head.CONVS_DIM,
            mask_channels=head.MASK_DIM,
            common_stride=head.COMMON_STRIDE,
            num_layers=head.TRANSFORMER_ENC_LAYERS,
            feedforward=head.TRANSFORMER_DIM_FEEDFORWARD,
            dropout=keys.DROPOUT,
            num_heads=keys.NHEADS,
            num_points=head.DEFORMABLE_TRANSFORMER_ENCODER_N_POINTS,
        )
        predictor = MultiScaleMaskedTransformerDecoder(
            head.CONVS_DIM,
            num_classes=head.NUM_CLASSES,
            channels=keys.HIDDEN_DIM,
            mask_channels=head.MASK_DIM,
            num_queries=keys.NUM_OBJECT_QUERIES,
            num_layers=keys.DEC_LAYERS - 1,
            feedforward=keys.DIM_FEEDFORWARD,
            num_heads=keys.NHEADS,
            pre_norm=keys.PRE_NORM,
            always_project=keys.ENFORCE_INPUT_PROJ,
        )
        return cls(pixel_decoder, predictor)


@META_ARCH_REGISTRY.register()
class VideoMaskFormer(PixelArchitecture):
    """Segment the objects of each frame of a clip, and describe them for a tracker.

    Args:
        backbone: from frames ``(N, 3, H, W)`` to maps by name.
        sem_seg_head: from these maps to predictions.
        embedding_head: from queries to embeddings.
        criterion: losses of the predictions.
        contrastive_loss: loss of the embeddings.
        pixel_mean: R, G, B in 0-255.
        pixel_std: R, G, B in 0-255.
        size_divisibility: frames are padded to a multiple of it; 0 for no padding.
        max_instances: most detections of a frame.
        score_thresh: least score of a detection.
        nms_thresh: detections are dropped whose mask has this IoU with a better one.
        frames_per_batch: frames that are segmented at once in inference.
    """

    task: Task = "video_instances"

    @configurable
    def __init__(
        self,
        *,
        backbone: nn.Module,
        sem_seg_head: MaskFormerHead,
        embedding_head: nn.Module,
        criterion: SetCriterion,
        contrastive_loss: ContrastiveLoss,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        size_divisibility: int = 32,
        max_instances: int = 100,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.6,
        frames_per_batch: int = 8,
    ) -> None:
        super().__init__(pixel_mean, pixel_std)
        self.backbone = backbone
        self.sem_seg_head = sem_seg_head
        self.embedding_head = embedding_head
        self.criterion = criterion
        self.contrastive_loss = contrastive_loss
        self.size_divisibility = size_divisibility
        self.max_instances = max_instances
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.frames_per_batch = frames_per_batch

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys, plugin = cfg.MODEL.MASK_FORMER, cfg.MODEL.CL_PLUGIN
        backbone = build_backbone(cfg)
        matcher = HungarianMatcher(
            class_weight=keys.CLASS_WEIGHT,
            mask_weight=keys.MASK_WEIGHT,
            dice_weight=keys.DICE_WEIGHT,
            num_points=keys.TRAIN_NUM_POINTS,
        )
        return {
            "backbone": backbone,
            "sem_seg_head": MaskFormerHead.from_config(cfg, backbone.output_shape()),
            "embedding_head": _build_embedding_head(cfg),
            "criterion": SetCriterion(
                cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
                matcher=matcher,
                no_object_weight=keys.NO_OBJECT_WEIGHT,
                num_points=keys.TRAIN_NUM_POINTS,
                oversample=keys.OVERSAMPLE_RATIO,
                importance_share=keys.IMPORTANCE_SAMPLE_RATIO,
            ),
            "contrastive_loss": ContrastiveLoss(
                weight=plugin.REID_WEIGHT,
                auxiliary_weight=plugin.AUX_REID_WEIGHT,
                memory_share=0.5 if plugin.MOMENTUM_EMBED else 0.0,
            ),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "size_divisibility": keys.SIZE_DIVISIBILITY,
            "max_instances": cfg.TEST.DETECTIONS_PER_IMAGE,
            "score_thresh": keys.TEST.SCORE_THRESH,
            "nms_thresh": keys.TEST.MASK_NMS_THRESH,
            "frames_per_batch": keys.TEST.FRAMES_PER_BATCH,
        }

    def adapt_weights(self, weights: dict[str, Any], complete: bool) -> dict[str, Any]:
        """Give the weights of a checkpoint the names of this model; called before they are loaded.

        Weights of the public Mask2Former, MinVIS and CTVIS fit, and backbones of Mask R-CNN. If
        there are none of the embedding head, and the model is not to be trained, the queries
        themselves become the embeddings, as in MinVIS.

        Args:
            weights: by name.
            complete: whether every weight of the model must be in the checkpoint, as for inference.

        Returns:
            the weights by their new names.
        """
        weights = to_our_names(weights)
        names = list(weights)
        if not any(name.startswith("sem_seg_head.predictor.") for name in names) or any(
            name.startswith("embedding_head.") for name in names
        ):
            return weights
        _logger.warning(LICENSE_NOTE)
        if complete and list(self.embedding_head.parameters()):
            self.embedding_head = nn.Identity()
            _logger.warning(
                "The checkpoint has no weights of an embedding head, so objects are followed by "
                "the embeddings of the queries themselves, as in MinVIS."
            )
        return weights

    def compute_losses(self, batched_inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the losses of a batch.

        Args:
            batched_inputs: for each clip ``images`` ``(T, 3, H, W)``, 0-255, all of one size, and
                ``instances`` of each frame, with the same ``K`` objects in each: ``gt_classes``
                (class number minus one) and ``gt_masks``, empty where an object is not visible.

        Returns:
            the losses of each layer (see :class:`SetCriterion`), ``loss_reid`` and
            ``loss_aux_reid``.

        Raises:
            UserError: if the frames are not of one size.
        """
        clips = [clip["images"] for clip in batched_inputs]
        check_one_size(clips, "clips")
        frames = self._pad(self.normalize(torch.cat([clip.to(self.device) for clip in clips])))
        predictions = self.sem_seg_head(self.backbone(frames))
        truths = [frame for clip in batched_inputs for frame in clip["instances"]]
        visible = [frame.gt_masks.tensor.to(self.device).flatten(1).any(1) for frame in truths]
        height, width = frames.shape[-2:]
        targets = [
            _to_target(frame, seen, height, width)
            for frame, seen in zip(truths, visible, strict=True)
        ]
        losses, matches = self.criterion(predictions, targets)
        queries = [
            _queries_of_objects(seen, match) for seen, match in zip(visible, matches, strict=True)
        ]
        embeddings = self.embedding_head(predictions[-1].queries)
        of_clips, start = [], 0
        for clip in clips:
            end = start + len(clip)
            of_clips.append((embeddings[start:end], torch.stack(queries[start:end])))
            start = end
        return {**losses, **self.contrastive_loss(of_clips)}

    def infer(self, batched_inputs: list[dict[str, Any]]) -> list[VideoInstancesOutput]:
        """Segment clips, a few frames at a time.

        Args:
            batched_inputs: for each clip ``images`` ``(T, 3, H, W)``, 0-255, and if the masks are
                to have another size, ``height`` and ``width``.

        Returns:
            for each clip ``instances`` of each frame: ``pred_masks`` bool ``(K, H, W)``,
            ``pred_classes`` int64, ``scores`` float32, the best first, and ``embeddings`` float32
            ``(K, D)``. A query is at most one of them.
        """
        outputs: list[VideoInstancesOutput] = []
        for clip in batched_inputs:
            images = clip["images"]
            size = (clip.get("height", images.shape[-2]), clip.get("width", images.shape[-1]))
            instances: list[Instances] = []
            for part in images.split(self.frames_per_batch):
                instances += self._segment(part, size)
            outputs.append({"instances": instances})
        return outputs

    def _segment(self, images: torch.Tensor, size: tuple[int, int]) -> list[Instances]:
        frames = self._pad(self.normalize(images))
        prediction = self.sem_seg_head(self.backbone(frames))[-1]
        embeddings = self.embedding_head(prediction.queries).float()
        found = []
        for logits, masks, each in zip(
            prediction.logits.float(), prediction.masks.float(), embeddings, strict=True
        ):
            scores, classes = logits.softmax(-1)[:, :-1].max(-1)
            scores = scores * _certainty(masks)
            kept = self._choose(scores, masks)
            instances = Instances(size)
            instances.pred_masks = _resize(masks[kept], frames.shape[-2:], images.shape[-2:], size)
            instances.pred_classes = classes[kept]
            instances.scores = scores[kept]
            instances.embeddings = each[kept]
            found.append(instances[instances.pred_masks.flatten(1).any(1)])
        return found

    def _choose(self, scores: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Return the queries to keep, the best first, without those that mean the same object."""
        order = scores.argsort(descending=True, stable=True)
        order = order[scores[order] >= self.score_thresh][: self.max_instances]
        bits = (masks[order] > 0).flatten(1).float()
        areas = bits.sum(1)
        shared = bits @ bits.T
        unions = areas[:, None] + areas - shared
        repeats = (shared >= self.nms_thresh * unions.clamp(min=1)).tolist()
        kept: list[int] = []
        for index in range(len(order)):
            if not any(repeats[index][other] for other in kept):
                kept.append(index)
        return order[kept]

    def _pad(self, frames: torch.Tensor) -> torch.Tensor:
        """Pad frames ``(N, 3, H, W)`` at the bottom and on the right."""
        if self.size_divisibility < 2:
            return frames
        height, width = frames.shape[-2:]
        multiple = self.size_divisibility
        return F.pad(frames, (0, -width % multiple, 0, -height % multiple))


def _check_features(head: CfgNode, in_shapes: Mapping[str, Any]) -> None:
    names = ", ".join(in_shapes)
    for name in head.IN_FEATURES:
        if name not in in_shapes:
            raise UserError(
                f"MODEL.SEM_SEG_HEAD.IN_FEATURES names {name}, but the backbone gives {names}; "
                "choose from these, or change MODEL.RESNETS.OUT_FEATURES."
            )
    key = "DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES"
    coarse = set(head[key]) & set(head.IN_FEATURES)
    if len(coarse) < NUM_SCALES or len(coarse) < len(head[key]):
        raise UserError(
            f"MODEL.SEM_SEG_HEAD.{key} must be {NUM_SCALES} or more of MODEL.SEM_SEG_HEAD."
            f"IN_FEATURES ({', '.join(head.IN_FEATURES)}), not {', '.join(head[key])}."
        )


def _build_embedding_head(cfg: CfgNode) -> nn.Module:
    keys = cfg.MODEL.MASK_FORMER
    if not keys.NUM_REID_HEAD_LAYERS:
        return nn.Identity()
    channels = keys.HIDDEN_DIM
    head = MLP(channels, keys.REID_HIDDEN_DIM, channels, keys.NUM_REID_HEAD_LAYERS)
    for layer in head.layers:
        weight_init.c2_xavier_fill(layer)
    return head


def _to_target(frame: Instances, visible: torch.Tensor, height: int, width: int) -> Target:
    """Return the visible objects of a frame, with masks padded to ``(height, width)``."""
    device = visible.device
    masks = frame.gt_masks.tensor.to(device)[visible]
    padding = (0, width - masks.shape[2], 0, height - masks.shape[1])
    return Target(frame.gt_classes.to(device)[visible], F.pad(masks, padding))


def _queries_of_objects(visible: torch.Tensor, match: Match) -> torch.Tensor:
    """Return the query of each object of a frame, ABSENT for those that are not visible."""
    queries = torch.full(visible.shape, ABSENT, dtype=torch.int64, device=visible.device)
    queries[visible.nonzero()[:, 0][match.objects]] = match.queries
    return queries


def _certainty(masks: torch.Tensor) -> torch.Tensor:
    """Return the mean probability of the pixels in each mask, ``(Q,)``, from logits."""
    inside = (masks > 0).flatten(1)
    chances = masks.sigmoid().flatten(1)
    return (chances * inside).sum(1) / (inside.sum(1) + 1e-6)


def _resize(
    masks: torch.Tensor, padded: Sequence[int], image: Sequence[int], size: tuple[int, int]
) -> torch.Tensor:
    """Return masks bool ``(K, *size)`` from logits of the padded frame."""
    if not len(masks):
        return torch.zeros(0, *size, dtype=torch.bool, device=masks.device)
    logits = F.interpolate(masks[None], size=tuple(padded), mode="bilinear")
    logits = logits[..., : image[0], : image[1]]
    if tuple(image) != size:
        logits = F.interpolate(logits, size=size, mode="bilinear")
    return logits[0] > 0
