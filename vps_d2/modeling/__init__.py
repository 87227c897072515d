"""Networks, and the architectures that register them with Detectron2."""

import vps_d2.data.datasets  # noqa: F401  (registers the data sets whose classes models take)
from vps_d2.modeling.frames.convlstm import ConvLSTMNetwork
from vps_d2.modeling.frames.reconstructor import ConvLSTMReconstructor, ReconstructorNetwork
from vps_d2.modeling.frames.simvp import SimVPNetwork
from vps_d2.modeling.frames.translators import TRANSLATORS
from vps_d2.modeling.frames.video_predictor import ConvLSTM, SimVP, VideoPredictor
from vps_d2.modeling.masks.mask_simvp import MaskSimVP
from vps_d2.modeling.object_dynamics import ObjectDynamics, ObjectDynamicsNetwork
from vps_d2.modeling.precision import inference_autocast, use_channels_last
from vps_d2.modeling.s2m.architecture import S2M
from vps_d2.modeling.segmentation.unet import UNet, UNetNetwork
from vps_d2.modeling.vis.video_mask_former import VideoMaskFormer
from vps_d2.modeling.vis.vistr import VisTR
from vps_d2.modeling.vis.vistr_network import VisTRNetwork
from vps_d2.modeling.vos.architecture import STCN
from vps_d2.modeling.vos.fusion import FusionNet
from vps_d2.modeling.vos.fusion_network import FusionNetwork
from vps_d2.modeling.vos.network import STCNNetwork

__all__ = [
    "S2M",
    "STCN",
    "TRANSLATORS",
    "ConvLSTM",
    "ConvLSTMNetwork",
    "ConvLSTMReconstructor",
    "FusionNet",
    "FusionNetwork",
    "MaskSimVP",
    "ObjectDynamics",
    "ObjectDynamicsNetwork",
    "ReconstructorNetwork",
    "STCNNetwork",
    "SimVP",
    "SimVPNetwork",
    "UNet",
    "UNetNetwork",
    "VideoMaskFormer",
    "VideoPredictor",
    "VisTR",
    "VisTRNetwork",
    "inference_autocast",
    "use_channels_last",
]
