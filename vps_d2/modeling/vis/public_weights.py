"""Checkpoints of the public Mask2Former and of what is built on it, under the names used here."""

from typing import Any

LICENSE_NOTE = (
    "The checkpoint is in the layout of the public Mask2Former: if these are the published weights "
    "of Mask2Former (CC BY-NC 4.0) or MinVIS (CC BY-NC-SA 4.0), they may not be used commercially."
)

_HEAD = "sem_seg_head."
_RENAMED = (
    # Mask R-CNN's backbone is a part of its FPN.
    ("backbone.bottom_up.", "backbone."),
    # CTVIS has the embedding head inside the predictor.
    (_HEAD + "predictor.reid_embed.", "embedding_head."),
    # The first version of Mask2Former called the learned queries so.
    (_HEAD + "predictor.static_query.", _HEAD + "predictor.query_feat."),
)
# What has no counterpart here: the weights of Mask2Former's losses, and the rest of Mask R-CNN.
_LEFT_OUT = ("criterion.", "backbone.fpn_", "proposal_generator.", "roi_heads.")


def to_our_names(weights: dict[str, Any]) -> dict[str, Any]:
    """Return the weights of a checkpoint under the names of ``VideoMaskFormer``.

    Args:
        weights: by name, of Mask2Former, MinVIS, CTVIS, Mask R-CNN or of this project.
    """
    bare = {name.removeprefix("module."): value for name, value in weights.items()}
    return {_rename(name): value for name, value in bare.items() if not name.startswith(_LEFT_OUT)}


def _rename(name: str) -> str:
    for old, new in _RENAMED:
        if name.startswith(old):
            return new + name.removeprefix(old)
    # The first version had the pixel decoder's parameters directly in the head.
    parts = (_HEAD + "predictor.", _HEAD + "pixel_decoder.")
    if name.startswith(_HEAD) and not name.startswith(parts):
        return parts[1] + name.removeprefix(_HEAD)
    return name
