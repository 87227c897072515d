import pytest
import torch

from vps_d2.data.world import FRAME_SECONDS, FRICTION, LINEAR_DRAG, QUADRATIC_DRAG
from vps_d2.modeling.object_dynamics.fits import FITS, fit_tracks, past_motion
from vps_d2.modeling.object_dynamics.tracks import Tracks

CUBE, SPHERE = 1, 17
DEVIATION = 0.01


def track(places: torch.Tensor, seen: list[int] | None = None, number: int = SPHERE) -> Tracks:
    """An object measured at places ``(T, 2)``, seen in these frames."""
    measures = torch.zeros(1, 1, len(places), 10)
    measures[..., 0] = 1
    measures[..., 1:3] = places
    measures[..., [5, 7]] = DEVIATION**2
    hidden = [frame for frame in range(len(places)) if seen is not None and frame not in seen]
    measures[:, :, hidden] = 0
    return Tracks(torch.tensor([[number]]), measures)


def past(speed: float, number: int, place=(0.5, 10.0), direction=(0.8, -0.6)) -> torch.Tensor:
    """Places ``(11, 2)`` of what moves at a speed when the last frame comes, and freely before."""
    ago = (10 - torch.arange(11)) * FRAME_SECONDS
    way = past_motion(torch.tensor(speed), ago, torch.tensor(number // 16)).way
    return torch.tensor(place) - way[:, None] * torch.tensor(direction)


@pytest.mark.parametrize(("number", "shape"), [(CUBE, "cube"), (SPHERE, "sphere")])
def test_motion_followed_back_and_then_stepped_forward_ends_where_it_began(number, shape):
    found = past_motion(torch.tensor(0.7), torch.tensor(2.4), torch.tensor(number // 16))
    speed, way, step = float(found.speed), 0.0, 1e-4
    for _ in range(24000):
        way += speed * step
        speed -= step * (FRICTION[shape] + speed * (LINEAR_DRAG + QUADRATIC_DRAG * speed))
    assert speed == pytest.approx(0.7, abs=1e-3) and way == pytest.approx(
        found.way.item(), abs=1e-3
    )


@pytest.mark.parametrize("number", [CUBE, SPHERE])
def test_slopes_are_derivatives(number):
    speeds = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    found = past_motion(speeds, torch.tensor(1.2, dtype=torch.float64), torch.tensor(number // 16))
    for value, slope in ((found.way, found.way_slope), (found.speed, found.speed_slope)):
        (gradient,) = torch.autograd.grad(value.sum(), speeds, retain_graph=True)
        torch.testing.assert_close(slope.detach(), gradient)


@pytest.mark.parametrize("number", [CUBE, SPHERE])
def test_free_curves_find_place_and_velocity(number: int):
    found = fit_tracks(track(past(1.2, number), number=number))
    for index in [index for index, fit in enumerate(FITS) if fit[0] == "free" and fit[1] > 2]:
        torch.testing.assert_close(
            found.velocities[0, 0, index], 1.2 * torch.tensor([0.8, -0.6]), atol=0.02, rtol=0
        )
        torch.testing.assert_close(
            found.places[0, 0, index], torch.tensor([0.5, 10.0]), atol=5e-3, rtol=0
        )
        assert found.errors[0, 0, index] < 0.2


def test_more_frames_are_surer_and_a_hit_shows_as_an_error():
    places = past(1.0, SPHERE)
    places[:5] += torch.tensor([0.0, 0.5])
    found = fit_tracks(track(places))
    short, long = FITS.index(("free", 4)), FITS.index(("free", 11))
    assert found.doubts[0, 0, long] < found.doubts[0, 0, short]
    assert found.errors[0, 0, short] < 0.5 and found.errors[0, 0, long] > 5


def test_two_frames_are_enough_if_the_speed_at_the_start_is_known():
    places = past(3.4, SPHERE)
    start = past_motion(torch.tensor(3.4), torch.tensor(2.4), torch.tensor(1)).speed
    assert 3.7 < start < 4.5  # about that of all that moves in the first frame
    noisy = places + torch.tensor([0.04, -0.03]) * torch.tensor([[1.0], [-1.0]]).repeat(6, 1)[:11]
    found = fit_tracks(track(noisy, seen=[9, 10]))
    known, free = (
        abs(found.velocities[0, 0, FITS.index((kind, 2))].norm() - 3.4)
        for kind in ("start", "free")
    )
    assert known < 0.25 < free


def test_what_rests_stays():
    found = fit_tracks(track(torch.tensor([[0.5, 10.0]]).expand(11, 2)))
    for index, (kind, _) in enumerate(FITS):
        if kind != "start":
            assert found.velocities[0, 0, index].abs().max() < 0.02
            torch.testing.assert_close(
                found.places[0, 0, index], torch.tensor([0.5, 10.0]), atol=1e-3, rtol=0
            )


def test_a_gap_and_an_early_end_are_bridged():
    found = fit_tracks(track(past(0.6, CUBE), seen=[2, 3, 6, 8], number=CUBE))
    index = FITS.index(("free", 11))
    assert found.velocities[0, 0, index].norm() == pytest.approx(0.6, abs=0.03)
    torch.testing.assert_close(
        found.places[0, 0, index], torch.tensor([0.5, 10.0]), atol=0.02, rtol=0
    )


def test_one_sight_is_a_place_and_no_velocity():
    found = fit_tracks(track(torch.tensor([[0.5, 10.0]]).expand(11, 2), seen=[10]))
    free = [index for index, (kind, _) in enumerate(FITS) if kind == "free"]
    assert found.velocities[0, 0, free].abs().max() < 0.05
    assert found.doubts[0, 0, free].min() > 3


def test_never_seen_is_finite():
    found = fit_tracks(track(torch.zeros(11, 2), seen=[]))
    assert all(each.isfinite().all() for each in found)


def test_impossible_covariances_are_finite():
    tracks = track(past(1.0, SPHERE))
    tracks.measures[..., 5:8] = torch.tensor([4.0, 4.0, 4.0])
    assert all(each.isfinite().all() for each in fit_tracks(tracks))


def test_a_curve_that_ends_earlier_knows_nothing_of_what_comes_later():
    places = past(1.2, SPHERE)
    places[9:] += torch.tensor([0.5, -0.4])  # it was hit
    early, late = track(places[:9]), track(places)
    expected = fit_tracks(early, [("free", 4)])
    found = fit_tracks(late, [("free", 4), ("free", 4)], [2, 0])
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one[:, :, 0], other[:, :, 0])
    assert (found.places[0, 0, 0] - found.places[0, 0, 1]).norm() > 0.3
