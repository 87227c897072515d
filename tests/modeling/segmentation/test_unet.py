import pytest
import torch

import vps_d2.data.datasets  # noqa: F401  registers the data sets
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.modeling import build_model
from vps_d2.io.errors import UserError
from vps_d2.modeling import UNet, UNetNetwork

SMALL = {"num_classes": 49, "channels": (8, 16), "patch_size": 2}


def build(**loss_weights):
    torch.manual_seed(0)
    weights = {"cross_entropy": 1.0, "dice": 1.0, "lovasz": 0.0, **loss_weights}
    return UNet(
        network=UNetNetwork(**SMALL),
        pixel_mean=[128.0] * 3,
        pixel_std=[16.0] * 3,
        loss_weights=weights,
    )


def frame(height=16, width=24):
    image = torch.full((3, height, width), 128, dtype=torch.uint8)
    mask = torch.zeros(height, width, dtype=torch.int64)
    image[0, 4:10, 5:15], mask[4:10, 5:15] = 200, 7
    return {"image": image, "sem_seg": mask}


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (5, 1)])
@pytest.mark.parametrize("patch_size", [1, 2])
def test_any_size(size, patch_size):
    network = UNetNetwork(num_classes=5, channels=(4, 8, 8), patch_size=patch_size).eval()
    assert network(torch.zeros(2, 3, *size)).shape == (2, 5, *size)


def test_learns_one_frame():
    model = build(lovasz=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), 0.02)
    for _ in range(60):
        losses = model.train()([frame(), frame()])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert set(losses) == {"loss_cross_entropy", "loss_dice", "loss_lovasz"}
    with torch.no_grad():
        (output,) = model.eval()([frame()])
    assert (output["sem_seg"].argmax(0) == frame()["sem_seg"]).float().mean() > 0.97


def test_no_frame():
    assert build().eval()([]) == []


def test_frames_of_two_sizes_are_a_sentence():
    with pytest.raises(UserError, match="20x16 and 24x16"):
        build()([frame(16, 20), frame(16, 24)])


def test_no_loss_is_a_sentence():
    with pytest.raises(UserError, match="nothing is learned"):
        build(cross_entropy=0, dice=0)


def test_is_built_from_a_configuration_and_fits_into_16_mb():
    cfg = get_vps_cfg()
    cfg.MODEL.META_ARCHITECTURE = "UNet"
    cfg.DATASETS.TRAIN = ("vps_frames_train",)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.PIXEL_MEAN = cfg.MODEL.PIXEL_STD = [128.0] * 3
    model = build_model(cfg)
    assert sum(2 * parameter.numel() for parameter in model.parameters()) < 16e6
