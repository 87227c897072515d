"""The network of VisTR: the layout of the public code, and its numbers."""

import json
from pathlib import Path

import pytest
import torch

from tests.modeling.vis.vistr_case import INNER, make_frames, make_network, make_targets
from vps_d2.io.errors import UserError
from vps_d2.modeling.vis.resnet import ResNetBody
from vps_d2.modeling.vis.vistr_losses import TubeCriterion
from vps_d2.modeling.vis.vistr_network import VisTRNetwork

# What the public code makes of the same weights, frames and objects.
PUBLIC = json.loads(Path(__file__).with_name("vistr_public.json").read_text())


@pytest.fixture(scope="module")
def network() -> VisTRNetwork:
    return make_network()


def recorded(name: str, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(PUBLIC[name]).view(like.shape)


@pytest.mark.parametrize(
    ("depth", "entries", "parameters"), [(50, 503, 57116129), (101, 758, 76056033)]
)
def test_the_published_sizes(depth: int, entries: int, parameters: int) -> None:
    with torch.device("meta"):
        network = VisTRNetwork(body=ResNetBody(depth=depth), num_logits=42)
    assert len(network.state_dict()) == entries
    assert sum(each.numel() for each in network.parameters()) == parameters
    names = {
        "vistr.backbone.0.body.layer4.2.bn3.running_var",
        "vistr.transformer.encoder.layers.5.self_attn.in_proj_weight",
        "vistr.bbox_embed.layers.2.bias",
        "mask_head.dcn.weight",
        "insmask_head.9.weight",
    }
    assert names <= set(network.state_dict())


@torch.no_grad()
def test_the_public_code_gives_the_same(network: VisTRNetwork) -> None:
    frames, padding = make_frames()
    tubes = network.detect(frames, padding)
    logits, boxes = tubes.logits[:, 0], tubes.boxes[-1, 0]
    masks = network.draw(tubes)[0]
    for name, found in (
        ("logits", logits[-1][:, :3, ::6]),
        ("first_logits", logits[0][:, :2, ::9]),
        ("boxes", boxes[:, :3]),
        ("masks", masks[:, :3, ::4, ::5]),
    ):
        assert torch.allclose(found, recorded(name, found), atol=1e-4), name


@torch.no_grad()
def test_the_public_losses_are_the_same(network: VisTRNetwork) -> None:
    frames, padding = make_frames()
    tubes = network.detect(frames, padding)
    losses = TubeCriterion()(
        tubes, [make_targets()], lambda clip, chosen: network.draw(tubes, clip, chosen)[0]
    )
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        PUBLIC["losses"], abs=1e-4
    )


@torch.no_grad()
def test_clips_and_tubes_do_not_depend_on_each_other(network: VisTRNetwork) -> None:
    frames, padding = make_frames()
    both = torch.cat([frames, frames.flip(-1).roll(INNER[1], -1)])
    alone = network(frames, padding)
    tubes = network.detect(both, padding.expand(2, -1, -1))
    assert torch.allclose(tubes.logits[-1, :1], alone[0], atol=1e-4)
    chosen = torch.tensor([4, 1])
    drawn = network.draw(tubes, 0, chosen)
    assert torch.allclose(drawn, alone[2][:, :, chosen], atol=1e-4)
    assert torch.allclose(network.draw(tubes)[:1], alone[2], atol=1e-4)


@torch.no_grad()
def test_padding_of_nothing_changes_nothing(network: VisTRNetwork) -> None:
    frames, padding = make_frames()
    plain, padded = network(frames), network(frames, torch.zeros_like(padding))
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(plain, padded, strict=True))


@torch.no_grad()
def test_a_plain_convolution_has_the_same_weights() -> None:
    sizes = {"num_logits": 5, "num_frames": 2, "num_instances": 2, "channels": 48}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1, "feedforward_channels": 16}
    deformable, plain = (
        VisTRNetwork(body=ResNetBody(depth=18, width=8), deformable=each, **sizes, **layers).eval()
        for each in (True, False)
    )
    plain.load_state_dict(deformable.state_dict())  # whose offsets are still zero
    frames = torch.randn(1, 2, 3, 33, 50)
    masks = [network(frames)[2] for network in (deformable, plain)]
    assert masks[0].shape == (1, 2, 2, 9, 13)
    assert torch.allclose(*masks, atol=1e-5)


@torch.no_grad()
def test_queries_begin_by_looking_at_their_frame() -> None:
    torch.manual_seed(0)
    network = VisTRNetwork(
        body=ResNetBody(depth=18, width=8), num_logits=5, num_frames=4, num_instances=3, channels=96
    ).eval()
    shares: list[torch.Tensor] = []

    def watch(module: torch.nn.Module, args: tuple, kwargs: dict, output: tuple) -> None:
        options = {**kwargs, "need_weights": True}
        weights = torch.nn.MultiheadAttention.forward(module, *args, **options)[1]
        frames = weights[0].view(4, 3, 4, -1).sum(-1)  # of each query, in each frame
        shares.append(frames.diagonal(dim1=0, dim2=2).mean())

    for layer in network.vistr.transformer.decoder.layers:
        layer.multihead_attn.register_forward_hook(watch, with_kwargs=True)
    network.detect(torch.randn(1, 4, 3, 64, 96))
    assert min(shares) > 0.6


def test_heads_too_small_for_places() -> None:
    with torch.device("meta"):
        VisTRNetwork(
            body=ResNetBody(depth=18, width=8), num_logits=5, channels=48, heads=24, num_frames=1
        )


@pytest.mark.parametrize(("channels", "heads"), [(100, 4), (96, 7)])
def test_channels_that_cannot_be_divided(channels: int, heads: int) -> None:
    with pytest.raises(UserError, match="CHANNELS must be a multiple of 48 and of MODEL"):
        VisTRNetwork(
            body=ResNetBody(depth=18, width=8), num_logits=5, channels=channels, heads=heads
        )


def test_frozen_stages() -> None:
    body = ResNetBody(depth=18, width=8)
    body.freeze(2)
    trained = {name.split(".")[0] for name, each in body.named_parameters() if each.requires_grad}
    assert trained == {"layer3", "layer4"}


@torch.no_grad()
def test_dilation_samples_the_same_features_more_densely() -> None:
    plain, dilated = (ResNetBody(depth=50, width=8, dilation=each) for each in (False, True))
    dilated.load_state_dict(plain.state_dict())
    frames = torch.randn(1, 3, 320, 320)
    coarse, fine = plain(frames)[-1], dilated(frames)[-1]
    assert fine.shape[-1] == 2 * coarse.shape[-1]
    # Not at the border, where the padding differs.
    assert torch.allclose(fine[..., ::2, ::2][..., 4:-4, 4:-4], coarse[..., 4:-4, 4:-4], atol=1e-3)


def test_an_unknown_backbone() -> None:
    with pytest.raises(UserError, match="a ResNet of 42 layers is not known; use one of 18, 34, 5"):
        ResNetBody(depth=42)
