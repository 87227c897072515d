"""Every configuration key that this project adds to Detectron2's."""

import torch

from vps_d2.d2.config import CfgNode, get_cfg


def add_vps_config(cfg: CfgNode) -> None:
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
    # "auto": bfloat16 where the device computes in it, float32 elsewhere.
    cfg.SOLVER.AMP.DTYPE = "auto"
    # Names in EVALUATOR_REGISTRY; every one is run on every data set of DATASETS.TEST.
    cfg.TEST.EVALUATORS = ()
    # Iterations between two sets of pictures in TensorBoard (0: none), and videos in each.
    cfg.TEST.PICTURE_PERIOD = 1000
    cfg.TEST.NUM_PICTURES = 4
    # Score that decides which checkpoint is model_best, as "evaluator/metric" ("" keeps no best).
    cfg.TEST.BEST_METRIC = ""
    cfg.TEST.BEST_MODE = "max"


def get_vps_cfg() -> CfgNode:
    """Return a fresh configuration: Detectron2's defaults and the project's keys."""
    cfg = get_cfg()
    add_vps_config(cfg)
    return cfg


def _add_data_config(cfg: CfgNode) -> None:
    # The object classes, from number 1 on: names, RGB colors, groups of classes that look and move
    # alike, and whether a video never holds two objects of one class. () is what the Metadata of
    # the data sets says; training writes it to config.yaml, so that inference needs no data set.
    cfg.TAXONOMY = CfgNode()
    cfg.TAXONOMY.CLASSES = ()
    cfg.TAXONOMY.COLORS = ()
    cfg.TAXONOMY.GROUPS = ()
    cfg.TAXONOMY.ONE_OBJECT_PER_CLASS = False
    # Train on the faultless part of a data set, and log the rest, instead of stopping.
    cfg.DATASETS.SKIP_FAULTY = False
    # Name in DATASET_MAPPER_REGISTRY: what the architecture is fed.
    cfg.INPUT.MAPPER = "FrameMapper"
    cfg.INPUT.FORMAT = "RGB"
    # Add the mask to a frame, as semantic segmentation learns from it.
    cfg.INPUT.SEM_SEG = False
    cfg.INPUT.NUM_INPUT_FRAMES = 11
    cfg.INPUT.NUM_TARGET_FRAMES = 11
    # Frames of a video that are known when a model is evaluated or used: its input ends with the
    # last of them (0: INPUT.NUM_INPUT_FRAMES).
    cfg.INPUT.NUM_KNOWN_FRAMES = 0
    # Temporal strides that training clips are drawn with (frameskip augmentation); (1,) is none.
    cfg.INPUT.FRAMESKIP = (1,)
    # Gaussian blur augmentation: share of the samples, and range of the deviation in pixels.
    cfg.INPUT.BLUR = CfgNode()
    cfg.INPUT.BLUR.PROB = 0.0
    cfg.INPUT.BLUR.SIGMA = (0.5, 2.0)
    # Frames left out between the input and the first target frame.
    cfg.INPUT.TARGET_GAP = 0
    # Make true input masks look detected: share of the clips, then how often an object is missed in
    # all masks and in a single one, and its outline moved, by up to so many pixels.
    cfg.INPUT.MASK_NOISE = CfgNode()
    cfg.INPUT.MASK_NOISE.PROB = 0.0
    cfg.INPUT.MASK_NOISE.MISSED_OBJECT = 0.02
    cfg.INPUT.MASK_NOISE.MISSED_FRAME = 0.05
    cfg.INPUT.MASK_NOISE.ROUGH = 0.5
    cfg.INPUT.MASK_NOISE.MAX_SHIFT = 1
    # The same for tracks: greatest deviation of an outline, about in pixels, and greatest share of
    # the frames in which an object is missed.
    cfg.INPUT.TRACK_NOISE = CfgNode()
    cfg.INPUT.TRACK_NOISE.OUTLINE = 0.8
    cfg.INPUT.TRACK_NOISE.MISSED_FRAME = 0.06


def _add_model_config(cfg: CfgNode) -> None:
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    # Memory format of convolution inputs and weights: True or False; None for the faster one.
    cfg.MODEL.CHANNELS_LAST = None

    cfg.MODEL.SIMVP = CfgNode()
    # Space-to-depth factor before the encoder; 1 is the paper's network.
    cfg.MODEL.SIMVP.PATCH_SIZE = 1
    cfg.MODEL.SIMVP.HIDDEN_SPATIAL = 16  # hid_S
    cfg.MODEL.SIMVP.HIDDEN_TEMPORAL = 128  # hid_T
    cfg.MODEL.SIMVP.NUM_SPATIAL_LAYERS = 4  # N_S
    cfg.MODEL.SIMVP.NUM_TEMPORAL_LAYERS = 4  # N_T
    cfg.MODEL.SIMVP.TRANSLATOR = "gSTA"  # or "IncepU"
    # Predict the change against the last input frame; False is the paper's network.
    cfg.MODEL.SIMVP.RESIDUAL = False

    cfg.MODEL.CONVLSTM = CfgNode()
    cfg.MODEL.CONVLSTM.PATCH_SIZE = 4
    cfg.MODEL.CONVLSTM.HIDDEN_CHANNELS = (64, 64)
    cfg.MODEL.CONVLSTM.KERNEL_SIZE = 5

    cfg.MODEL.RECONSTRUCTOR = CfgNode()
    # Of the convolutions; each but the first halves the resolution before it, by max pooling.
    cfg.MODEL.RECONSTRUCTOR.CHANNELS = (8, 16, 32, 64)
    cfg.MODEL.RECONSTRUCTOR.HIDDEN_CHANNELS = (64, 64)  # of the ConvLSTM
    cfg.MODEL.RECONSTRUCTOR.KERNEL_SIZE = 5
    # Predict the change against the last input frame.
    cfg.MODEL.RECONSTRUCTOR.RESIDUAL = False

    cfg.MODEL.UNET = CfgNode()
    # Space-to-depth factor before the first level; 1 is the paper's network.
    cfg.MODEL.UNET.PATCH_SIZE = 2
    cfg.MODEL.UNET.CHANNELS = (24, 48, 96, 192, 256)  # of each level, from the finest
    # Weights of the losses, and of background pixels in the cross-entropy (objects have 1).
    cfg.MODEL.UNET.LOSS = CfgNode()
    cfg.MODEL.UNET.LOSS.CROSS_ENTROPY = 1.0
    cfg.MODEL.UNET.LOSS.DICE = 1.0
    cfg.MODEL.UNET.LOSS.LOVASZ = 0.0
    cfg.MODEL.UNET.LOSS.BACKGROUND_WEIGHT = 0.5

    _add_mask_simvp_config(cfg)
    _add_object_dynamics_config(cfg)


def _add_mask_simvp_config(cfg: CfgNode) -> None:
    cfg.MODEL.MASK_SIMVP = CfgNode()
    # Each object on its own, among the others, and at most so many; 0: all classes at once.
    cfg.MODEL.MASK_SIMVP.SLOTS = 8
    # Without slots: channels of a learned embedding of the classes; 0: one-hot.
    cfg.MODEL.MASK_SIMVP.EMBEDDING = 0
    # "last": of the masks that follow, learn the last; "all": all of them.
    cfg.MODEL.MASK_SIMVP.TARGETS = "last"
    # Predict the change against the last input mask; False is the published network.
    cfg.MODEL.MASK_SIMVP.RESIDUAL = True
    # Without slots: in inference, give no class that the input does not have.
    cfg.MODEL.MASK_SIMVP.SEEN_CLASSES_ONLY = True
    cfg.MODEL.MASK_SIMVP.PATCH_SIZE = 2
    cfg.MODEL.MASK_SIMVP.HIDDEN_SPATIAL = 32  # hid_S
    cfg.MODEL.MASK_SIMVP.HIDDEN_TEMPORAL = 256  # hid_T
    cfg.MODEL.MASK_SIMVP.NUM_SPATIAL_LAYERS = 4  # N_S
    cfg.MODEL.MASK_SIMVP.NUM_TEMPORAL_LAYERS = 4  # N_T
    cfg.MODEL.MASK_SIMVP.TRANSLATOR = "gSTA"  # or "IncepU"
    # Of gSTA: hidden channels of its MLPs for one of their input.
    cfg.MODEL.MASK_SIMVP.MLP_RATIO = 8.0
    # Weights of the two losses, and of background pixels in the cross-entropy (objects have 1).
    cfg.MODEL.MASK_SIMVP.LOSS = CfgNode()
    cfg.MODEL.MASK_SIMVP.LOSS.CROSS_ENTROPY = 1.0
    cfg.MODEL.MASK_SIMVP.LOSS.JACCARD = 0.0
    cfg.MODEL.MASK_SIMVP.LOSS.BACKGROUND_WEIGHT = 0.5
    # Predict one mask, and from it the next, INPUT.NUM_TARGET_FRAMES times.
    cfg.MODEL.MASK_SIMVP.ROLLOUT = False
    # In training, so many times at most (0: all); a shorter rollout takes less time and memory.
    cfg.MODEL.MASK_SIMVP.ROLLOUT_TRAIN_STEPS = 0
    # Chance that a rollout in training is fed its own prediction, not the true mask: at the
    # beginning and from iteration ITERS on.
    cfg.MODEL.MASK_SIMVP.SCHEDULED_SAMPLING = CfgNode()
    cfg.MODEL.MASK_SIMVP.SCHEDULED_SAMPLING.PROB = (0.0, 1.0)
    cfg.MODEL.MASK_SIMVP.SCHEDULED_SAMPLING.ITERS = 10000


def _add_object_dynamics_config(cfg: CfgNode) -> None:
    cfg.MODEL.OBJECT_DYNAMICS = CfgNode()
    # The encoder of tracks.
    cfg.MODEL.OBJECT_DYNAMICS.CHANNELS = 96
    cfg.MODEL.OBJECT_DYNAMICS.NUM_LAYERS = 2
    cfg.MODEL.OBJECT_DYNAMICS.HEADS = 4
    # What the motion of an object is told besides place, velocity, orientation and friction.
    cfg.MODEL.OBJECT_DYNAMICS.CODE_SIZE = 8
    cfg.MODEL.OBJECT_DYNAMICS.MESSAGE_CHANNELS = 48
    cfg.MODEL.OBJECT_DYNAMICS.SUBSTEPS = 2  # of the motion, between two frames
    cfg.MODEL.OBJECT_DYNAMICS.DRAWING_CHANNELS = 48
    # Noise on the true states that the motion is learned from, meters; on velocities three times.
    cfg.MODEL.OBJECT_DYNAMICS.STATE_NOISE = 0.02
    # "last": draw the last frame alone; "all": all that follow the input.
    cfg.MODEL.OBJECT_DYNAMICS.TARGETS = "last"
    # Objects that are less likely to be about where they are predicted are not drawn.
    cfg.MODEL.OBJECT_DYNAMICS.MIN_PROBABILITY = 0.2


def _add_pipeline_config(cfg: CfgNode) -> None:
    # The pipeline names its models by config file and weights; relative paths are taken from
    # the file that names them. "package://" is the folder of the shipped weights.
    cfg.PIPELINE = CfgNode()
    # What the leaderboard says of it: a name, and what it was trained on and for how long.
    cfg.PIPELINE.TITLE = ""
    cfg.PIPELINE.TRAINING = ""
    # Keys and values that all its models are built with: what is set beside PIPELINE.
    cfg.PIPELINE.MODEL_OPTS = []
    cfg.PIPELINE.PREDICTOR = CfgNode()
    cfg.PIPELINE.PREDICTOR.CONFIG_FILE = ""
    cfg.PIPELINE.PREDICTOR.WEIGHTS = ""
    cfg.PIPELINE.SEGMENTER = CfgNode()
    cfg.PIPELINE.SEGMENTER.CONFIG_FILE = ""
    cfg.PIPELINE.SEGMENTER.WEIGHTS = ""
    # From the masks of the input frames to that of a later one, in the place of segmenting what the
    # predictor gives.
    cfg.PIPELINE.MASK_PREDICTOR = CfgNode()
    cfg.PIPELINE.MASK_PREDICTOR.CONFIG_FILE = ""
    cfg.PIPELINE.MASK_PREDICTOR.WEIGHTS = ""
    # The frame whose mask is asked for, counted from 1; 0 is the last that the models predict.
    cfg.PIPELINE.TARGET_FRAME = 0
    # An object never seen in the input cannot be known: drop its class from the predicted mask.
    cfg.PIPELINE.SEEN_CLASSES_ONLY = True
    # An object whose class changes for some frames is given one, before masks are predicted.
    cfg.PIPELINE.JOIN_CONFUSED = True
    # Detections below this score are not painted into a mask.
    cfg.PIPELINE.SCORE_THRESH = 0.5
    cfg.PIPELINE.BATCH_SIZE = 8
