import torch

from vps_d2.modeling.object_dynamics.iterating import iterate


def test_every_step_is_kept_and_has_derivatives():
    first = torch.ones(3, requires_grad=True)
    doubled, counted = iterate(lambda now: (2 * now[0], now[1] + 1), (first, torch.zeros(())), 4)
    assert doubled.shape == (5, 3) and doubled[:, 0].tolist() == [1, 2, 4, 8, 16]
    assert counted.tolist() == [0, 1, 2, 3, 4]
    doubled.sum().backward()
    assert first.grad.tolist() == [31, 31, 31]
