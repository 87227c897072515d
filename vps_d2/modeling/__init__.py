"""Networks, and the architectures that feed and register them."""

from vps_d2.modeling.convlstm import ConvLSTMNetwork
from vps_d2.modeling.precision import inference_autocast, use_channels_last
from vps_d2.modeling.simvp import SimVPNetwork
from vps_d2.modeling.translators import TRANSLATORS
from vps_d2.modeling.video_predictor import ConvLSTM, SimVP, VideoPredictor

__all__ = [
    "TRANSLATORS",
    "ConvLSTM",
    "ConvLSTMNetwork",
    "SimVP",
    "SimVPNetwork",
    "VideoPredictor",
    "inference_autocast",
    "use_channels_last",
]
