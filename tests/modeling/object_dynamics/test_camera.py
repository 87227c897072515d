import numpy as np
import torch

from vps_d2.data.world import Camera
from vps_d2.modeling.object_dynamics.camera import GroundCamera


def test_it_sees_what_the_generator_s_camera_sees():
    real = Camera()
    camera = GroundCamera()
    points = np.array([[0.0, 9.0, 0.4], [-3.0, 14.0, 0.1], [2.5, 6.0, 1.0]])
    seen = real.project(points, 160, 240)
    expected = np.column_stack([(seen[:, 0] - 120) / 240, (seen[:, 1] - 80) / 240, seen[:, 2]])
    places = torch.from_numpy(points).float()
    projected = camera.project(places[:, :2], places[:, 2]).detach()
    np.testing.assert_allclose(projected, expected, atol=1e-5)


def test_there_and_back():
    camera = GroundCamera()
    places = torch.tensor([[0.0, 9.0], [-4.0, 16.0], [1.5, 5.0]])
    heights = torch.tensor([0.0, 0.4, 0.8])
    projected = camera.project(places, heights)
    back = camera.to_ground(projected[:, :2], heights)
    torch.testing.assert_close(back, places, atol=1e-3, rtol=1e-3)


def test_nothing_is_infinite_above_the_horizon_or_behind_the_camera():
    camera = GroundCamera()
    points = torch.tensor([[0.0, -5.0], [0.3, -0.33]])
    assert camera.to_ground(points, torch.zeros(2)).isfinite().all()
    projected = camera.project(torch.tensor([[0.0, -20.0]]), torch.zeros(1))
    assert projected.isfinite().all() and projected[0, 2] < 0
