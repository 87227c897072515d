import math

import pytest
import torch

from tests.modeling.object_dynamics.test_motion import CUBE, SPHERE, motion, state
from vps_d2.modeling.object_dynamics.spread import NUM_NORMALS, Spread, SpreadHead, normal_points

SHARES = torch.tensor([0.5, 0.25, 0.25])


def mixture() -> Spread:
    """A mixture around three places, far from each other."""
    means = torch.tensor([[0.0, 9.0], [4.0, 9.0], [0.0, 14.0]])
    factors = torch.tensor([[[0.3, 0.0], [0.1, 0.2]]] * 3)
    return Spread(*(each[None, None, None] for each in (SHARES.log(), means, factors)))


def test_the_density_is_one_in_all():
    side = torch.linspace(-3, 17, 401)
    places = torch.stack(torch.meshgrid(side, side, indexing="ij"), -1).flatten(0, 1)
    density = mixture().log_prob(places[:, None, None]).exp()
    assert float(density.sum()) * (20 / 400) ** 2 == pytest.approx(1, abs=1e-3)


def test_the_density_is_that_of_torch():
    spread, place = mixture(), torch.tensor([0.2, 9.1])
    normals = torch.distributions.MultivariateNormal(spread.means, scale_tril=spread.factors)
    expected = (spread.log_shares + normals.log_prob(place)).logsumexp(-1)
    torch.testing.assert_close(spread.log_prob(place[None, None, None]), expected)


@pytest.mark.parametrize("count", [1, 8, 24, 64])
def test_places_are_as_many_as_their_share_says(count):
    places = mixture().draw(normal_points(count))
    assert places.shape == (1, 1, 1, count, 2)
    means = mixture().means[0, 0, 0]
    nearest = (places[0, 0, 0, :, None] - means).norm(dim=-1).argmin(-1)
    found = torch.bincount(nearest, minlength=3) / count
    assert (found - SHARES).abs().max() <= 1 / count


def test_places_scatter_as_the_covariance_says():
    shares, means, factors = mixture()
    single = Spread(torch.zeros_like(shares[..., :1]), means[..., :1, :], factors[..., :1, :, :])
    places = single.draw(normal_points(512))[0, 0, 0]
    factor = single.factors[0, 0, 0, 0]
    torch.testing.assert_close(places.mean(0), single.means[0, 0, 0, 0], atol=0.01, rtol=0)
    torch.testing.assert_close(places.T.cov(), factor @ factor.T, atol=0.01, rtol=0)


def test_it_learns_that_there_are_two_ways():
    torch.manual_seed(0)
    head = SpreadHead(channels=4, code_size=8, hidden=16)
    start = state((CUBE, 0, 9, 1.0, 0), (SPHERE, -3, 9, 0, 0), (0, 0, 0, 0, 0))
    trajectory = motion()(start, 3)
    middle = trajectory.places[:, :, 1:]
    ways = [middle + torch.tensor([0.0, side]) for side in (-0.5, 0.5)]
    optimizer = torch.optim.Adam(head.parameters(), 0.02)
    for _ in range(200):
        spread = head(start, trajectory, slice(1, None))
        loss = -sum(spread.log_prob(way)[:, :2].clamp(max=3).mean() for way in ways)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert spread.log_shares.shape == (1, 3, 3, NUM_NORMALS)
    between = spread.log_prob(middle)[:, :2]
    assert all((spread.log_prob(way)[:, :2] > between + math.log(4)).all() for way in ways)


def test_how_far_is_looked_ahead_changes_no_earlier_frame():
    torch.manual_seed(0)
    head = SpreadHead(channels=4, code_size=8, hidden=16)
    start = state((CUBE, 0, 9, 1.0, 0), (SPHERE, 3, 9, 0, 0))
    near, far = (head(start, motion()(start, frames), slice(1, 4)) for frames in (3, 6))
    for one, other in zip(near, far, strict=True):
        torch.testing.assert_close(one, other)
