import torch

from vps_d2.modeling.vis.deformable_attention import MSDeformAttn, sample_places

SIZES = [(3, 4), (6, 5)]
PIXELS = sum(rows * columns for rows, columns in SIZES)


def test_places_between_pixels_and_outside() -> None:
    maps = torch.arange(PIXELS, dtype=torch.float32).view(1, PIXELS, 1, 1)
    # In the first map: a pixel, the middle of four pixels, far outside; the second is not read.
    spots = torch.tensor([[2.5 / 4, 1.5 / 3], [2.0 / 4, 1.0 / 3], [3.0, 0.5]])
    places = spots.view(1, 3, 1, 1, 1, 2).expand(1, 3, 1, 2, 1, 2)
    weights = torch.tensor([2.0, 0.0]).view(1, 1, 1, 2, 1).expand(1, 3, 1, 2, 1)
    read = sample_places(maps, SIZES, places, weights)
    expected = [2.0 * (1 * 4 + 2), 2.0 * (1 + 2 + 5 + 6) / 4, 0.0]
    torch.testing.assert_close(read.flatten(), torch.tensor(expected))


def test_heads_and_maps_are_not_mixed_up() -> None:
    torch.manual_seed(0)
    count, heads, width, points = 2, 3, 2, 4
    values = torch.randn(count, PIXELS, heads, width)
    places = torch.rand(count, 5, heads, len(SIZES), points, 2)
    weights = torch.rand(count, 5, heads, len(SIZES), points)
    whole = sample_places(values, SIZES, places, weights)
    for head in range(heads):
        chosen = slice(head, head + 1)
        one = sample_places(
            values[:, :, chosen], SIZES, places[:, :, chosen], weights[:, :, chosen]
        )
        torch.testing.assert_close(whole[..., head * width : (head + 1) * width], one)
    first = sample_places(values[:, : 3 * 4], SIZES[:1], places[:, :, :, :1], weights[:, :, :, :1])
    second = sample_places(values[:, 3 * 4 :], SIZES[1:], places[:, :, :, 1:], weights[:, :, :, 1:])
    torch.testing.assert_close(whole, first + second)


def test_heads_begin_with_different_directions() -> None:
    layer = MSDeformAttn(16, num_levels=2, num_heads=4, num_points=3)
    offsets = layer.sampling_offsets.bias.view(4, 2, 3, 2)
    assert torch.equal(offsets[:, 0], offsets[:, 1])
    torch.testing.assert_close(offsets.abs().amax(-1)[:, 0], torch.tensor([[1.0, 2.0, 3.0]] * 4))
    directions = offsets[:, 0, 0].tolist()
    assert len({tuple(round(value, 3) for value in each) for each in directions}) == 4


def test_gradients_reach_every_part_in_bfloat16() -> None:
    layer = MSDeformAttn(16, num_levels=2, num_heads=4, num_points=2)
    torch.nn.init.normal_(layer.sampling_offsets.weight, std=0.1)
    torch.nn.init.normal_(layer.attention_weights.weight)
    queries = torch.randn(1, PIXELS, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        read = layer(queries, torch.rand(PIXELS, 2), torch.randn(1, PIXELS, 16), SIZES)
    read.float().square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
