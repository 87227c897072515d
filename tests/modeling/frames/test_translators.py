import copy

import torch

from vps_d2.modeling.frames.translators import GatedAttention
from vps_d2.modeling.precision import use_channels_last


def test_gradients_in_bfloat16_are_near_those_in_float32() -> None:
    torch.manual_seed(0)
    exact = GatedAttention(channels=32)
    rough = use_channels_last(copy.deepcopy(exact))
    x, weight = torch.randn(2, 32, 20, 30), torch.randn(2, 32, 20, 30)
    (exact(x) * weight).sum().backward()
    for _ in range(3):  # a wrong kernel does not fail each time
        rough.zero_grad()
        dirty = torch.full((1 << 20,), torch.nan)
        del dirty
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predicted = rough(x.contiguous(memory_format=torch.channels_last))
        assert predicted.dtype == torch.float32  # x is
        (predicted * weight).sum().backward()
        for (name, true), near in zip(exact.named_parameters(), rough.parameters(), strict=True):
            assert true.grad is not None and near.grad is not None
            assert (near.grad - true.grad).norm() < 0.05 * true.grad.norm(), name
