"""Networks, and the architectures that feed and register them."""

from vps_d2.modeling.convlstm import ConvLSTMNetwork
from vps_d2.modeling.mask_network import MaskSimVPNetwork
from vps_d2.modeling.mask_simvp import MaskSimVP
from vps_d2.modeling.object_dynamics import ObjectDynamics, ObjectDynamicsNetwork
from vps_d2.modeling.precision import inference_autocast, use_channels_last
from vps_d2.modeling.reconstructor import ConvLSTMReconstructor, ReconstructorNetwork
from vps_d2.modeling.simvp import SimVPNetwork
from vps_d2.modeling.translators import TRANSLATORS
from vps_d2.modeling.unet import UNet, UNetNetwork
from vps_d2.modeling.video_predictor import ConvLSTM, SimVP, VideoPredictor

__all__ = [
    "TRANSLATORS",
    "ConvLSTM",
    "ConvLSTMNetwork",
    "ConvLSTMReconstructor",
    "MaskSimVP",
    "MaskSimVPNetwork",
    "ObjectDynamics",
    "ObjectDynamicsNetwork",
    "ReconstructorNetwork",
    "SimVP",
    "SimVPNetwork",
    "UNet",
    "UNetNetwork",
    "VideoPredictor",
    "inference_autocast",
    "use_channels_last",
]
