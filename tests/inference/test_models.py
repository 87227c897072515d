"""What models are known by."""

import torch
from torch import nn

from vps_d2.inference.models import hash_model


class Counted(nn.Linear):
    hashed = 0

    def state_dict(self, *args, **kwargs):
        self.hashed += 1
        return super().state_dict(*args, **kwargs)


def test_weights_are_hashed_once_and_settings_each_time():
    model, other = Counted(3, 2), Counted(3, 2)
    first = hash_model("a", model)
    assert hash_model("a", model) == first != hash_model("b", model)
    assert model.hashed == 1
    assert hash_model("a", other) != first
    same = Counted(3, 2).to(torch.float32)
    same.load_state_dict(model.state_dict())
    assert hash_model("a", same) == first
