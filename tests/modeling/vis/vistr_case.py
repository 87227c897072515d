"""A small VisTR with reproducible weights, a clip for it, and true objects in that clip."""

import numpy as np
import torch
from torch import nn

from vps_d2.modeling.vis.resnet import ResNetBody
from vps_d2.modeling.vis.vistr_losses import TubeTargets
from vps_d2.modeling.vis.vistr_network import VisTRNetwork

NUM_FRAMES, NUM_INSTANCES, NUM_LOGITS = 3, 10, 42
HEIGHT, WIDTH = 48, 64
# The rows and columns inside the picture; the rest is padding.
INNER = (40, 56)


def make_network() -> VisTRNetwork:
    network = VisTRNetwork(
        body=ResNetBody(depth=18),
        num_logits=NUM_LOGITS,
        num_frames=NUM_FRAMES,
        num_instances=NUM_INSTANCES,
        num_encoder_layers=1,
        num_decoder_layers=2,
        feedforward_channels=64,
    )
    fill_weights(network)
    return network.eval()


@torch.no_grad()
def fill_weights(network: nn.Module) -> None:
    """Set weights from the oldest of NumPy's generators, whose numbers never change."""
    state = network.state_dict()
    for index, name in enumerate(sorted(state)):
        value = state[name]
        noise = np.random.RandomState(index).rand(*value.shape).astype(np.float32)
        noise = 2 * torch.from_numpy(noise) - 1
        if value.ndim > 1:
            scale = 1.0 if "query_embed" in name else (3 / value[0].numel()) ** 0.5
            value.copy_(scale * noise)
        elif name.endswith("running_var"):
            value.copy_(1 + 0.3 * noise)
        elif name.endswith("weight"):
            value.copy_(1 + 0.2 * noise)
        else:
            value.copy_(0.1 * noise)


def make_frames() -> tuple[torch.Tensor, torch.Tensor]:
    """Return frames ``(1, T, 3, H, W)`` and where they are padded, bool ``(1, H, W)``."""
    shape = (1, NUM_FRAMES, 3, HEIGHT, WIDTH)
    frames = 4 * torch.from_numpy(np.random.RandomState(7).rand(*shape).astype(np.float32)) - 2
    padding = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    padding[:, : INNER[0], : INNER[1]] = False
    return frames * ~padding[:, None, None], padding


def make_targets(hidden: bool = False) -> TubeTargets:
    """Return two objects; the second may be hidden in the last frame."""
    boxes = torch.tensor([[0.3, 0.4, 0.2, 0.3], [0.7, 0.5, 0.3, 0.4]]).repeat(NUM_FRAMES, 1, 1)
    boxes[:, :, 0] += 0.02 * torch.arange(NUM_FRAMES)[:, None]
    masks = torch.zeros(NUM_FRAMES, 2, HEIGHT, WIDTH, dtype=torch.bool)
    masks[:, 0, 10:22, 11:23] = True
    masks[:, 1, 12:28, 30:47] = True
    visible = torch.ones(NUM_FRAMES, 2, dtype=torch.bool)
    visible[2, 1] = not hidden
    boxes[~visible] = 0
    masks[~visible] = False
    return TubeTargets(torch.tensor([3, 17]), boxes, visible, masks)
