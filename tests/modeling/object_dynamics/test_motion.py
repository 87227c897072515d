import math

import pytest
import torch

from vps_d2.data.world import CONTACT_RADIUS, FRAME_SECONDS
from vps_d2.modeling.object_dynamics.fits import past_motion
from vps_d2.modeling.object_dynamics.motion import Motion
from vps_d2.modeling.object_dynamics.state import State
from vps_d2.modeling.object_dynamics.tracks import one_hot_kinds

SPHERE, CUBE = 17, 1


def state(*objects: tuple[int, float, float, float, float]) -> State:
    """Objects of one video, given as class number, x, y and velocity; class 0 is no object."""
    numbers = torch.tensor([[each[0] for each in objects]])
    values = torch.tensor([[each[1:] for each in objects]], dtype=torch.float32)
    return State(
        exists=numbers > 0,
        kinds=one_hot_kinds(numbers),
        place=values[..., :2],
        velocity=values[..., 2:],
        orientation=torch.zeros(*numbers.shape, 2),
        spin=torch.zeros(numbers.shape),
        log_mass=torch.zeros(numbers.shape),
        code=torch.zeros(*numbers.shape, 8),
        context=torch.zeros(*numbers.shape, 4),
    )


def motion() -> Motion:
    torch.manual_seed(0)
    return Motion(code_size=8).requires_grad_(False)


def test_a_free_object_goes_straight_slows_and_rests():
    places = motion()(state((CUBE, 0, 9, 0.8, 0.4)), 20).places[0, 0]
    steps = places.diff(dim=0)
    lengths = steps.norm(dim=-1)
    assert (lengths.diff() <= 1e-6).all() and lengths[-1] < 1e-3 < lengths[0]
    torch.testing.assert_close(steps[:5, 1], steps[:5, 0] / 2)


@pytest.mark.parametrize("number", [CUBE, SPHERE])
def test_free_motion_is_that_of_the_law(number: int):
    future = motion()(state((number, 0, 9, 3.0, 0)), 11)
    end = future.velocities[0, 0, -1, 0]
    past = past_motion(end, torch.tensor(11 * FRAME_SECONDS), torch.tensor(number // 16))
    assert past.speed == pytest.approx(3.0, abs=2e-3)
    assert past.way == pytest.approx(future.places[0, 0, -1, 0].item(), abs=5e-3)


def test_an_object_at_rest_stays():
    places = motion()(state((CUBE, 1, 8, 0, 0)), 11).places[0, 0]
    torch.testing.assert_close(places, places[:1].expand_as(places))


def test_a_collision_passes_on_momentum_and_loses_none():
    start = state((SPHERE, 0, 9, 2.0, 0), (CUBE, 1.1, 9.2, 0, 0))
    start = start._replace(log_mass=torch.tensor([[0.3, -0.2]]))
    model = motion()
    before, after = model(start, 0), model(start, 1)
    assert after.pushed[0, :, -1].min() > 0.1 and after.velocities[0, 1, -1, 0] > 0.2
    masses = start.log_mass[0].exp()[:, None]
    change = (after.velocities[0, :, -1] - before.velocities[0, :, -1]) * masses
    # What friction and drag took in a frame is all that is missing.
    assert change.sum(0).norm() < 0.15 < change[0].norm()


def test_the_lighter_of_two_is_pushed_more():
    start = state((SPHERE, 0, 9, 1.0, 0), (SPHERE + 1, 0.82, 9, -1.0, 0))
    start = start._replace(log_mass=torch.tensor([[0.5, -0.5]]))
    pushed = motion()(start, 1).pushed[0, :, -1]
    assert pushed[1] / pushed[0] == pytest.approx(math.e, rel=0.01)


def test_a_cube_turns_as_it_spins():
    start = state((CUBE, 0, 9, 0, 0))._replace(
        orientation=torch.tensor([[[1.0, 0.0]]]), spin=torch.tensor([[0.5]])
    )
    turn = motion()(start, 1).orientations[0, 0, 1]
    angle = torch.atan2(turn[1], turn[0]) / 4
    assert 0.4 * FRAME_SECONDS < angle < 0.51 * FRAME_SECONDS and 0.5 < turn.norm() < 1


@pytest.mark.parametrize("start", [-2.0, -2.05, -2.1, -2.15])
def test_what_is_hit_goes_along_the_line_of_the_touch_wherever_steps_fall(start: float):
    model = motion()
    last = model.message[-1][-1]
    last.weight.zero_()
    last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -20.0, 0.0]))  # smooth discs
    future = model(state((SPHERE, start, 9, 2.5, 0), (SPHERE, 0, 9 + CONTACT_RADIUS, 0, 0)), 6)
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
