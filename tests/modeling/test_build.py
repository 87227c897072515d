import torch
from torch import nn

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.d2.structures import Boxes
from vps_d2.modeling.build import build_model

CONFIG = ROOT / "configs" / "instant_test" / "mask_rcnn_R50w32_FPN_instant_test.yaml"


def test_boxes_are_pooled_where_they_are_in_bfloat16() -> None:
    model = build_model(load_config(CONFIG, ["MODEL.DEVICE", "cpu"]))
    columns = torch.arange(240.0).expand(1, 8, 160, 240)  # what is pooled tells from where
    features = [columns[..., ::stride, ::stride].bfloat16() for stride in (4, 8, 16, 32)]
    boxes = torch.tensor([[200.0, 40.0, 230.0, 70.0]])
    first, second = (
        model.roi_heads.box_pooler(features, [Boxes(boxes + shift)]).float().mean()
        for shift in (0.0, 0.4)
    )
    assert 0.2 < second - first < 0.6


def test_memory_format_follows_the_config() -> None:
    for last in (False, True):
        model = build_model(
            load_config(CONFIG, ["MODEL.DEVICE", "cpu", "MODEL.CHANNELS_LAST", str(last)])
        )
        convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
        wide = next(m for m in convolutions if m.kernel_size[0] > 1)  # others have both formats
        assert wide.weight.is_contiguous(memory_format=torch.channels_last) == last
