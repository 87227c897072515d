"""A checkpoint in the form of Detectron2's model zoo, with made-up weights of a narrow network."""

import pickle
from pathlib import Path

import numpy as np

from vps_d2.config.loading import load_config
from vps_d2.modeling.build import build_model

CONFIG = "configs/mask_rcnn/mask_rcnn_R50_FPN_coco.yaml"
OPTS = [
    *("MODEL.RESNETS.WIDTH_PER_GROUP", "8", "MODEL.RESNETS.RES2_OUT_CHANNELS", "32"),
    *("MODEL.RESNETS.STEM_OUT_CHANNELS", "16", "MODEL.FPN.OUT_CHANNELS", "32"),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", "64", "MODEL.ROI_MASK_HEAD.CONV_DIM", "16"),
    *("INPUT.MIN_SIZE_TEST", "96", "INPUT.MAX_SIZE_TEST", "120", "SOLVER.AMP.ENABLED", "False"),
    *("MODEL.CHANNELS_LAST", "False"),
]


def make_weights() -> dict[str, np.ndarray]:
    """Return weights by name that find something in any frame, the same on every machine."""
    rng = np.random.RandomState(0)
    cfg = load_config(CONFIG, [*OPTS, "MODEL.DEVICE", "cpu"])
    weights = {}
    for name, value in sorted(build_model(cfg).state_dict().items()):
        noise = rng.standard_normal(tuple(value.shape))
        if value.ndim > 1:
            scale = (2 / np.prod(value.shape[1:])) ** 0.5
            # Pixels are not divided by their deviation, and random residuals add up.
            for part, factor in (
                *(("stem", 0.02), ("fpn_lateral", 0.02), ("cls_score", 1.5)),
                *(("bbox_pred", 0.3), ("anchor_deltas", 0.3), ("objectness", 0.3)),
            ):
                scale *= factor if part in name else 1
            noise *= scale
        elif name.endswith(("norm.weight", "running_var")):
            noise = np.full(value.shape, 0.3 if "conv3" in name else 1.0)
        else:
            noise *= 0.01
        weights[name] = noise.astype(np.float32)
    # Old checkpoints of the zoo hold the anchors too.
    weights["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
    return weights


def write_zoo_checkpoint(path: Path) -> Path:
    """Write the weights as the zoo does."""
    content = {"model": make_weights(), "__author__": "Detectron2 Model Zoo"}
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def make_frames(count: int = 2) -> np.ndarray:
    """Return frames uint8 RGB ``(N, 60, 100, 3)`` of colored squares."""
    coarse = np.random.RandomState(1).randint(0, 256, (count, 6, 10, 3)).astype(np.uint8)
    return coarse.repeat(10, 1).repeat(10, 2)
