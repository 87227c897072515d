"""Masks from clicks and scribbles: crops, corrections that stay local, and strokes that hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.data.strokes import Stroke
from vps_d2.inference.models import LoadedModel
from vps_d2.inference.vos.prompts import find_mask_maker
from vps_d2.inference.vos.s2m import S2MMaskMaker, make_s2m_mask_maker
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model
from vps_d2.modeling.s2m.architecture import S2M

SIZE = (120, 160)


class Network(nn.Module):
    """Finds what a function of pixels and guides says; remembers what it was shown."""

    stride = 32

    def __init__(self, find: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.find = find
        self.shown: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.weight = nn.Parameter(torch.zeros(1))

    def encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (pixels,)

    def decode(self, features: tuple[torch.Tensor, ...], guides: torch.Tensor) -> torch.Tensor:
        self.shown.append((features[0], guides))
        return self.find(features[0], guides)[:, None] * 20.0 - 10


def bright(pixels: torch.Tensor, guides: torch.Tensor) -> torch.Tensor:
    return (pixels.mean(1) > 100).float()


def nothing(pixels: torch.Tensor, guides: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(guides[:, 0])


def make(find: Callable[..., torch.Tensor] = bright) -> tuple[S2MMaskMaker, Network]:
    network = Network(find)
    cfg = load_config(ROOT / "configs" / "vos" / "small_s2m.yaml", ["MODEL.DEVICE", "cpu"])
    model = S2M(network=network, pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3).eval()
    return S2MMaskMaker(LoadedModel(model, cfg), "test"), network


def square(top: int = 40, left: int = 30, side: int = 30, size: tuple[int, int] = SIZE) -> Any:
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def picture_of(mask: Any) -> Any:
    return (mask[..., None] * np.uint8(180) + np.uint8(30)).repeat(3, 2)


def click(x: float, y: float, positive: bool = True) -> Stroke:
    return Stroke(((x, y),), positive, tool="click")


EMPTY = np.zeros(SIZE, bool)


def test_a_click_finds_the_object_under_it_and_no_other() -> None:
    maker, _ = make()
    wanted = square()
    found = maker.make_mask(picture_of(wanted | square(60, 110)), EMPTY, [click(45, 55)])
    assert found.dtype == bool and found.shape == SIZE
    assert (found & wanted).sum() > 0.9 * (found | wanted).sum()


def test_a_small_object_of_a_large_picture_is_seen_in_a_crop() -> None:
    maker, network = make()
    wanted = square(300, 900, 20, (720, 1280))
    found = maker.make_mask(picture_of(wanted), ~wanted & wanted, [click(910, 310)])
    assert len(network.shown) == 2
    for pixels, guides in network.shown:
        assert max(pixels.shape[-2:]) == 224 and guides[0, 1].any()
    shares = [bright(*shown).mean().item() for shown in network.shown]
    assert shares[0] < 0.002 and shares[1] > 0.1
    assert (found & wanted).sum() > 0.85 * (found | wanted).sum()


def test_a_correction_changes_what_was_touched_and_leaves_the_rest() -> None:
    maker, _ = make()
    left, right, far = square(40, 2), square(40, 62), square(90, 135, 15)
    picture = picture_of(left | right)
    mask = left | far
    mask[40:70, 2:6] = False  # missed, at the other end
    more = maker.make_mask(picture, mask, [click(80, 55)])
    assert more[right].mean() > 0.9
    assert np.array_equal(more & ~right, mask & ~right)
    less = maker.make_mask(picture, mask, [click(142, 97, positive=False)])
    assert not less[far].any()
    assert np.array_equal(less | far, mask)


def test_a_stroke_far_from_the_mask_is_in_the_crop() -> None:
    maker, network = make()
    mask, other = square(10, 10, 12), square(90, 130, 20)
    found = maker.make_mask(picture_of(mask | other), mask, [click(140, 100)])
    assert network.shown[-1][1][0, 1].any()
    assert found[other].mean() > 0.9 and found[mask].all()


def test_strokes_hold_whatever_the_network_says() -> None:
    maker, _ = make(nothing)
    on, off = click(45, 55), click(60, 80, positive=False)
    found = maker.make_mask(picture_of(square()), EMPTY, [on, off])
    assert found[55, 45] and not found[80, 60] and 0 < found.sum() < 120
    kept = maker.make_mask(picture_of(square()), square(), [on, click(32, 42, positive=False)])
    assert kept[55, 45] and not kept[42, 32]
    later = maker.make_mask(picture_of(square()), square(), [off, click(60, 80)])
    assert later[80, 60]


def test_older_strokes_make_no_further_changes() -> None:
    maker, _ = make()
    wanted, other = square(), square(40, 100)
    mask = wanted & ~square(40, 50, 10)  # missed, near an older stroke that holds
    strokes = [click(45, 45), click(115, 55)]
    found = maker.make_mask(picture_of(wanted | other), mask, strokes)
    assert found[other].mean() > 0.9 and np.array_equal(found & wanted, mask)


def test_a_thin_rim_does_not_spread_a_correction() -> None:
    maker, _ = make()
    wanted = square(20, 30, 80)
    mask = square(21, 31, 78)  # one pixel too small all around
    mask[60:80, 90:109] = False
    found = maker.make_mask(picture_of(wanted), mask, [click(100, 70)])
    assert found[60:80, 90:109].mean() > 0.9
    assert not found[:, 30].any() and not found[20].any()


def test_without_a_positive_stroke_there_is_no_object() -> None:
    maker, network = make()
    found = maker.make_mask(picture_of(square()), EMPTY, [click(5, 5, positive=False)])
    assert not found.any() and not network.shown


@pytest.mark.parametrize("size", [(3, 5), (1, 400), (200, 2)])
def test_pictures_of_odd_sizes(size: tuple[int, int]) -> None:
    maker, _ = make()
    picture, mask = np.full((*size, 3), 200, np.uint8), np.zeros(size, bool)
    found = maker.make_mask(picture, mask, [click(1, 0.5)])
    assert found.all()
    assert maker.make_mask(picture, found, [click(1, 0.5, positive=False)]).shape == size


def test_the_public_network_is_chosen_by_its_weights(tmp_path: Any) -> None:
    cfg = load_config(ROOT / "configs" / "vos" / "s2m.yaml", ["MODEL.DEVICE", "cpu"])
    network = build_model(cfg).network
    torch.save(network.state_dict(), tmp_path / "s2m.pth")
    maker = find_mask_maker(None, str(tmp_path / "s2m.pth"), device="cpu")
    assert maker.source == "S2M (deeplab) with the weights s2m.pth"
    assert maker.make_mask(picture_of(square()), EMPTY, [click(45, 55)])[55, 45]


def test_the_engine_s_own_prompts_come_first() -> None:
    class Engine:
        mask_maker = make()[0]

    engine: Any = Engine()
    assert find_mask_maker(engine) is engine.mask_maker


def test_a_model_without_strokes_is_one_sentence(tmp_path: Any) -> None:
    with pytest.raises(UserError, match="whose task is video_objects, not object_mask"):
        make_s2m_mask_maker("x.pth", str(ROOT / "configs" / "vos" / "small_vos.yaml"))


def test_shipped_weights_find_and_correct_an_object() -> None:
    maker = find_mask_maker(device="cpu")
    assert "s2m_small.pth" in maker.source and not maker.license_note
    wanted, other = square(30, 30, 50), square(70, 110, 30)
    rng = np.random.default_rng(0)
    picture = picture_of(wanted | other) + rng.integers(0, 24, (*SIZE, 3), np.uint8)
    found = maker.make_mask(picture, EMPTY, [click(55, 55)])
    assert (found & wanted).sum() > 0.8 * (found | wanted).sum()
    strokes = [click(55, 55), click(125, 85)]
    both = maker.make_mask(picture, found, strokes)
    assert (both & other).sum() > 0.7 * other.sum() and not (found & ~both).any()
    strokes.append(click(125, 85, positive=False))
    less = maker.make_mask(picture, both, strokes)
    assert (less & other).sum() < 0.3 * other.sum()
    assert (less & wanted).sum() > 0.8 * (less | wanted).sum()
