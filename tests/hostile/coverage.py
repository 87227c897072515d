"""Feed the readers with input that coverage guides, for ``make fuzz``.

Usage: ``python -m tests.hostile.coverage [SECONDS]``, for each reader (30). atheris counts which
lines of vps_d2 an input reaches, and changes further those inputs that reach new ones. A reader may
raise a UserError; all else is a fault, and its input is kept.
"""

import importlib.util
import io
import json
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch

from tests.hostile.mutations import (
    mutate_array,
    mutate_checkpoint,
    mutate_json,
    mutate_lines,
    mutate_pickle,
    mutate_png,
    mutate_yaml,
)

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 30
_LIMITS = ("-timeout=20", "-rss_limit_mb=3000", "-max_len=100000", "-print_final_stats=1")


@dataclass(frozen=True)
class Reader:
    """A reader of one kind of file.

    Args:
        file: name of the file that it reads.
        seed: returns valid content, to begin with.
        mutate: changes content of this kind.
        make: imports the code and returns what reads a path. This runs while imports are
            instrumented, so nothing else here imports code of vps_d2 that reads.
    """

    file: str
    seed: Callable[[], bytes]
    mutate: Callable[[bytes, Random], bytes]
    make: Callable[[], Callable[[Path], object]]


def _read_config() -> Callable[[Path], object]:
    from vps_d2.config.loading import load_config

    return load_config


def _read_array() -> Callable[[Path], object]:
    from vps_d2.data.video import read_mask

    return lambda path: read_mask(path, 0)


def _read_picture() -> Callable[[Path], object]:
    from vps_d2.data.video import check_frame, read_frame

    def read(path: Path) -> None:
        check_frame(path)
        read_frame(path)

    return read


def _read_mask() -> Callable[[Path], object]:
    from vps_d2.data.annotations import load_mask_frame

    return lambda path: load_mask_frame(str(path))


def _read_object_maps() -> Callable[[Path], object]:
    from vps_d2.data.object_maps import read_object_map
    from vps_d2.data.vos.maps import read_dataset_map
    from vps_d2.io.errors import UserError

    def read(path: Path) -> None:
        with suppress(UserError):
            read_dataset_map(path)
        read_object_map(path)

    return read


def _read_log() -> Callable[[Path], object]:
    from vps_d2.inference.vos.log import ActionLog

    return ActionLog


def _read_checkpoint() -> Callable[[Path], object]:
    from vps_d2.io.checkpoints import find_weights, read_checkpoint

    return lambda path: find_weights(read_checkpoint(str(path)), str(path))


def _read_pickle() -> Callable[[Path], object]:
    from vps_d2.io.pickles import read_pickle

    return lambda path: read_pickle(str(path))


def _read_layout() -> Callable[[Path], object]:
    from vps_d2.data.layout import read_layout

    return lambda path: read_layout(path.parent)


def _read_settings() -> Callable[[Path], object]:
    from vps_d2.io.settings import check_settings

    return lambda path: check_settings(path, {"seed": 3, "options": {"size": [32, 48]}})


def _seed_config() -> bytes:
    return (
        b"MODEL: {DEVICE: cpu, WEIGHTS: x.pth}\nSOLVER: {STEPS: [1, 2], BASE_LR: 1e-3}\nVERSION: 2"
    )


def _seed_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((2, 3, 4), np.uint8))
    return file.getvalue()


def _seed_picture(mode: str = "RGB") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new(mode, (16, 16)).save(file, "PNG")
    return file.getvalue()


def _seed_checkpoint() -> bytes:
    file = io.BytesIO()
    torch.save({"model": {"weight": torch.zeros(2, 3), "bias": torch.ones(3)}}, file)
    return file.getvalue()


def _seed_pickle() -> bytes:
    return pickle.dumps({"model": {"weight": np.zeros((2, 3), np.float32)}, "__author__": "x"})


def _seed_layout() -> bytes:
    content = {"thing_classes": ["cat", "dog"], "thing_colors": [[1, 2, 3], [4, 5, 6]]}
    return json.dumps({**content, "num_frames": 9, "num_known_frames": 3}).encode()


def _seed_log() -> bytes:
    actions = [
        {"id": 1, "do": "masks", "frames": {"0": [1, 2]}},
        {"id": 2, "do": "clear", "start": 0, "end": None, "objects": [1]},
        {"id": 3, "do": "undo", "of": 2},
    ]
    return b"".join(json.dumps(action).encode() + b"\n" for action in actions)


def _seed_settings() -> bytes:
    return json.dumps({"seed": 3, "options": {"size": [32, 48]}}).encode()


READERS = {
    "config": Reader("config.yaml", _seed_config, mutate_yaml, _read_config),
    "array": Reader("mask.npy", _seed_array, mutate_array, _read_array),
    "picture": Reader("image_0.png", _seed_picture, mutate_png, _read_picture),
    "mask": Reader("mask.png", lambda: _seed_picture("P"), mutate_png, _read_mask),
    "object_map": Reader("map.png", lambda: _seed_picture("P"), mutate_png, _read_object_maps),
    "log": Reader("actions.jsonl", _seed_log, mutate_lines, _read_log),
    "checkpoint": Reader("x.pth", _seed_checkpoint, mutate_checkpoint, _read_checkpoint),
    "pickle": Reader("x.pkl", _seed_pickle, mutate_pickle, _read_pickle),
    "layout": Reader("dataset.json", _seed_layout, mutate_json, _read_layout),
    "settings": Reader("settings.json", _seed_settings, mutate_json, _read_settings),
}


def fuzz(name: str, folder: Path, options: list[str]) -> None:
    """Feed one reader until its time is over; a fault ends the process.

    Args:
        name: of the reader.
        folder: for the file and for the inputs that reach new lines.
        options: of libFuzzer.
    """
    import atheris

    reader = READERS[name]
    with atheris.instrument_imports(include=["vps_d2", "yaml"]):
        read = reader.make()
        from vps_d2.io.errors import UserError
    path = folder / reader.file
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "valid").write_bytes(reader.seed())

    def test_one_input(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read(path)
        except UserError as error:
            if not str(error).endswith("."):
                raise AssertionError(f"not a sentence: {error}") from error

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        # Any bytes seldom have the right checksums and lengths.
        if random.random() < 0.7:
            try:
                return reader.mutate(data, random)[:max_size]
            except Exception:  # no longer of this kind
                pass
        return atheris.Mutate(data, max_size)

    atheris.Setup([name, *options, str(corpus)], test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


def _run(name: str, seconds: int) -> bool:
    """Feed a reader in its own process, say what came of it, and return whether it is sound."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.hostile.coverage", name, folder, *_LIMITS]
        kept = ROOT / "output" / "fuzz" / f"{name}_"
        kept.parent.mkdir(parents=True, exist_ok=True)
        command += [f"-max_total_time={seconds}", f"-artifact_prefix={kept}"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    said = done.stdout
    if done.returncode:
        raised = said.rpartition("Uncaught Python exception")[2]
        print(f"{name}: fault; its input is {kept}*\n{raised[:3000]}", flush=True)
        return False
    count = re.findall(r"number_of_executed_units: (\d+)", said)
    reached = re.findall(r"cov: (\d+)", said)
    print(f"{name}: {count[-1]} inputs, {reached[-1]} places reached, no fault", flush=True)
    return True


def main(argv: list[str]) -> int:
    """Feed all readers, or, as their processes do, one."""
    if argv and argv[0] in READERS:
        fuzz(argv[0], Path(argv[1]), argv[2:])
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed or has no wheel for this Python: no coverage guidance.")
        return 0
    seconds = int(argv[0]) if argv else _SECONDS
    return 0 if all([_run(name, seconds) for name in READERS]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
