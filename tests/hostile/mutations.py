"""Random changes to valid content: bytes, trees of values, arrays, pictures and tensors."""

import io
import json
import pickle
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import torch
import yaml

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(10**30), 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", " ", "x", "a\0b", "\x1b[2J", "\nerror: forged", "é\ud800"),
    *("../../outside", "/dev/zero", "/dev/stdin", "/proc/self/mem", "package://", "package://../x"),
    *("http://127.0.0.1:9/x.pth", "https://127.0.0.1:9/x.pth", "file:///etc/passwd", "~", "$HOME"),
    *(
        [],
        {},
        [[]],
        [None],
        {"": ""},
        {"a": {"a": {}}},
        [0] * 1000,
        "y" * 100_000,
        "(1,",
        "9" * 5000,
    ),
)
_INTEGERS = (
    b"\xff" * 4,
    b"\x00" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\x00\x00\x00\x80",
)


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Change a few places of some bytes, cut them short, or make them longer."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 5))):
        size = len(data)
        start = random.randrange(size + 1)
        # Beginnings and ends say what the rest is.
        if random.random() < 0.4:
            start = random.choice((random.randrange(min(size, 64) + 1), max(0, size - start % 64)))
        length = random.choice((1, 4, 32, 1000))
        kind = random.randrange(6)
        if kind == 0 and start < size:
            data[start] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[start : start + 4] = random.choice(_INTEGERS)
        elif kind == 2:
            del data[start:]
        elif kind == 3:
            del data[start : start + length]
        elif kind == 4:
            data[start:start] = data[start : start + length]
        else:
            data[start : start + length] = random.randbytes(length)
    return bytes(data)


def mutate_tree(tree: Any, random: Random) -> Any:
    """Return a tree of dicts, lists and values in which one place is another."""
    if isinstance(tree, dict) and tree and random.random() < 0.8:
        key = random.choice(list(tree))
        kind = random.randrange(8)
        changed = dict(tree)
        if kind == 0:
            del changed[key]
        elif kind == 1:
            changed[random.choice(("x", "", "\0", 5, None, "a.b"))] = changed.pop(key)
        elif kind == 2:
            changed[key] = [changed[key]]
        else:
            changed[key] = mutate_tree(changed[key], random)
        return changed
    if isinstance(tree, list) and tree and random.random() < 0.7:
        index = random.randrange(len(tree))
        return [*tree[:index], mutate_tree(tree[index], random), *tree[index + 1 :]]
    return random.choice(VALUES)


def mutate_json(content: bytes, random: Random) -> bytes:
    """Change JSON, as bytes or as a tree; some of it is nested deeply."""
    if random.random() < 0.3:
        return mutate_bytes(content, random)
    if random.random() < 0.05:
        return b"[" * 200_000
    return json.dumps(mutate_tree(json.loads(content), random), default=str).encode()


def mutate_lines(content: bytes, random: Random) -> bytes:
    """Change a line of JSON lines, leave one out, or repeat one."""
    lines = content.splitlines(keepends=True)
    place = random.randrange(len(lines))
    chance = random.random()
    if chance < 0.2:
        del lines[place]
    elif chance < 0.4:
        lines.insert(random.randrange(len(lines) + 1), lines[place])
    else:
        lines[place] = mutate_json(lines[place], random).rstrip() + b"\n"
    return b"".join(lines)


def mutate_yaml(content: bytes, random: Random) -> bytes:
    """Change YAML, as bytes or as a tree, or add what makes readers grow."""
    chance = random.random()
    if chance < 0.3:
        return mutate_bytes(content, random)
    if chance < 0.4:
        return content + random.choice(_YAML)
    tree = mutate_tree(yaml.safe_load(content), random)
    return yaml.dump(tree, allow_unicode=True).encode(errors="surrogatepass")


_YAML = (
    b"\nA: &a [x, x]\nB: &b [*a, *a]\nC: &c [*b, *b]\nD: [*c, *c]\n" + b"E: *a\n" * 40,
    b"\nA: &a [*a]\n",
    b"\nA: " + b"[" * 5000,
    b"\n_BASE_: /dev/zero\n",
    b"\n_BASE_: https://127.0.0.1:9/a.yaml\n",
    b"\nA: !!python/object/apply:os.system [touch outside]\n",
    b"\n? [a, b]\n: c\n",
    b"\nA: 2001-99-99\n",
    b"\n--- \nA: 1\n",
)


def mutate_array(content: bytes, random: Random) -> bytes:
    """Change an ``.npy`` file: its bytes, its header, its values, or what it is at all."""
    chance = random.random()
    if chance < 0.25:
        return mutate_bytes(content, random)
    array = np.load(io.BytesIO(content))
    if chance < 0.65:
        shape: Any = list(array.shape)
        place = random.randrange(max(len(shape), 1))
        sides = (-1, 0, 1, True, 2**31, 2**32, 2**63, 10**30, None, "1", 1.5, (1,), 4 << 30)
        shape[place : place + random.choice((0, 1))] = [random.choice(sides)]
        types = ("|u1", "<u2", "<f8", "|O", "|b1", "|V0", "S0", "(9,9)u1", "x", None, "<M8[s]")
        descr: Any = random.choice(("|u1", random.choice(types), [("a", "|u1"), ("b", "|O")]))
        head = {"descr": descr, "fortran_order": random.choice((False, True, 3)), "shape": shape}
        head["shape"] = random.choice((tuple(shape), tuple(shape), shape, 5))
        if random.random() < 0.1:
            head.pop(random.choice(list(head)))
        text = repr(head).encode() + b"\n"
        version = random.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x09\x00"))
        length = struct.pack("<I" if version[0] == 2 else "<H", len(text))
        return b"\x93NUMPY" + version + length + text + array.tobytes()[: random.choice((0, 10**9))]
    file = io.BytesIO()
    if chance < 0.7:
        np.savez(file, array)
    elif chance < 0.75:
        file.write(pickle.dumps(array))
    else:
        np.save(file, _change_array(array, random), allow_pickle=True)
    return file.getvalue()


def _change_array(array: np.ndarray, random: Random) -> np.ndarray:
    if array.dtype.names:
        array = array.copy()
        field = array[random.choice(array.dtype.names)]
        field[...] = random.choice((255, np.nan, np.inf, -1)) if field.dtype.kind == "f" else 255
        return array
    changes: tuple[Callable[[], np.ndarray], ...] = (
        lambda: array[..., :-1],
        lambda: array[:0],
        lambda: array[:-1],
        lambda: array[None],
        lambda: array.reshape(-1),
        lambda: np.array(5, np.uint8),
        lambda: array.astype(np.float32),
        lambda: np.full_like(array, 255),
        lambda: np.zeros((3000, 10, 10), np.uint8),
        lambda: np.asfortranarray(array),
        lambda: array.astype(object)[:1],
        lambda: np.roll(array, 1),
    )
    return random.choice(changes)()


def mutate_png(content: bytes, random: Random) -> bytes:
    """Change a PNG: its bytes, or one of its chunks, with a checksum that fits."""
    if random.random() < 0.3:
        return mutate_bytes(content, random)
    chunks, position = [], 8
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        chunks.append([content[position + 4 : position + 8], content[position + 8 :][:length]])
        position += length + 12
    index = random.randrange(len(chunks))
    kind = random.randrange(7)
    if kind == 0:
        del chunks[index]
    elif kind == 1:
        chunks.insert(index, chunks[index])
    elif kind == 2:
        sides = (0, 1, 15, 16, 20_000, 2**31 - 1, 2**32 - 1)
        head = struct.pack(">II", random.choice(sides), random.choice(sides))
        chunks[0][1] = head + chunks[0][1][8:]
    elif kind == 3:
        chunks[0][1] = chunks[0][1][:8] + bytes(
            random.choice((0, 1, 2, 3, 6, 16)) for _ in range(5)
        )
    elif kind == 4:
        chunks.insert(
            1, [random.choice((b"eXIf", b"tEXt", b"IDAT", b"acTL")), random.randbytes(40)]
        )
    elif kind == 5:
        chunks[1][1] = zlib.compress(bytes(random.choice((10, 10**7))))
    else:
        chunks[index][1] = mutate_bytes(chunks[index][1], random)
    parts = [content[:8]]
    for name, data in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        parts += [struct.pack(">I", len(data)), name, data, checksum]
    return b"".join(parts)


_TENSORS: tuple[Callable[[torch.Tensor], Any], ...] = (
    lambda value: value.flatten(),
    lambda value: value[:0],
    lambda value: value * float("nan"),
    lambda value: value.to(torch.int32),
    lambda value: value.to(torch.complex64),
    lambda value: value.to("meta"),
    lambda value: value.to_sparse(),
    lambda value: value.flatten()[:1].expand(10**12),
    lambda value: value.tolist(),
    lambda value: torch.nn.Parameter(value.float()),
    lambda value: value.double(),
    lambda value: {"weight": value},
)


def mutate_checkpoint(content: bytes, random: Random) -> bytes:
    """Change a ``.pth`` file: its bytes, or a place of what it holds."""
    if random.random() < 0.4:
        return mutate_bytes(content, random)
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    changed = _mutate_state(loaded, random)
    file = io.BytesIO()
    torch.save(changed, file, _use_new_zipfile_serialization=random.random() < 0.8)
    data = file.getvalue()
    return mutate_bytes(data, random) if random.random() < 0.1 else data


def _mutate_state(state: Any, random: Random) -> Any:
    if isinstance(state, torch.Tensor):
        return random.choice((*_TENSORS, lambda _: random.choice(VALUES)))(state)
    if isinstance(state, dict) and state and random.random() < 0.85:
        key = random.choice(list(state))
        changed = dict(state)
        kind = random.randrange(8)
        if kind == 0:
            del changed[key]
        elif kind == 1:
            changed[random.choice((5, None, "x", "module.x", "a\nb"))] = changed.pop(key)
        else:
            changed[key] = _mutate_state(changed[key], random)
        return changed
    return random.choice((*VALUES, torch.zeros(3), {"model": 3}, {5: torch.zeros(2)}))


def mutate_pickle(content: bytes, random: Random) -> bytes:
    """Change a ``.pkl`` file of the model zoo: its bytes, or a place of what it holds."""
    if random.random() < 0.5:
        return mutate_bytes(content, random)
    tree = pickle.loads(content)
    if random.random() < 0.6:
        weights = dict(tree["model"])
        key = random.choice(list(weights))
        weights[key] = random.choice(
            (
                *(weights[key][:0], weights[key] * np.nan, weights[key].tolist(), np.float32(3)),
                *(weights[key].astype(">f8"), weights[key].astype("U3"), random.choice(VALUES)),
            )
        )
        tree["model"] = weights
    else:
        tree = mutate_tree(tree, random)
    return pickle.dumps(tree, protocol=random.choice((0, 2, 4)))


def mutate_text(content: bytes, random: Random) -> bytes:
    """Change a line of text."""
    if random.random() < 0.5:
        return mutate_bytes(content, random)
    return str(random.choice(VALUES)).encode(errors="surrogatepass")
