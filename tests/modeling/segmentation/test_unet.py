import numpy as np
import pytest
import torch

import vps_d2.data.datasets  # noqa: F401  registers the data sets
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.modeling import build_model
from vps_d2.io.errors import UserError
from vps_d2.modeling import UNet, UNetNetwork
from vps_d2.modeling.outputs import ClassMapper, output_to_mask

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


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("patch_size", [1, 2])
def test_class_maps_are_the_highest_logits(patch_size, channels_last):
    torch.manual_seed(0)
    network = UNetNetwork(
        num_classes=49, channels=(4, 8), patch_size=patch_size, channels_last=channels_last
    )
    network = network.double().eval()  # in which no two logits are about the same
    torch.nn.init.normal_(network.head.weight)
    frames = torch.randn(3, 3, 11, 14, dtype=torch.float64)
    few = np.array([3, 20])
    with torch.inference_mode():
        logits = network(frames)
        maps = network.class_maps(frames, [None, few, None])
    assert maps.dtype == torch.uint8 and maps.shape == (3, 11, 14)
    assert len(maps.unique()) > 2
    for index, classes in enumerate([None, few, None]):
        expected = output_to_mask({"sem_seg": logits[index]}, 0.5, classes)
        assert (maps[index].numpy() == expected).all()


def test_architecture_gives_class_maps():
    model = build().eval()
    assert isinstance(model, ClassMapper)
    frames = [frame(), frame(), frame()]
    frames[1]["image"] = frames[1]["image"].flip(-1)
    with torch.inference_mode():
        outputs, maps = model(frames), model.class_maps(frames)
    for each, output in zip(maps, outputs, strict=True):
        assert (each == output["sem_seg"].argmax(0)).float().mean() > 0.99


def test_no_frame():
    assert build().eval()([]) == []


def test_frames_of_two_sizes_are_a_sentence():
    with pytest.raises(UserError, match="20x16 and 24x16"):
        build()([frame(16, 20), frame(16, 24)])


def test_no_loss_is_a_sentence():
    with pytest.raises(UserError, match="nothing would be learned"):
        build(cross_entropy=0, dice=0)


def test_is_built_from_a_configuration_and_fits_into_16_mb():
    cfg = get_vps_cfg()
    cfg.MODEL.META_ARCHITECTURE = "UNet"
    cfg.DATASETS.TRAIN = ("vps_frames_train",)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.PIXEL_MEAN = cfg.MODEL.PIXEL_STD = [128.0] * 3
    model = build_model(cfg)
    assert sum(2 * parameter.numel() for parameter in model.parameters()) < 16e6
