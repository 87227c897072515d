"""Every configuration key that this project adds to Detectron2's."""

import torch

from vps_d2.d2.config import CfgNode as CN
from vps_d2.d2.config import get_cfg


def add_vps_config(cfg: CN) -> None:
    """Add the project's keys, with their defaults, to a Detectron2 configuration in place.

    Args:
        cfg: a configuration from Detectron2's ``get_cfg``.
    """
    _add_data_config(cfg)
    _add_model_config(cfg)
    _add_pipeline_config(cfg)

    cfg.SOLVER.OPTIMIZER = "SGD"  # or "AdamW"
    # bfloat16 needs no loss scaling and runs on CPUs and GPUs alike, unlike Detectron2's float16.
    cfg.SOLVER.AMP.ENABLED = True
    cfg.SOLVER.AMP.DTYPE = "bfloat16"
    # Names in EVALUATOR_REGISTRY; every one is run on every data set of DATASETS.TEST.
    cfg.TEST.EVALUATORS = ()
    # Iterations between two sets of pictures in TensorBoard (0: none), and videos in each.
    cfg.TEST.PICTURE_PERIOD = 1000
    cfg.TEST.NUM_PICTURES = 4
    # Score that decides which checkpoint is model_best, as "evaluator/metric" ("" keeps no best).
    cfg.TEST.BEST_METRIC = ""
    cfg.TEST.BEST_MODE = "max"


def get_vps_cfg() -> CN:
    """Return a fresh configuration: Detectron2's defaults and the project's keys."""
    cfg = get_cfg()
    add_vps_config(cfg)
    return cfg


def _add_data_config(cfg: CN) -> None:
    # Train on the faultless part of a data set, and log the rest, instead of stopping.
    cfg.DATASETS.SKIP_FAULTY = False
    # Name in DATASET_MAPPER_REGISTRY: what the architecture is fed.
    cfg.INPUT.MAPPER = "FrameMapper"
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.NUM_INPUT_FRAMES = 11
    cfg.INPUT.NUM_TARGET_FRAMES = 11
    # Temporal strides that training clips are drawn with (frameskip augmentation); (1,) is none.
    cfg.INPUT.FRAMESKIP = (1,)
    # Gaussian blur augmentation: share of the samples, and range of the deviation in pixels.
    cfg.INPUT.BLUR = CN()
    cfg.INPUT.BLUR.PROB = 0.0
    cfg.INPUT.BLUR.SIGMA = (0.5, 2.0)


def _add_model_config(cfg: CN) -> None:
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    # Memory format of convolution inputs and weights: faster in bfloat16 on CPUs and GPUs.
    cfg.MODEL.CHANNELS_LAST = True

    cfg.MODEL.SIMVP = CN()
    # Space-to-depth factor before the encoder; 1 is the paper's network.
    cfg.MODEL.SIMVP.PATCH_SIZE = 1
    cfg.MODEL.SIMVP.HIDDEN_SPATIAL = 16  # hid_S
    cfg.MODEL.SIMVP.HIDDEN_TEMPORAL = 128  # hid_T
    cfg.MODEL.SIMVP.NUM_SPATIAL_LAYERS = 4  # N_S
    cfg.MODEL.SIMVP.NUM_TEMPORAL_LAYERS = 4  # N_T
    cfg.MODEL.SIMVP.TRANSLATOR = "gSTA"  # or "IncepU"
    # Predict the change against the last input frame; False is the paper's network.
    cfg.MODEL.SIMVP.RESIDUAL = False

    cfg.MODEL.CONVLSTM = CN()
    cfg.MODEL.CONVLSTM.PATCH_SIZE = 4
    cfg.MODEL.CONVLSTM.HIDDEN_CHANNELS = (64, 64)
    cfg.MODEL.CONVLSTM.KERNEL_SIZE = 5


def _add_pipeline_config(cfg: CN) -> None:
    # The pipeline names its two models by config file and weights; relative paths are taken from
    # the file that names them. "package://" is the folder of the shipped weights.
    cfg.PIPELINE = CN()
    cfg.PIPELINE.PREDICTOR = CN()
    cfg.PIPELINE.PREDICTOR.CONFIG_FILE = ""
    cfg.PIPELINE.PREDICTOR.WEIGHTS = ""
    cfg.PIPELINE.SEGMENTER = CN()
    cfg.PIPELINE.SEGMENTER.CONFIG_FILE = ""
    cfg.PIPELINE.SEGMENTER.WEIGHTS = ""
    # An object never seen in the input cannot be known: drop its class from the predicted mask.
    cfg.PIPELINE.SEEN_CLASSES_ONLY = True
    # Detections below this score are not painted into a mask.
    cfg.PIPELINE.SCORE_THRESH = 0.5
    cfg.PIPELINE.BATCH_SIZE = 8
