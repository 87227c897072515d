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
    # Train for this long, if it is not 0: the schedule of the learning rate then follows the clock,
    # and MAX_ITER, which is not reached in that time, only says what share of it WARMUP_ITERS is.
    cfg.SOLVER.MAX_MINUTES = 0.0
    # Learning rate of weights under "backbone", relative to the others.
    cfg.SOLVER.BACKBONE_LR_FACTOR = 1.0
    # bfloat16 needs no loss scaling and runs on CPUs and GPUs alike, unlike Detectron2's float16.
    cfg.SOLVER.AMP.ENABLED = True
    # "auto": bfloat16 where the device has instructions for it, float32 elsewhere.
    cfg.SOLVER.AMP.DTYPE = "auto"
    # Keep the exponential moving average of the weights, with which models are evaluated and used;
    # the share of it that is kept in each iteration; and, if 0 or more, the factor F with which
    # iteration n keeps no more than (1 + n) / (F + n). The names are d2go's.
    cfg.MODEL_EMA = CfgNode()
    cfg.MODEL_EMA.ENABLED = False
    cfg.MODEL_EMA.DECAY = 0.999
    cfg.MODEL_EMA.DECAY_WARM_UP_FACTOR = -1
    # Names in EVALUATOR_REGISTRY; each is run on every data set in DATASETS.TEST.
    cfg.TEST.EVALUATORS = ()
    # Iterations between pictures in TensorBoard (0: no pictures), and samples shown each time.
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
    # alike, and whether a video never holds two objects of one class. () takes them from the
    # Metadata of the data sets; training writes them to config.yaml, so that inference needs no
    # data set.
    cfg.TAXONOMY = CfgNode()
    cfg.TAXONOMY.CLASSES = ()
    cfg.TAXONOMY.COLORS = ()
    cfg.TAXONOMY.GROUPS = ()
    cfg.TAXONOMY.ONE_OBJECT_PER_CLASS = False
    # How often each data set of DATASETS.TRAIN counts in an epoch; () for once.
    cfg.DATASETS.REPEATS = ()
    # Leave faulty videos out and log them, instead of stopping.
    cfg.DATASETS.SKIP_FAULTY = False
    # Name in DATASET_MAPPER_REGISTRY: the mapper that makes the model's inputs.
    cfg.INPUT.MAPPER = "FrameMapper"
    cfg.INPUT.FORMAT = "RGB"
    # Add the class map to a frame, which semantic segmentation learns from.
    cfg.INPUT.SEM_SEG = False
    # Add the objects of a frame, which instance segmentation learns from.
    cfg.INPUT.INSTANCES = True
    cfg.INPUT.NUM_INPUT_FRAMES = 11
    cfg.INPUT.NUM_TARGET_FRAMES = 11
    # Frames of a video that are known in evaluation and inference: a model's input ends with the
    # last of them (0: INPUT.NUM_INPUT_FRAMES).
    cfg.INPUT.NUM_KNOWN_FRAMES = 0
    # Temporal strides of training clips (frameskip augmentation); (1,) for consecutive frames.
    cfg.INPUT.FRAMESKIP = (1,)
    # Gaussian blur augmentation: share of the samples, and range of sigma in pixels.
    cfg.INPUT.BLUR = CfgNode()
    cfg.INPUT.BLUR.PROB = 0.0
    cfg.INPUT.BLUR.SIGMA = (0.5, 2.0)
    # Windows of single frames, enlarged, whose border cuts objects off: share of the frames, and
    # largest scale.
    cfg.INPUT.ZOOM = CfgNode()
    cfg.INPUT.ZOOM.PROB = 0.0
    cfg.INPUT.ZOOM.MAX = 1.3
    # How single frames look: deviation of the logarithm of the brightness, largest sigma of noise
    # in gray levels, share that was stored as JPEG, and range of its quality.
    cfg.INPUT.LOOK = CfgNode()
    cfg.INPUT.LOOK.LIGHT = 0.0
    cfg.INPUT.LOOK.NOISE = 0.0
    cfg.INPUT.LOOK.JPEG = 0.0
    cfg.INPUT.LOOK.JPEG_QUALITY = (50, 95)
    _add_clip_config(cfg)
    _add_vos_config(cfg)
    _add_s2m_config(cfg)
    # Frames left out between the input and the first target frame.
    cfg.INPUT.TARGET_GAP = 0
    # Make true input masks look like detected ones: share of clips to change; then the chance that
    # an object is missing from all masks, and from a single one; the chance that its outline is
    # moved in a mask, and by how many pixels at most.
    cfg.INPUT.MASK_NOISE = CfgNode()
    cfg.INPUT.MASK_NOISE.PROB = 0.0
    cfg.INPUT.MASK_NOISE.MISSED_OBJECT = 0.02
    cfg.INPUT.MASK_NOISE.MISSED_FRAME = 0.05
    cfg.INPUT.MASK_NOISE.ROUGH = 0.5
    cfg.INPUT.MASK_NOISE.MAX_SHIFT = 1
    # The same for tracks: the largest noise on a place, in the standard deviations that were
    # measured with it, and the largest share of frames in which an object is missed.
    cfg.INPUT.TRACK_NOISE = CfgNode()
    cfg.INPUT.TRACK_NOISE.PLACE = 0.5
    cfg.INPUT.TRACK_NOISE.MISSED_FRAME = 0.06


def _add_clip_config(cfg: CfgNode) -> None:
    # Of ClipInstanceMapper, in training: frames of a clip, and the number of consecutive frames
    # that they are drawn from (NUM_FRAMES or less: the clip's frames are consecutive).
    cfg.INPUT.CLIP = CfgNode()
    cfg.INPUT.CLIP.NUM_FRAMES = 2
    cfg.INPUT.CLIP.RANGE = 20
    # Give the frames of a clip in random order.
    cfg.INPUT.CLIP.SHUFFLE = False
    # How often another clip is drawn if none of its frames shows an object.
    cfg.INPUT.CLIP.EMPTY_TRIES = 10
    # A single picture is moved at random for each frame of a clip: largest angle in degrees,
    # smallest and largest factor, and largest way as a share of height and width.
    cfg.INPUT.CLIP.MOTION = CfgNode()
    cfg.INPUT.CLIP.MOTION.ROTATION = 15.0
    cfg.INPUT.CLIP.MOTION.SCALE = (0.8, 1.25)
    cfg.INPUT.CLIP.MOTION.SHIFT = 0.1


def _add_vos_config(cfg: CfgNode) -> None:
    # Of VOSClipMapper, in training: height and width of the frames, and most objects of a clip.
    cfg.INPUT.VOS = CfgNode()
    cfg.INPUT.VOS.SIZE = (192, 192)
    cfg.INPUT.VOS.MAX_OBJECTS = 3
    # Most frames of a video from one frame of a clip to the next: the first value holds from the
    # beginning, each further one from its share of SOLVER.MAX_ITER in GAP_STEPS on.
    cfg.INPUT.VOS.MAX_GAPS = (10,)
    cfg.INPUT.VOS.GAP_STEPS = ()
    # Of made clips: how often the first step is a long one, and its least and most frames.
    cfg.INPUT.VOS.FAR_SHARE = 0.0
    cfg.INPUT.VOS.FAR_GAPS = (5, 40)
    # Of made clips: the chance that an object has a double that is not an object.
    cfg.INPUT.VOS.LOOKALIKES = 0.35
    # Chance that the frames of a clip of a real video are given in reverse.
    cfg.INPUT.VOS.REVERSE = 0.5
    # Of real videos and stills: the least share of a picture's shorter side that is cropped, and
    # the chance of a gray clip.
    cfg.INPUT.VOS.MIN_CROP = 0.5
    cfg.INPUT.VOS.GRAY = 0.05


def _add_s2m_config(cfg: CfgNode) -> None:
    # Of StrokeMapper: height and width of its crops, and of made pictures before they are cropped;
    # and how often it gives a mask with errors and strokes on them, not first strokes.
    cfg.INPUT.S2M = CfgNode()
    cfg.INPUT.S2M.SIZE = (256, 256)
    cfg.INPUT.S2M.SCENE_SIZE = (320, 320)
    cfg.INPUT.S2M.SPOILED = 0.4


def _add_model_config(cfg: CfgNode) -> None:
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    # Memory format of convolution inputs and weights: channels last if True, contiguous if False;
    # None for the faster one.
    cfg.MODEL.CHANNELS_LAST = None

    cfg.MODEL.SIMVP = CfgNode()
    # Space-to-depth factor before the encoder; 1 is the paper's network.
    cfg.MODEL.SIMVP.PATCH_SIZE = 1
    cfg.MODEL.SIMVP.HIDDEN_SPATIAL = 16  # hid_S
    cfg.MODEL.SIMVP.HIDDEN_TEMPORAL = 128  # hid_T
    cfg.MODEL.SIMVP.NUM_SPATIAL_LAYERS = 4  # N_S
    cfg.MODEL.SIMVP.NUM_TEMPORAL_LAYERS = 4  # N_T
    cfg.MODEL.SIMVP.TRANSLATOR = "gSTA"  # or "IncepU"
    # Predict the change from the last input frame; False is the paper's network.
    cfg.MODEL.SIMVP.RESIDUAL = False

    cfg.MODEL.CONVLSTM = CfgNode()
    cfg.MODEL.CONVLSTM.PATCH_SIZE = 4
    cfg.MODEL.CONVLSTM.HIDDEN_CHANNELS = (64, 64)
    cfg.MODEL.CONVLSTM.KERNEL_SIZE = 5

    cfg.MODEL.RECONSTRUCTOR = CfgNode()
    # Of the convolutions; max pooling before each but the first halves the resolution.
    cfg.MODEL.RECONSTRUCTOR.CHANNELS = (8, 16, 32, 64)
    cfg.MODEL.RECONSTRUCTOR.HIDDEN_CHANNELS = (64, 64)  # of the ConvLSTM
    cfg.MODEL.RECONSTRUCTOR.KERNEL_SIZE = 5
    # Predict the change from the last input frame.
    cfg.MODEL.RECONSTRUCTOR.RESIDUAL = False

    cfg.MODEL.UNET = CfgNode()
    # Space-to-depth factor before the first level; 1 is the paper's network.
    cfg.MODEL.UNET.PATCH_SIZE = 2
    cfg.MODEL.UNET.CHANNELS = (24, 48, 96, 192, 256)  # of each level, from the finest on
    # Weights of the losses, and of background pixels in the cross-entropy (objects have 1).
    cfg.MODEL.UNET.LOSS = CfgNode()
    cfg.MODEL.UNET.LOSS.CROSS_ENTROPY = 1.0
    cfg.MODEL.UNET.LOSS.DICE = 1.0
    cfg.MODEL.UNET.LOSS.LOVASZ = 0.0
    cfg.MODEL.UNET.LOSS.BACKGROUND_WEIGHT = 0.5

    _add_vistr_config(cfg)
    _add_mask_simvp_config(cfg)
    _add_object_dynamics_config(cfg)
    _add_mask_former_config(cfg)
    _add_vos_model_config(cfg)
    _add_s2m_model_config(cfg)


def _add_vistr_config(cfg: CfgNode) -> None:
    # The number of frames of a pass is INPUT.CLIP.NUM_FRAMES.
    cfg.MODEL.VISTR = CfgNode()
    cfg.MODEL.VISTR.NUM_INSTANCES = 10
    cfg.MODEL.VISTR.CHANNELS = 384
    cfg.MODEL.VISTR.HEADS = 8
    cfg.MODEL.VISTR.NUM_ENCODER_LAYERS = 6
    cfg.MODEL.VISTR.NUM_DECODER_LAYERS = 6
    cfg.MODEL.VISTR.FEEDFORWARD_CHANNELS = 2048
    cfg.MODEL.VISTR.DROPOUT = 0.1
    # Make the last convolution of the mask head deformable, as published; on a CPU that takes most
    # of the time of training.
    cfg.MODEL.VISTR.DEFORMABLE = True
    # Frames that two passes over a longer video share, and the least IoU, over these, of a tube and
    # the track that it continues.
    cfg.MODEL.VISTR.PASS_OVERLAP = 18
    cfg.MODEL.VISTR.PASS_MIN_IOU = 0.3
    # ResNet: its depth, the channels of its first stage before their expansion, whether the last
    # stage keeps the resolution of the one before, and how many of the last stages are trained.
    cfg.MODEL.VISTR.BACKBONE = CfgNode()
    cfg.MODEL.VISTR.BACKBONE.DEPTH = 50
    cfg.MODEL.VISTR.BACKBONE.WIDTH = 64
    cfg.MODEL.VISTR.BACKBONE.DILATION = False
    cfg.MODEL.VISTR.BACKBONE.TRAINED_STAGES = 3
    # Weights of the losses, and of "no object" in the cross-entropy (classes have 1).
    cfg.MODEL.VISTR.LOSS = CfgNode()
    cfg.MODEL.VISTR.LOSS.CLASS = 1.0
    cfg.MODEL.VISTR.LOSS.BOX = 5.0
    cfg.MODEL.VISTR.LOSS.GIOU = 2.0
    cfg.MODEL.VISTR.LOSS.MASK = 1.0
    cfg.MODEL.VISTR.LOSS.DICE = 1.0
    cfg.MODEL.VISTR.LOSS.NO_OBJECT_WEIGHT = 0.1


def _add_mask_simvp_config(cfg: CfgNode) -> None:
    cfg.MODEL.MASK_SIMVP = CfgNode()
    # Slots: predict each object by itself, given the others, for at most this many objects; 0 for
    # no slots: all classes at once.
    cfg.MODEL.MASK_SIMVP.SLOTS = 8
    # Without slots: channels of a learned embedding of the classes; 0: one-hot.
    cfg.MODEL.MASK_SIMVP.EMBEDDING = 0
    # "last": learn only the last of the masks that follow; "all": all of them.
    cfg.MODEL.MASK_SIMVP.TARGETS = "last"
    # Predict the change from the last input mask; False is the published network.
    cfg.MODEL.MASK_SIMVP.RESIDUAL = True
    # Without slots: in inference, predict no class that the input does not have.
    cfg.MODEL.MASK_SIMVP.SEEN_CLASSES_ONLY = True
    cfg.MODEL.MASK_SIMVP.PATCH_SIZE = 2
    cfg.MODEL.MASK_SIMVP.HIDDEN_SPATIAL = 32  # hid_S
    cfg.MODEL.MASK_SIMVP.HIDDEN_TEMPORAL = 256  # hid_T
    cfg.MODEL.MASK_SIMVP.NUM_SPATIAL_LAYERS = 4  # N_S
    cfg.MODEL.MASK_SIMVP.NUM_TEMPORAL_LAYERS = 4  # N_T
    cfg.MODEL.MASK_SIMVP.TRANSLATOR = "gSTA"  # or "IncepU"
    # Of gSTA: hidden channels of its MLPs for each input channel.
    cfg.MODEL.MASK_SIMVP.MLP_RATIO = 8.0
    # Weights of the two losses, and of background pixels in the cross-entropy (objects have 1).
    cfg.MODEL.MASK_SIMVP.LOSS = CfgNode()
    cfg.MODEL.MASK_SIMVP.LOSS.CROSS_ENTROPY = 1.0
    cfg.MODEL.MASK_SIMVP.LOSS.JACCARD = 0.0
    cfg.MODEL.MASK_SIMVP.LOSS.BACKGROUND_WEIGHT = 0.5
    # Predict one mask, and from it the next, INPUT.NUM_TARGET_FRAMES times.
    cfg.MODEL.MASK_SIMVP.ROLLOUT = False
    # Most such predictions in training (0: all); a shorter rollout takes less time and memory.
    cfg.MODEL.MASK_SIMVP.ROLLOUT_TRAIN_STEPS = 0
    # Chance that a training rollout is fed its own prediction instead of the true mask: at the
    # beginning, and from iteration ITERS on.
    cfg.MODEL.MASK_SIMVP.SCHEDULED_SAMPLING = CfgNode()
    cfg.MODEL.MASK_SIMVP.SCHEDULED_SAMPLING.PROB = (0.0, 1.0)
    cfg.MODEL.MASK_SIMVP.SCHEDULED_SAMPLING.ITERS = 10000


def _add_object_dynamics_config(cfg: CfgNode) -> None:
    cfg.MODEL.OBJECT_DYNAMICS = CfgNode()
    # The encoder of tracks.
    cfg.MODEL.OBJECT_DYNAMICS.CHANNELS = 128
    cfg.MODEL.OBJECT_DYNAMICS.NUM_LAYERS = 3
    cfg.MODEL.OBJECT_DYNAMICS.HEADS = 4
    # Length of the learned code that describes an object to the motion model, besides place,
    # velocity, orientation, spin and mass.
    cfg.MODEL.OBJECT_DYNAMICS.CODE_SIZE = 16
    cfg.MODEL.OBJECT_DYNAMICS.MESSAGE_CHANNELS = 64
    cfg.MODEL.OBJECT_DYNAMICS.SUBSTEPS = 3  # of the motion, from one frame to the next
    cfg.MODEL.OBJECT_DYNAMICS.DRAWING_CHANNELS = 48
    # Noise on the true states that the motion is learned from, in meters; three times that, in m/s,
    # on velocities.
    cfg.MODEL.OBJECT_DYNAMICS.STATE_NOISE = 0.01
    # "last": draw only the last frame; "all": all that follow the input.
    cfg.MODEL.OBJECT_DYNAMICS.TARGETS = "last"
    # Places that an object may be in, by which is decided which pixels are its. With 1 it is drawn
    # where it is predicted, unless it is there with a probability below MIN_PROBABILITY.
    cfg.MODEL.OBJECT_DYNAMICS.NUM_FUTURES = 24
    cfg.MODEL.OBJECT_DYNAMICS.MIN_PROBABILITY = 0.1


def _add_mask_former_config(cfg: CfgNode) -> None:
    # Keys of the public Mask2Former and CTVIS have their names.
    keys = cfg.MODEL.SEM_SEG_HEAD
    keys.MASK_DIM = 256
    # The transformer of the pixel decoder: which maps of the backbone it takes.
    keys.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES = ["res3", "res4", "res5"]
    keys.DEFORMABLE_TRANSFORMER_ENCODER_N_POINTS = 4  # per head and map
    keys.TRANSFORMER_ENC_LAYERS = 6
    keys.TRANSFORMER_DIM_FEEDFORWARD = 1024

    cfg.MODEL.MASK_FORMER = keys = CfgNode()
    keys.HIDDEN_DIM = 256
    keys.NUM_OBJECT_QUERIES = 100
    # Predictions, of which one comes before the first layer.
    keys.DEC_LAYERS = 10
    keys.DIM_FEEDFORWARD = 2048
    keys.NHEADS = 8
    keys.DROPOUT = 0.0  # in the pixel decoder
    keys.PRE_NORM = False
    keys.ENFORCE_INPUT_PROJ = False
    # Frames are padded to a multiple of it; 0 for no padding.
    keys.SIZE_DIVISIBILITY = 32
    keys.CLASS_WEIGHT = 2.0
    keys.MASK_WEIGHT = 5.0
    keys.DICE_WEIGHT = 5.0
    keys.NO_OBJECT_WEIGHT = 0.1
    # Points that a mask is compared with the truth at; candidates per point; and the share of the
    # points that are the most uncertain candidates.
    keys.TRAIN_NUM_POINTS = 12544
    keys.OVERSAMPLE_RATIO = 3.0
    keys.IMPORTANCE_SAMPLE_RATIO = 0.75
    # The embeddings that objects are followed by; with 0 layers, they are the queries themselves.
    keys.REID_HIDDEN_DIM = 256
    keys.NUM_REID_HEAD_LAYERS = 3
    keys.TEST = CfgNode()
    # Detections below this score are dropped; so are those whose mask has this IoU or more with one
    # of a higher score.
    keys.TEST.SCORE_THRESH = 0.05
    keys.TEST.MASK_NMS_THRESH = 0.6
    keys.TEST.FRAMES_PER_BATCH = 8
    # The loss of the embeddings: weights of the contrastive loss and of the error of the cosines;
    # and whether half of the comparisons are with a mean over the clip.
    cfg.MODEL.CL_PLUGIN = CfgNode()
    cfg.MODEL.CL_PLUGIN.REID_WEIGHT = 2.0
    cfg.MODEL.CL_PLUGIN.AUX_REID_WEIGHT = 3.0
    cfg.MODEL.CL_PLUGIN.MOMENTUM_EMBED = True


def _add_vos_model_config(cfg: CfgNode) -> None:
    cfg.MODEL.VOS = CfgNode()
    # "stcn": the published network; "small": one of the same classes for CPUs.
    cfg.MODEL.VOS.NETWORK = "stcn"
    # Train no parameter of the encoder of keys.
    cfg.MODEL.VOS.FREEZE_KEYS = False
    # How often the small network has to do without the last mask in training, so that it finds an
    # object again that was hidden.
    cfg.MODEL.VOS.UNKNOWN_LAST = 0.2
    # Cells of the memory that a cell of a frame is read from in inference (in training, from all).
    cfg.MODEL.VOS.TOP_K = 20
    # The memory: every so many frames one is remembered; frames that are kept whole, besides those
    # with given masks; how many of them stay whole when the others become prototypes; prototypes of
    # each of these; and the most prototypes of all.
    cfg.MODEL.VOS.MEMORY_EVERY = 5
    cfg.MODEL.VOS.MEMORY_FRAMES = 10
    cfg.MODEL.VOS.MEMORY_LATEST = 5
    cfg.MODEL.VOS.FRAME_PROTOTYPES = 128
    cfg.MODEL.VOS.PROTOTYPES = 4096
    # Checkpoint of the network that fuses masks before and after a correction, in a session; "" for
    # no fusion.
    cfg.MODEL.VOS.FUSER = ""
    # The cross-entropy counts all pixels up to the first of two iterations, and from the second on
    # only this share of them, the hardest. Beside it, the weight of the Dice loss.
    cfg.MODEL.VOS.LOSS = CfgNode()
    cfg.MODEL.VOS.LOSS.BOOTSTRAP_ITERS = (20000, 70000)
    cfg.MODEL.VOS.LOSS.BOOTSTRAP_SHARE = 0.15
    cfg.MODEL.VOS.LOSS.DICE = 0.0

    cfg.MODEL.FUSION = CfgNode()
    # "fusion": the published network; "small": one of the same class for CPUs, which chooses
    # between the two masks.
    cfg.MODEL.FUSION.NETWORK = "fusion"
    # In training: checkpoint of the propagation network that made the data, of the kind in
    # MODEL.VOS.NETWORK. Its keys are used, and it is not trained.
    cfg.MODEL.FUSION.PROPAGATION = ""


def _add_s2m_model_config(cfg: CfgNode) -> None:
    cfg.MODEL.S2M = CfgNode()
    # "deeplab": the network of MiVOS; "small": one for CPUs.
    cfg.MODEL.S2M.NETWORK = "deeplab"
    # Train no parameter of the encoder of pictures, where there is one.
    cfg.MODEL.S2M.FREEZE_ENCODER = False
    # Rounds of a picture in training: in each one after the first, a stroke is added on an error.
    cfg.MODEL.S2M.ROUNDS = 3
    # Weight of the Dice loss beside the cross-entropy.
    cfg.MODEL.S2M.DICE = 1.0


def _add_pipeline_config(cfg: CfgNode) -> None:
    # The pipeline names its models by config file and weights; relative paths are taken from
    # the file that names them. "package://" is the folder of the shipped weights.
    cfg.PIPELINE = CfgNode()
    # What the leaderboard shows: a name, and what the models were trained on and for how long.
    cfg.PIPELINE.TITLE = ""
    cfg.PIPELINE.TRAINING = ""
    # Keys and values for all of its models: those that are set outside PIPELINE.
    cfg.PIPELINE.MODEL_OPTS = []
    cfg.PIPELINE.PREDICTOR = CfgNode()
    cfg.PIPELINE.PREDICTOR.CONFIG_FILE = ""
    cfg.PIPELINE.PREDICTOR.WEIGHTS = ""
    cfg.PIPELINE.SEGMENTER = CfgNode()
    cfg.PIPELINE.SEGMENTER.CONFIG_FILE = ""
    cfg.PIPELINE.SEGMENTER.WEIGHTS = ""
    # From the masks of the input frames to that of a later one, instead of segmenting a predicted
    # frame.
    cfg.PIPELINE.MASK_PREDICTOR = CfgNode()
    cfg.PIPELINE.MASK_PREDICTOR.CONFIG_FILE = ""
    cfg.PIPELINE.MASK_PREDICTOR.WEIGHTS = ""
    # The frame whose mask is wanted, counted from 1; 0 for the last that the models predict.
    cfg.PIPELINE.TARGET_FRAME = 0
    # Drop classes from the predicted mask that were not seen in the input.
    cfg.PIPELINE.SEEN_CLASSES_ONLY = True
    # Give an object whose class changes for some frames a single class, before predicting masks.
    cfg.PIPELINE.JOIN_CONFUSED = True
    # Detections below this score are not painted into a mask.
    cfg.PIPELINE.SCORE_THRESH = 0.5
    cfg.PIPELINE.BATCH_SIZE = 8
