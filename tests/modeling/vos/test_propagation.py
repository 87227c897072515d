"""Following objects frame by frame."""

from unittest import mock

import numpy as np
import pytest
import torch

from tests.modeling.vos.made import make_clip
from vps_d2.modeling.vos.flow import backward_flow, warp
from vps_d2.modeling.vos.memory import MemoryBudget
from vps_d2.modeling.vos.network import STCNNetwork, build_small_stcn
from vps_d2.modeling.vos.propagation import Propagation


@pytest.fixture(scope="module")
def network() -> STCNNetwork:
    torch.manual_seed(0)
    made = build_small_stcn().eval()
    with torch.no_grad():  # untrained, its keys find little, but the last mask can be followed
        made.decoder.shares.copy_(torch.tensor([0.5, 1.0]))
    return made


def start(network: STCNNetwork, memory_every: int = 2) -> Propagation:
    return Propagation(
        network,
        torch.full((3, 1, 1), 128.0),
        torch.full((3, 1, 1), 60.0),
        budget=MemoryBudget(frames=2, latest=1, frame_prototypes=16, prototypes=32),
        top_k=8,
        memory_every=memory_every,
    )


def test_frames_of_any_size(network: STCNNetwork) -> None:
    frames, first = make_clip(3, 52, 61)
    video = start(network)
    video.remember(frames[0], first, permanent=True)
    found = video.segment(frames[1], [2, 1])
    assert found.shape == (3, 52, 61) and found.dtype == torch.float32
    torch.testing.assert_close(found.sum(0), torch.ones(52, 61))
    assert (found[1] > 0.5)[first == 2].float().mean() > 0.8
    assert (found[2] > 0.5)[first == 1].float().mean() > 0.8


def test_a_picture_is_encoded_once(network: STCNNetwork) -> None:
    frames, first = make_clip(3, 48, 64)
    video = start(network)
    with mock.patch.object(network, "encode_key", wraps=network.encode_key) as encode:
        video.remember(frames[0], first, permanent=True)
        video.segment(frames[1], [1, 2])
        video.remember(frames[1].copy(), first, permanent=False)
        assert encode.call_count == 2
        video.segment(frames[2], [1])
        assert encode.call_count == 3


def test_objects_that_nobody_showed_are_nowhere(network: STCNNetwork) -> None:
    frames, first = make_clip(3, 48, 64)
    video = start(network)
    assert video.segment(frames[0], [1])[0].gt(0.99).all()  # nothing is known
    video.remember(frames[0], np.where(first == 1, first, 0), permanent=True)
    found = video.segment(frames[1], [1, 9])
    assert found[2].max() < 0.01 and found[1].max() > 0.5
    # Object 2 appears in frame 2; object 1 goes on.
    video.remember(frames[1], first, permanent=True)
    found = video.segment(frames[2], [1, 2])
    assert found[1].max() > 0.5 and found[2].max() > 0.5


def test_goes_on_from_a_state_as_if_nothing_had_happened(network: STCNNetwork) -> None:
    frames, first = make_clip(9, 48, 64)
    video, other = start(network), start(network)
    video.remember(frames[0], first, permanent=True)
    for picture in frames[1:6]:
        video.segment(picture, [1, 2])
    other.set_state(video.state())
    for picture in frames[6:]:
        expected, found = (each.segment(picture, [1, 2]) for each in (video, other))
        assert torch.equal(expected, found)
    assert video.memory.num_cells == other.memory.num_cells
    video.forget_frames()
    assert video.memory.num_cells == 6 * 8


def test_masks_move_with_their_pixels() -> None:
    frames, first = make_clip(3)
    flow = backward_flow(frames[2], frames[0])  # the squares move by 4 pixels
    masks = torch.from_numpy(first == 1).float()[None, None]
    moved = warp(masks, flow[None]) > 0.5
    expected = torch.from_numpy(np.roll(first == 1, 4, 1))
    still = (moved[0, 0] == expected).float().mean()
    assert still > 0.99 > (masks[0, 0].bool() == expected).float().mean()
    assert torch.equal(warp(masks, torch.zeros(1, 2, 112, 128)) > 0.5, masks > 0.5)
    assert not backward_flow(frames[0, :12], frames[1, :12]).any()  # too small
