import io
from pathlib import Path

import numpy as np
import pytest

from vps_d2.io.arrays import array_bytes, write_array


def test_arrays_read_back(tmp_path: Path) -> None:
    for array in (np.zeros((0, 3), np.uint8), np.arange(6).reshape(2, 3).T):
        write_array(tmp_path / "a.npy", array)
        for source in (tmp_path / "a.npy", io.BytesIO(array_bytes(array))):
            loaded = np.load(source)
            assert np.array_equal(loaded, array) and loaded.dtype == array.dtype


def test_no_objects_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        write_array(tmp_path / "a.npy", np.array([object()]))
    assert not any(tmp_path.iterdir())
