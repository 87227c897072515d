import pytest
import torch

from vps_d2.data.world import FRAME_SECONDS
from vps_d2.modeling.object_dynamics.camera import CENTER_HEIGHT, GroundCamera
from vps_d2.modeling.object_dynamics.fits import FITS, fit_tracks, ground_places
from vps_d2.modeling.object_dynamics.tracks import Tracks

CUBE, SPHERE = 1, 17
RADIUS = 0.43


def track(
    places: torch.Tensor, seen: list[int] | None = None, cut: float = 0.5, number: int = SPHERE
) -> Tracks:
    """An object at places ``(T, 2)``, seen in these frames, right of ``cut`` picture widths cut."""
    camera = GroundCamera()
    x, y, depth = camera.project(places, torch.full_like(places[:, 0], CENTER_HEIGHT)).unbind(-1)
    half = camera.focal_length * RADIUS / depth
    right = (x + half).clamp(max=cut)
    left, top, bottom = x - half, y - half, y + half
    area = (right - left) * (bottom - top)
    outlines = torch.stack([area, (left + right) / 2, y, left, top, right, bottom], -1)[None, None]
    if seen is not None:
        hidden = [frame for frame in range(len(places)) if frame not in seen]
        outlines[:, :, hidden] = 0
    return Tracks(torch.tensor([[number]]), outlines.detach(), 2 / 3)


def fits(places: torch.Tensor, seen: list[int] | None = None, number: int = SPHERE):
    tracks = track(places, seen, number=number)
    with torch.no_grad():
        return fit_tracks(tracks, ground_places(tracks, GroundCamera()))


def seconds() -> torch.Tensor:
    return (torch.arange(11) - 10) * FRAME_SECONDS


def slowed(speed: float, friction: float, drag: float = 0.09) -> torch.Tensor:
    """Way of what moves at a speed when the last frame comes, ``(11,)``."""
    fast, times = speed + friction / drag, seconds()
    return fast * (1 - (-drag * times).exp()) / drag - friction / drag * times


@pytest.mark.parametrize(("number", "friction"), [(CUBE, 0.23), (SPHERE, 0.0)])
def test_curves_find_the_velocity_of_what_slides(number: int, friction: float):
    direction = torch.tensor([0.8, -0.6])
    places = torch.tensor([0.5, 10.0]) + slowed(1.2, friction)[:, None] * direction
    found = fits(places, number=number)
    for index in [index for index, fit in enumerate(FITS) if fit[0] == "slide"]:
        velocity = found.velocities[0, 0, index]
        torch.testing.assert_close(velocity, 1.2 * direction, atol=0.04, rtol=0)
        torch.testing.assert_close(found.places[0, 0, index], places[-1], atol=0.02, rtol=0)
        assert found.errors[0, 0, index] < 0.02


def test_friction_moves_nothing_that_rests():
    found = fits(torch.tensor([[0.5, 10.0]]).expand(11, 2) + 0.002 * seconds()[:, None].cos())
    assert found.velocities.abs().max() < 0.05


def test_a_gap_and_an_early_end_are_bridged():
    places = torch.tensor([0.5, 10.0]) + slowed(0.4, 0.0)[:, None] * torch.tensor([1.0, 0.0])
    found = fits(places, seen=[2, 3, 6, 8])
    index = FITS.index(("slide", 11))
    assert found.velocities[0, 0, index, 0] == pytest.approx(0.4, abs=0.01)
    assert found.places[0, 0, index, 0] == pytest.approx(0.5, abs=0.02)


def test_one_sight_is_a_place_and_no_velocity():
    found = fits(torch.tensor([[0.5, 10.0]]).expand(11, 2), seen=[4])
    assert found.velocities.abs().max() < 0.01
    assert found.places[0, 0, :, 0] == pytest.approx([0.5] * len(FITS), abs=0.02)


def test_never_seen_is_finite():
    found = fits(torch.tensor([[0.5, 10.0]]).expand(11, 2), seen=[])
    assert all(each.isfinite().all() for each in found)


def test_a_cut_outline_is_completed_from_the_other_side():
    places = torch.tensor([[4.9, 10.0]])
    whole = track(places, cut=9.0)
    assert 0.45 < whole.outlines[0, 0, 0, 1] < 0.5  # reaches over the border
    found = ground_places(track(places), GroundCamera())[0, 0]
    torch.testing.assert_close(found, places, atol=0.05, rtol=0)
