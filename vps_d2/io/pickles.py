"""Pickled checkpoints (``.pkl``), such as Detectron2's model zoo has, read without running code.

A pickle is a program: it names functions and calls them. Here it may name only those that NumPy
uses to pickle arrays, and it gets stand-ins for them, which accept only plain data. NumPy's own
functions are not safe with hostile arguments: a forged dtype turns bytes into object pointers.
"""

import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular

__all__ = ["read_pickle"]

# Numbers of fixed size, without the byte order: bool, integers, floating point, complex.
_NUMBER = re.compile(r"b1|[iu][1248]|f[248]|c8|c16")
_OPCODES = frozenset(
    re.findall(
        r"\w+",
        """
        PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4
        FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE
        BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 EMPTY_LIST LIST APPEND APPENDS
        EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT
        LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD
        """,
    )
)
_PLAIN = (str, bytes, bytearray, bool, int, float, type(None))


class _ForeignError(Exception):
    """The pickle asks for something other than plain data, which the message names."""


def read_pickle(path: str) -> Any:
    """Read a pickle of plain data and NumPy arrays, without running code from it.

    Args:
        path: of a file of any pickle protocol, including those of Python 2 and of other versions of
            NumPy.

    Returns:
        its content: numbers, text, bytes, None, lists, tuples and dicts of these, and NumPy arrays
        and scalars of numbers, in the byte order of this machine.

    Raises:
        UserError: if the file is missing, unreadable or damaged, or holds anything else.
    """
    try:
        with open_regular(path) as file:
            _check_opcodes(file)
            file.seek(0)
            return _to_arrays(_Unpickler(file).load(), {})
    except _ForeignError as error:
        raise UserError(
            f"checkpoint {path} is a pickle that asks for {error}, which could run code, so it "
            "was not read; if you trust it, convert it to a .pth file of tensors."
        ) from error
    except FileNotFoundError as error:
        raise UserError(f"checkpoint {path} does not exist; check the path.") from error
    except OSError as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({error.strerror}); check the path and its "
            "permissions."
        ) from error
    except (
        *(pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError),
        *(OverflowError, RecursionError, MemoryError),
    ) as error:
        raise UserError(
            f"checkpoint {path} is damaged or not a pickle of weights; copy or download it again."
        ) from error


def _check_opcodes(file: IO[bytes]) -> None:
    """Check the instructions of a pickle before any of them is run.

    Raises:
        _ForeignError: if it has an instruction that plain data does not need.
        ValueError: if it is cut short, or asks for memory for more objects than it holds.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name not in _OPCODES:
            raise _ForeignError(f"the instruction {opcode.name}")
        # Python would allocate memory up to the highest object number.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > count:
            raise ValueError(f"object number {argument} after {count} instructions")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes]) -> None:
        # latin1 preserves the bytes of Python 2's str.
        super().__init__(file, encoding="latin1")
        self._stand_ins = _make_stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._stand_ins:
            raise _ForeignError(f"{module}.{name}")
        return self._stand_ins[module, name]


class _Dtype:
    """Stands in for ``numpy.dtype``."""

    def __init__(self, code: str, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _NUMBER.fullmatch(code):
            raise _ForeignError(f"values of the type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        # Version, byte order, and the fields of structures, which numbers do not have.
        _, order, subtype, names, fields = state[:5]
        if order not in ("<", ">", "|", "=") or (subtype, names, fields) != (None, None, None):
            raise _ForeignError("values of a type that is not a number")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands in for ``numpy.ndarray``."""

    value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        shape, dtype, is_fortran, raw = state[-4:]
        self.value = _build(shape, dtype, raw, "F" if is_fortran else "C")


class _Scalar:
    """Stands in for a number of NumPy."""

    def __init__(self, dtype: Any, raw: Any) -> None:
        self.value = _build((), dtype, raw)[()]


def _build(shape: Any, dtype: Any, raw: Any, order: Any = "C") -> np.ndarray:
    """Return raw bytes as an array in the byte order of this machine."""
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or order not in ("C", "F"):
        raise ValueError("an array without a shape or type")
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"an array of shape {shape}")
    if isinstance(raw, str):  # from Python 2
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        raise _ForeignError(f"an array made of a {type(raw).__name__}")
    if len(raw) != math.prod(shape) * dtype.dtype.itemsize:
        raise ValueError(f"{len(raw)} bytes for an array of shape {shape}")
    array = np.ndarray(shape, dtype.dtype, bytes(raw), order=order)
    return array.astype(dtype.dtype.newbyteorder("="))  # a copy that can be written to


def _make_stand_ins() -> dict[tuple[str, str], Callable[..., Any]]:
    """Return what a pickle may ask for; new for each, since it can change class attributes."""
    dtype = type("Dtype", (_Dtype,), {})
    array = type("Array", (_Array,), {})
    scalar = type("Scalar", (_Scalar,), {})

    def reconstruct(subtype: Any, shape: Any, code: Any) -> _Array:
        if subtype is not array:
            raise ValueError("an array of no known class")
        return array()  # its content follows as its state

    def from_buffer(raw: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> _Array:
        made = array()
        made.value = _build(shape, dtype, raw, order)
        return made

    def encode(text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise _ForeignError(f"text as {encoding!r}")
        return text.encode("latin1")

    def no_bytes() -> bytes:
        return b""

    stand_ins: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): array,
        ("numpy", "dtype"): dtype,
        ("collections", "OrderedDict"): OrderedDict,
        # How the protocols of Python 2 pickle bytes, and empty bytes.
        ("_codecs", "encode"): encode,
        ("__builtin__", "bytes"): no_bytes,
    }
    for core in ("numpy.core", "numpy._core"):  # before NumPy 2, and since
        stand_ins[f"{core}.multiarray", "_reconstruct"] = reconstruct
        stand_ins[f"{core}.multiarray", "scalar"] = scalar
        stand_ins[f"{core}.numeric", "_frombuffer"] = from_buffer
    return stand_ins


def _to_arrays(value: Any, known: dict[int, Any]) -> Any:
    """Return the value with arrays instead of their stand-ins.

    Args:
        value: what was unpickled.
        known: results by the identity of the value, so that shared values are converted once.

    Raises:
        _ForeignError: if there is anything but plain data.
    """
    if type(value) in _PLAIN:
        return value
    if id(value) in known:
        return known[id(value)]
    result: Any
    if isinstance(value, _Array | _Scalar):
        if not isinstance(value.value, np.ndarray | np.generic):
            raise ValueError("an array without content")
        result = value.value
    elif type(value) in (dict, OrderedDict):
        result = known[id(value)] = type(value)()
        # The method of dict itself, since the pickle can give an OrderedDict other attributes.
        for key, entry in dict.items(value):
            if type(key) not in _PLAIN:
                raise _ForeignError(f"a key of type {type(key).__name__}")
            result[key] = _to_arrays(entry, known)
    elif type(value) is list:
        result = known[id(value)] = []
        result.extend(_to_arrays(entry, known) for entry in value)
    elif type(value) is tuple:
        result = tuple(_to_arrays(entry, known) for entry in value)
    else:
        raise _ForeignError(f"a {type(value).__name__}")
    known[id(value)] = result
    return result
