"""Default values of the keys that the embedded engine knows: Detectron2's names and values.

A YAML file with any other key is refused. The engine respects all keys here, except those of
Detectron2's own mappers and samplers, which the project's may read; ``default_setup`` warns about
these.
"""

from vps_d2.d2.embedded.config import CfgNode

__all__ = ["DEFAULTS"]


def _model() -> CfgNode:
    cfg = CfgNode()
    cfg.META_ARCHITECTURE = "GeneralizedRCNN"
    cfg.DEVICE = "cuda"
    cfg.WEIGHTS = ""
    cfg.MASK_ON = False
    # In the channel order of INPUT.FORMAT, on the scale 0-255.
    cfg.PIXEL_MEAN = [103.530, 116.280, 123.675]
    cfg.PIXEL_STD = [1.0, 1.0, 1.0]
    cfg.BACKBONE = _backbone()
    cfg.RESNETS = _resnets()
    cfg.FPN = _fpn()
    cfg.PROPOSAL_GENERATOR = _proposal_generator()
    cfg.ANCHOR_GENERATOR = _anchor_generator()
    cfg.RPN = _rpn()
    cfg.ROI_HEADS = _roi_heads()
    cfg.ROI_BOX_HEAD = _roi_box_head()
    cfg.ROI_MASK_HEAD = _roi_mask_head()
    cfg.SEM_SEG_HEAD = _sem_seg_head()
    return cfg


def _backbone() -> CfgNode:
    cfg = CfgNode()
    cfg.NAME = "build_resnet_backbone"
    # Stages that are not trained: 0 none, 1 the stem, 2 the stem and res2, ...
    cfg.FREEZE_AT = 2
    return cfg


def _resnets() -> CfgNode:
    cfg = CfgNode()
    cfg.DEPTH = 50
    cfg.OUT_FEATURES = ["res4"]
    cfg.NUM_GROUPS = 1
    cfg.NORM = "FrozenBN"
    cfg.WIDTH_PER_GROUP = 64
    cfg.STRIDE_IN_1X1 = True
    cfg.RES5_DILATION = 1
    cfg.RES2_OUT_CHANNELS = 256
    cfg.STEM_OUT_CHANNELS = 64
    return cfg


def _fpn() -> CfgNode:
    cfg = CfgNode()
    cfg.IN_FEATURES = []
    cfg.OUT_CHANNELS = 256
    cfg.NORM = ""
    cfg.FUSE_TYPE = "sum"
    return cfg


def _proposal_generator() -> CfgNode:
    cfg = CfgNode()
    cfg.NAME = "RPN"
    cfg.MIN_SIZE = 0
    return cfg


def _anchor_generator() -> CfgNode:
    cfg = CfgNode()
    cfg.NAME = "DefaultAnchorGenerator"
    cfg.SIZES = [[32, 64, 128, 256, 512]]
    cfg.ASPECT_RATIOS = [[0.5, 1.0, 2.0]]
    cfg.OFFSET = 0.0
    return cfg


def _rpn() -> CfgNode:
    cfg = CfgNode()
    cfg.HEAD_NAME = "StandardRPNHead"
    cfg.IN_FEATURES = ["res4"]
    cfg.BOUNDARY_THRESH = -1
    cfg.IOU_THRESHOLDS = [0.3, 0.7]
    cfg.IOU_LABELS = [0, -1, 1]
    cfg.BATCH_SIZE_PER_IMAGE = 256
    cfg.POSITIVE_FRACTION = 0.5
    cfg.BBOX_REG_LOSS_TYPE = "smooth_l1"
    cfg.BBOX_REG_LOSS_WEIGHT = 1.0
    cfg.BBOX_REG_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
    cfg.SMOOTH_L1_BETA = 0.0
    cfg.LOSS_WEIGHT = 1.0
    cfg.PRE_NMS_TOPK_TRAIN = 12000
    cfg.PRE_NMS_TOPK_TEST = 6000
    cfg.POST_NMS_TOPK_TRAIN = 2000
    cfg.POST_NMS_TOPK_TEST = 1000
    cfg.NMS_THRESH = 0.7
    cfg.CONV_DIMS = [-1]
    return cfg


def _roi_heads() -> CfgNode:
    cfg = CfgNode()
    cfg.NAME = "Res5ROIHeads"
    cfg.NUM_CLASSES = 80
    cfg.IN_FEATURES = ["res4"]
    cfg.IOU_THRESHOLDS = [0.5]
    cfg.IOU_LABELS = [0, 1]
    cfg.BATCH_SIZE_PER_IMAGE = 512
    cfg.POSITIVE_FRACTION = 0.25
    cfg.SCORE_THRESH_TEST = 0.05
    cfg.NMS_THRESH_TEST = 0.5
    cfg.PROPOSAL_APPEND_GT = True
    return cfg


def _roi_box_head() -> CfgNode:
    cfg = CfgNode()
    cfg.NAME = ""
    cfg.BBOX_REG_LOSS_TYPE = "smooth_l1"
    cfg.BBOX_REG_LOSS_WEIGHT = 1.0
    cfg.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    cfg.SMOOTH_L1_BETA = 0.0
    cfg.POOLER_RESOLUTION = 14
    cfg.POOLER_SAMPLING_RATIO = 0
    cfg.POOLER_TYPE = "ROIAlignV2"
    cfg.NUM_FC = 0
    cfg.FC_DIM = 1024
    cfg.NUM_CONV = 0
    cfg.CONV_DIM = 256
    cfg.NORM = ""
    cfg.CLS_AGNOSTIC_BBOX_REG = False
    return cfg


def _roi_mask_head() -> CfgNode:
    cfg = CfgNode()
    cfg.NAME = "MaskRCNNConvUpsampleHead"
    cfg.POOLER_RESOLUTION = 14
    cfg.POOLER_SAMPLING_RATIO = 0
    cfg.POOLER_TYPE = "ROIAlignV2"
    cfg.NUM_CONV = 0
    cfg.CONV_DIM = 256
    cfg.NORM = ""
    cfg.CLS_AGNOSTIC_MASK = False
    return cfg


def _sem_seg_head() -> CfgNode:
    # No model of this engine reads them, but projects that extend Detectron2 do.
    cfg = CfgNode()
    cfg.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    cfg.NUM_CLASSES = 54
    cfg.CONVS_DIM = 128
    cfg.COMMON_STRIDE = 4
    return cfg


def _input() -> CfgNode:
    cfg = CfgNode()
    cfg.FORMAT = "BGR"
    cfg.MASK_FORMAT = "polygon"
    # Length of the shorter edge in pixels; 0 at test time leaves the image as it is.
    cfg.MIN_SIZE_TRAIN = (800,)
    cfg.MIN_SIZE_TRAIN_SAMPLING = "choice"
    cfg.MAX_SIZE_TRAIN = 1333
    cfg.MIN_SIZE_TEST = 800
    cfg.MAX_SIZE_TEST = 1333
    cfg.RANDOM_FLIP = "horizontal"
    # Cut a rectangle out of every picture; SIZE is what TYPE says, such as the least shares of
    # height and width.
    cfg.CROP = CfgNode()
    cfg.CROP.ENABLED = False
    cfg.CROP.TYPE = "relative_range"
    cfg.CROP.SIZE = [0.9, 0.9]
    return cfg


def _datasets() -> CfgNode:
    cfg = CfgNode()
    cfg.TRAIN = ()
    cfg.TEST = ()
    return cfg


def _dataloader() -> CfgNode:
    cfg = CfgNode()
    cfg.NUM_WORKERS = 4
    cfg.ASPECT_RATIO_GROUPING = True
    cfg.SAMPLER_TRAIN = "TrainingSampler"
    cfg.FILTER_EMPTY_ANNOTATIONS = True
    return cfg


def _solver() -> CfgNode:
    cfg = CfgNode()
    cfg.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    cfg.MAX_ITER = 40000
    cfg.BASE_LR = 0.001
    cfg.BASE_LR_END = 0.0
    cfg.MOMENTUM = 0.9
    cfg.NESTEROV = False
    cfg.WEIGHT_DECAY = 0.0001
    cfg.WEIGHT_DECAY_NORM = 0.0
    cfg.WEIGHT_DECAY_BIAS = None  # as WEIGHT_DECAY
    cfg.BIAS_LR_FACTOR = 1.0
    cfg.GAMMA = 0.1
    cfg.STEPS = (30000,)
    cfg.NUM_DECAYS = 3
    cfg.WARMUP_FACTOR = 1.0 / 1000
    cfg.WARMUP_ITERS = 1000
    cfg.WARMUP_METHOD = "linear"
    cfg.RESCALE_INTERVAL = False
    cfg.CHECKPOINT_PERIOD = 5000
    # Over all processes.
    cfg.IMS_PER_BATCH = 16
    cfg.REFERENCE_WORLD_SIZE = 0
    cfg.CLIP_GRADIENTS = CfgNode()
    cfg.CLIP_GRADIENTS.ENABLED = False
    cfg.CLIP_GRADIENTS.CLIP_TYPE = "value"
    cfg.CLIP_GRADIENTS.CLIP_VALUE = 1.0
    cfg.CLIP_GRADIENTS.NORM_TYPE = 2.0
    cfg.AMP = CfgNode()
    cfg.AMP.ENABLED = False
    return cfg


def _test() -> CfgNode:
    cfg = CfgNode()
    cfg.EXPECTED_RESULTS = []
    cfg.EVAL_PERIOD = 0
    cfg.DETECTIONS_PER_IMAGE = 100
    return cfg


def _defaults() -> CfgNode:
    cfg = CfgNode()
    cfg.VERSION = 2
    cfg.MODEL = _model()
    cfg.INPUT = _input()
    cfg.DATASETS = _datasets()
    cfg.DATALOADER = _dataloader()
    cfg.SOLVER = _solver()
    cfg.TEST = _test()
    cfg.OUTPUT_DIR = "./output"
    # Negative: a different one in every run.
    cfg.SEED = -1
    cfg.CUDNN_BENCHMARK = False
    cfg.FLOAT32_PRECISION = ""
    return cfg


DEFAULTS: CfgNode = _defaults()
"""The default configuration; :func:`vps_d2.d2.config.get_cfg` returns a copy."""
