"""The published network, which takes long to make."""

import pytest

from tests.modeling.vos.made import make_weights
from vps_d2.modeling.vos.network import STCNNetwork, build_stcn


@pytest.fixture(scope="package")
def stcn() -> STCNNetwork:
    """Return STCN with weights that any code can make again."""
    network = build_stcn().eval()
    network.load_state_dict(make_weights(network.state_dict()))
    return network
