import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from vps_d2.io.arrays import array_bytes, open_array, write_array


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


def header(shape: object, descr: object = "|u1", order: object = False) -> bytes:
    text = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_open_array_reads_what_was_written(mapped: bool, order: str, tmp_path: Path) -> None:
    fields = np.zeros(3, [("a", "u1", (2,)), ("b", "<f4")])
    for array in (np.arange(6).reshape(2, 3, order=order), np.zeros((0, 3)), np.array(5), fields):
        write_array(tmp_path / "a.npy", array)
        loaded = open_array(tmp_path / "a.npy", mapped)
        assert np.array_equal(loaded, array) and loaded.dtype == array.dtype
        assert loaded.flags.writeable is not mapped


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x03\x00" + header((3,))[8:] + b"abc",
        header((-1, -3)) + b"abc",
        header((True, 3)) + b"abc",
        header((3.0,)) + b"abc",
        header((2**32, 2**32, 0)),
        header((2**70, 0)),
        header((4 << 30,)) + b"abc",
        header((1,) * 40) + b"a",
        header((3,), "|O") + b"abc" * 8,
        header((10**12,), "|V0"),
        header((3,), "(1000000000,)u1") + b"abc",
        header((3,), [("a", "|O")]) + b"abc" * 8,
        header((3,), "nonsense") + b"abc",
        header("(" * 100) + b"abc",
        header((3,), 5) + b"abc",
        header((3,)).replace(b"shape", b"shapf") + b"abc",
        b"\x93NUMPY\x01\x00\x64\x00" + b"(" * 100,
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        pickle.dumps([1, 2]),
        b"PK\x03\x04" + bytes(100),
    ],
)
def test_a_header_that_lies_is_a_value_error(content: bytes, mapped: bool, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError):
        open_array(tmp_path / "a.npy", mapped)


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.zeros(3))
    with pytest.raises(ValueError, match="magic"):
        open_array(tmp_path / "a.npz")
