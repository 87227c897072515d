import pytest
import torch

from vps_d2.modeling.object_dynamics.motion import Motion
from vps_d2.modeling.object_dynamics.state import State
from vps_d2.modeling.object_dynamics.tracks import one_hot_kinds

SPHERE, CUBE = 17, 1


def state(*objects: tuple[int, float, float, float, float], friction: float = 0.5) -> State:
    """Objects of one video, given as class number, x, y and velocity; class 0 is no object."""
    numbers = torch.tensor([[each[0] for each in objects]])
    values = torch.tensor([[each[1:] for each in objects]], dtype=torch.float32)
    return State(
        exists=numbers > 0,
        kinds=one_hot_kinds(numbers),
        place=values[..., :2],
        velocity=values[..., 2:],
        orientation=torch.zeros(*numbers.shape, 2),
        size=torch.ones(numbers.shape),
        friction=torch.full(numbers.shape, friction),
        code=torch.zeros(*numbers.shape, 8),
    )


def motion() -> Motion:
    torch.manual_seed(0)
    return Motion(code_size=8).requires_grad_(False)


def test_a_free_object_goes_straight_slows_and_rests():
    places = motion()(state((CUBE, 0, 9, 1.0, 0.5)), 20).places[0, 0]
    steps = places.diff(dim=0)
    lengths = steps.norm(dim=-1)
    assert (lengths.diff() <= 1e-6).all() and lengths[-1] < 1e-3 < lengths[0]
    torch.testing.assert_close(steps[:5, 1], steps[:5, 0] / 2)


def test_an_object_at_rest_stays():
    places = motion()(state((CUBE, 1, 8, 0, 0)), 11).places[0, 0]
    torch.testing.assert_close(places, places[:1].expand_as(places))


def test_a_collision_passes_on_momentum_and_loses_none():
    model = motion()
    model.log_drag.fill_(-20)
    start = state((SPHERE, 0, 9, 2.0, 0), (CUBE, 1.6, 9.2, 0, 0), friction=0.0)
    future = model(start, 8)
    assert future.pushed[0, :, 0].max() < 1e-5 < 0.1 < future.pushed[0, :, -1].min()
    assert future.velocities[0, 1, -1, 0] > 0.2
    total = future.velocities[0].sum(0)
    torch.testing.assert_close(total, total[:1].expand_as(total), atol=1e-4, rtol=0)


@pytest.mark.parametrize("start", [-2.0, -2.05, -2.1, -2.15])
def test_what_is_hit_goes_along_the_line_of_the_touch_wherever_steps_fall(start: float):
    model = motion()
    last = model.message[-1][-1]
    last.weight.zero_()
    last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -20.0]))  # smooth discs
    side = 0.41  # half of the distance at which they touch
    future = model(state((SPHERE, start, 9, 2.5, 0), (SPHERE, 0, 9 + side, 0, 0), friction=0.0), 6)
    x, y = future.velocities[0, 1, -1]
    assert x > 0.3 and y / x == pytest.approx(1 / 3**0.5, abs=0.02)


def test_objects_that_do_not_exist_push_nothing():
    alone = motion()(state((SPHERE, 0, 9, 2.0, 0)), 5)
    with_ghost = motion()(state((SPHERE, 0, 9, 2.0, 0), (0, 1.0, 9.0, 0, 0)), 5)
    torch.testing.assert_close(alone.places[0, 0], with_ghost.places[0, 0])


def test_the_order_of_objects_does_not_matter():
    objects = [(SPHERE, 0, 9, 2.0, 0), (CUBE, 1.2, 9.1, -1.0, 0.2), (SPHERE, 0.5, 10.2, 0, -1.5)]
    forward = motion()(state(*objects), 8).places
    backward = motion()(state(*reversed(objects)), 8).places.flip(1)
    torch.testing.assert_close(forward, backward, atol=1e-4, rtol=1e-4)
