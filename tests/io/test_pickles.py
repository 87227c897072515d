"""Pickled checkpoints: what is plain data is read, and nothing else is, whatever it pretends."""

import codecs
import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vps_d2.io.errors import UserError
from vps_d2.io.pickles import read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def write(folder: Path, content: bytes) -> str:
    path = folder / "weights.pkl"
    path.write_bytes(content)
    return str(path)


def read(folder: Path, content: bytes) -> Any:
    return read_pickle(write(folder, content))


def model() -> dict[str, Any]:
    """As a file of Detectron2's model zoo."""
    rng = np.random.default_rng(0)
    return {
        "model": OrderedDict(
            [
                ("stem.conv1.weight", rng.random((4, 3, 7, 7), dtype=np.float32)),
                ("res2.0.conv1.norm.running_var", rng.random(4)),
                ("num_batches_tracked", np.array(7)),
                ("half", rng.random((2, 3)).astype(np.float16)),
                ("mask", np.array([[True, False]])),
                ("bytes", np.arange(5, dtype=np.uint8)),
                ("empty", np.zeros((0, 4), np.float32)),
                ("fortran", np.asfortranarray(rng.random((3, 5)))),
                ("big endian", np.arange(6, dtype=">i4").reshape(2, 3)),
                ("complex", np.array([1 + 2j])),
            ]
        ),
        "__author__": "Jane Doe",
        "matching_heuristics": True,
        "epoch": 90,
        "lr": np.float64(0.25),
        "others": [None, (1.5, b"\x00\xff"), 2**70, -1],
    }


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray) and found.shape == expected.shape
        assert found.dtype == expected.dtype.newbyteorder("=") and found.dtype.isnative
        assert np.array_equal(found, expected)
    elif isinstance(expected, dict):
        assert type(found) is type(expected) and list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected) and len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"], ids=["before 2", "since 2"])
def test_checkpoint_of_the_model_zoo(tmp_path: Path, protocol: int, core: bytes) -> None:
    content = pickle.dumps(model(), protocol)
    mine, other = b"numpy._core", b"numpy.core"
    if mine not in content:
        mine, other = other, mine
    assert mine in content
    if core != mine:
        if protocol >= 4:
            # Frames and short names carry their lengths: write both anew.
            content = pickletools.optimize(pickle.dumps(model(), protocol))
            content = rename_modules(content, core)
        else:
            content = content.replace(b"c" + mine, b"c" + other)
    assert core + b"." in content
    found = read(tmp_path, content)
    assert_same(found, model())
    found["model"]["stem.conv1.weight"][:] = 0  # it can be written to, as PyTorch wants it


def rename_modules(content: bytes, core: bytes) -> bytes:
    """Give the modules of NumPy in a pickle without frames other names."""
    renamed = b""
    steps = list(pickletools.genops(content))
    ends = [position for _, _, position in steps[1:]] + [len(content)]
    for (opcode, argument, start), end in zip(steps, ends, strict=True):
        if opcode.name == "FRAME":
            continue
        if opcode.name == "SHORT_BINUNICODE" and argument.startswith(("numpy.core", "numpy._core")):
            name = core + b"." + argument.rpartition(".")[2].encode()
            renamed += b"\x8c" + bytes([len(name)]) + name
        else:
            renamed += content[start:end]
    return renamed


def test_pickle_of_python_2(tmp_path: Path) -> None:
    """There, text is bytes, also that of arrays."""
    raw = np.array([1.0, -2.5], "<f4").tobytes()
    assert max(raw) > 127  # which is no ASCII
    content = (
        b"\x80\x02}U\x06weightcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b"
        b"\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08" + raw + b"tbs."
    )
    assert_same(read(tmp_path, content), {"weight": np.array([1.0, -2.5], np.float32)})


def test_shared_and_cyclic_data(tmp_path: Path) -> None:
    array = np.arange(3)
    cycle: list[Any] = [array]
    cycle.append(cycle)
    found = read(tmp_path, pickle.dumps({"a": array, "b": array, "c": cycle}))
    assert found["a"] is found["b"] is found["c"][0] and found["c"][1] is found["c"]


def test_much_that_is_shared_is_converted_once(tmp_path: Path) -> None:
    level: list[Any] = [np.zeros(1)]
    for _ in range(200):
        level = [level, level]
    read(tmp_path, pickle.dumps(level))


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.reduced


def hostile(protocol: int) -> dict[str, bytes]:
    import os

    reconstruct, ndarray = np.zeros(1).__reduce__()[0], np.ndarray
    scalar = np.float32(1).__reduce__()[0]
    calls = {
        "os.system": Call(os.system, "touch {made}"),
        "eval": Call(eval, "open('{made}', 'w')"),
        "getattr": Call(getattr, "text", "upper"),
        "numpy.load": Call(np.load, "{made}"),
        "numpy.fromfile": Call(np.fromfile, "/dev/zero"),
        "codec of a file": Call(codecs.encode, "{made}", "idna"),
        "reconstruct another class": Call(reconstruct, np.matrix, (0,), b"b"),
        "reconstruct a dict": Call(reconstruct, dict, (0,), b"b"),
        "huge array": Call(reconstruct, ndarray, (2**40,), b"d"),
        "dtype of objects": Call(np.dtype, "O8", False, True),
        "dtype of a structure": Call(np.dtype, [("a", "O")]),
        "dtype that is no text": Call(np.dtype, 5),
        "dtype of text": Call(np.dtype, "U4"),
        "scalar of nothing": Call(scalar, 1, 2),
        "scalar of too few bytes": Call(scalar, np.dtype("f8"), b"abc"),
        "OrderedDict of a number": Call(OrderedDict, 5),
        "too many arguments": Call(np.dtype, *range(9)),
        "codec with odd arguments": Call(codecs.encode, 5, 6),
        "class alone": np.ndarray,
        "function alone": reconstruct,
    }
    return {name: pickle.dumps([call], protocol) for name, call in calls.items()}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", list(hostile(2)))
def test_hostile_calls(tmp_path: Path, name: str, protocol: int) -> None:
    made = tmp_path / "made"
    content = hostile(protocol)[name]
    # The path has a fixed length, so that lengths in the pickle stay right.
    assert len("{made}") == 6
    with pytest.raises(UserError) as caught:
        read(tmp_path, content.replace(b"{made}", b"./made"))
    assert "weights.pkl" in str(caught.value) and not made.exists() and not Path("made").exists()


class ForgedDtype:
    def __init__(self, state: tuple) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        return np.dtype, ("i8", False, True), self.state


RAW = b"\0" * 8
UNFLAGGED = ForgedDtype((3, "|", None, None, None, 8, 8, 63))
STRUCTURE = ForgedDtype((3, "<", None, ("a",), {"a": ("O", 0)}, 8, 8, 0))
STATES = {
    "objects": (0, (1,), np.dtype("O"), False, [b"x"]),
    "objects in plain bytes": (1, (1,), UNFLAGGED, False, RAW),
    "structure": (1, (1,), STRUCTURE, False, RAW),
    "too few bytes": (1, (2,), np.dtype("i8"), False, RAW),
    "too many bytes": (1, (1,), np.dtype("i8"), False, b"\0" * 9),
    "negative": (1, (-1,), np.dtype("i8"), False, RAW),
    "huge": (1, (2**40, 2**40), np.dtype("i8"), False, RAW),
    "overflowing": (1, (2**63, 2), np.dtype("i8"), False, b""),
    "list of values": (1, (1,), np.dtype("i8"), False, [1]),
    "no dtype": (1, (1,), "i8", False, RAW),
    "shape that is no tuple": (1, 1, np.dtype("i8"), False, RAW),
    "short": (1,),
    "no tuple": 5,
}


@pytest.mark.parametrize("name", list(STATES))
def test_hostile_states_of_an_array(tmp_path: Path, name: str) -> None:
    reconstruct = np.zeros(1).__reduce__()[0]
    call = Call(reconstruct, np.ndarray, (0,), b"b", state=STATES[name])
    if name == "objects in plain bytes":
        # Flags of a dtype are not believed: these bytes are numbers, never addresses.
        assert read(tmp_path, pickle.dumps(call, 2)).tolist() == [0]
        return
    with pytest.raises(UserError, match=r"weights\.pkl"):
        read(tmp_path, pickle.dumps(call, 2))


def test_array_of_objects(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could run code"):
        read(tmp_path, pickle.dumps({"a": np.array([{}, []], dtype=object)}))


def test_array_without_content(tmp_path: Path) -> None:
    call = Call(np.zeros(1).__reduce__()[0], np.ndarray, (0,), b"b")
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path, pickle.dumps(call, 2))


def test_a_pickle_cannot_change_how_the_next_is_read(tmp_path: Path) -> None:
    """State is also set on classes and functions, which later pickles must not see."""
    for what in (b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\nscalar\n", b"c_codecs\nencode\n"):
        for state in (b"}U\x05valueK\x01s", b"N}U\x0c__setstate__K\x01s\x86"):
            with pytest.raises(UserError):
                read(tmp_path, b"\x80\x02" + what + state + b"b.")
    with pytest.raises(UserError):
        read(tmp_path, b"\x80\x02ccollections\nOrderedDict\nN}U\x05itemsK\x01s\x86b.")
    assert_same(read(tmp_path, pickle.dumps(model(), 2)), model())


def test_attributes_of_a_dict_are_left_out(tmp_path: Path) -> None:
    # As PyTorch's state_dict has them, but one is to mislead.
    state = {"_metadata": {"": {"version": 1}}, "items": 5}
    weights = Call(OrderedDict, [("a", np.ones(1))], state=state)
    found = read(tmp_path, pickle.dumps(weights))
    assert list(found.items()) == [("a", np.ones(1))] and not hasattr(found, "_metadata")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cut_short_anywhere(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps(model(), protocol)
    for length in {*range(0, len(content), 97), len(content) - 1}:
        with pytest.raises(UserError, match=r"weights\.pkl is damaged|weights\.pkl is a pickle"):
            read(tmp_path, content[:length])


CLAIMS = {
    "memo": b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b".",
    "memo as text": b"]p99999999999\n.",
    "negative memo": b"]p-5\n.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    "byte array": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"abc.",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "number": b"\x80\x02\x8b" + struct.pack("<I", 2**31 - 1) + b"1.",
    "digits": b"I" + b"9" * 10000 + b"\n.",
}


@pytest.mark.parametrize("name", list(CLAIMS))
def test_claims_to_be_huge(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path, CLAIMS[name])


FOREIGN = {
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"Pname\n.",
    "instance": b"(S'touch made'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'touch made'\no.",
    "new object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "out of band": b"\x80\x05\x97.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93."[:-1] + b".",
    "empty set": b"\x80\x04\x8f.",
}


@pytest.mark.parametrize("name", list(FOREIGN))
def test_what_no_plain_data_needs(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"asks for .* could run code|damaged"):
        read(tmp_path, FOREIGN[name])


def test_very_deep_lists(tmp_path: Path) -> None:
    content = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path, content)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip file", b"hello\n", b"\x80\x63N."])
def test_no_pickle(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match=r"weights\.pkl"):
        read(tmp_path, content)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pkl does not exist"):
        read_pickle(str(tmp_path / "nowhere.pkl"))
    with pytest.raises(UserError, match="cannot be read"):
        read_pickle(str(tmp_path))
