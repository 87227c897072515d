import pytest
import torch

from tests.modeling.object_dynamics.test_motion import CUBE, SPHERE, state
from vps_d2.modeling.object_dynamics.camera import GroundCamera
from vps_d2.modeling.object_dynamics.drawing import ObjectDrawing

SIZE = (160, 240)


def paint(
    *objects: tuple[int, float, float], shown: list[bool] | None = None, size=SIZE, places=None
):
    """Paint objects given as class number, x and y; or at places ``(K, P, 2)`` instead."""
    torch.manual_seed(0)
    drawing = ObjectDrawing()
    torch.nn.init.zeros_(drawing.inside[-1][-1].weight)
    torch.nn.init.zeros_(drawing.inside[-1][-1].bias)  # discs
    start = state(*[(*each, 0, 0) for each in objects])
    mask = torch.tensor([shown or [True] * len(objects)])
    numbers = torch.tensor([[each[0] for each in objects]])
    camera = GroundCamera()
    places = start.place[:, :, None] if places is None else torch.tensor(places)[None]
    with torch.no_grad():
        return drawing.paint(start, numbers, places, start.orientation, mask, camera, size)[0]


def test_an_object_is_drawn_round_its_center():
    mask = paint((SPHERE, 0, 9.6))
    rows, columns = mask.nonzero(as_tuple=True)
    assert 250 < len(rows) < 600 and mask.unique().tolist() == [0, SPHERE]
    assert abs(columns.float().mean() - 119.5) < 0.5


def test_the_nearer_object_covers_the_farther_in_any_order():
    near, far = (SPHERE, 0, 9.0), (CUBE, 0, 9.5)
    assert torch.equal(paint(near, far), paint(far, near))
    both, alone = paint(near, far), paint(near)
    assert (both == SPHERE).sum() == (alone == SPHERE).sum() and (both == CUBE).any()


def test_an_object_that_is_not_shown_covers_nothing():
    assert torch.equal(
        paint((SPHERE, 0, 9.0), (CUBE, 0, 9.5), shown=[False, True]), paint((CUBE, 0, 9.5))
    )


@pytest.mark.parametrize("place", [(40.0, 9.0), (0.0, -6.0), (0.0, 0.2)])
def test_what_is_out_of_the_picture_is_not_drawn(place):
    assert not paint((SPHERE, *place)).any()


def test_an_object_at_the_border_is_cut_there():
    camera = GroundCamera()
    place = camera.to_ground(torch.tensor([0.5, 0.0]), torch.tensor(0.4)).tolist()
    mask = paint((SPHERE, *place))
    columns = mask.nonzero()[:, 1]
    assert columns.max() == 239 and 0 < len(columns) < (paint((SPHERE, 0, place[1])) > 0).sum()


def test_half_the_resolution_is_the_same_picture():
    large, small = paint((CUBE, 1, 8)), paint((CUBE, 1, 8), size=(80, 120))
    assert abs((large > 0).sum() / 4 - (small > 0).sum()) < 12


def test_an_object_is_drawn_where_enough_of_its_places_are():
    here, there = [0.0, 9.6], [3.0, 9.6]
    alone = paint((SPHERE, *here))
    assert torch.equal(paint((SPHERE, 0, 0), places=[[here] * 2 + [there]]), alone)
    both = paint((SPHERE, 0, 0), places=[[here] * 2 + [there] * 2])
    assert torch.equal(both, paint((SPHERE, *here), (SPHERE, *there)))
    assert not paint((SPHERE, 0, 0), places=[[here, there, [-3.0, 9.6]]]).any()


def test_what_may_be_covered_is_shown_where_that_is_less_likely():
    far = [0.0, 9.5]
    near = [[0.0, 9.0]] * 2 + [[3.0, 9.0]] * 3
    mask = paint((SPHERE, 0, 0), (CUBE, 0, 0), places=[near, [far] * 5])
    assert (mask == CUBE).sum() == (paint((CUBE, *far)) == CUBE).sum()
    assert (mask == SPHERE).any()
