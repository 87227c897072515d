"""The cases: a folder of valid files of every kind that is read, and which command reads each."""

import pickle
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import write_tiny_videos
from tests.helpers import ROOT, load_tool
from tests.hostile.mutations import (
    VALUES,
    mutate_array,
    mutate_bytes,
    mutate_checkpoint,
    mutate_json,
    mutate_lines,
    mutate_pickle,
    mutate_png,
    mutate_text,
    mutate_yaml,
)
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.data.layout import VPS_LAYOUT
from vps_d2.data.synthetic import make_tracks
from vps_d2.data.vos.maps import write_object_map
from vps_d2.inference.hidden import HiddenInference
from vps_d2.inference.vos import propagation
from vps_d2.inference.vos.maps import SessionMaps
from vps_d2.io.files import write_json
from vps_d2.modeling.build import build_model

_VIDEOS = "data/vps"
_PREDICT = f"predict --config-file pipeline.yaml --input {_VIDEOS}/hidden --output out"
_EVALUATE = (
    f"evaluate --pred result/hidden_masks.npy --truth {_VIDEOS}/val --json out/scores.json "
    f"--pred-frames result/frames --truth-frames {_VIDEOS}/val"
)
_TRAIN = "train --config-file simvp.yaml OUTPUT_DIR out"
_LABEL = f"label --config-file unet.yaml --input {_VIDEOS}/unlabeled --output out --threshold 0"
_GENERATE = f"generate --config-file simvp.yaml --input {_VIDEOS}/val --output out --frames 12"
_MAKE = "make-synthetic --out out --hidden 1 --height 32 --width 48 --workers 1"
_TRACK = "make-tracks --out out --videos 2 --workers 1"
_MEASURE = f"compute-mean-std --data {_VIDEOS}/train --out out/measured.yaml"
_COMPARE = "leaderboard --data data/vps --split val --configs methods --out out"
_SPLIT = f"split-errors --config-file objects.yaml --data {_VIDEOS}/val --json out/errors.json"
_FOLLOW = f"propagate {_VIDEOS}/train/video_00000 --mask first.png --engine flow --output out"
_FOLLOWED = "out/video_00000/session"
_JUDGE = "evaluate-vos truth followed --sequences video_00000 --json out/scores.json"
_PICTURES = "train --config-file pictures.yaml --import pictures.py OUTPUT_DIR out"


@dataclass(frozen=True)
class Kind:
    """One kind of file, and a command that reads it and writes to ``out`` alone.

    Args:
        file: that is changed; "" changes a key of the configuration instead.
        mutate: how.
        command: run where the files are; "" for one in which an argument is changed.
        weight: how often it is chosen: less if it takes long.
        begun: folder that ``out`` is a copy of.
        damage_shows: whether a result has to be that of the valid file.
    """

    file: str
    mutate: Callable[[bytes, Random], bytes]
    command: str
    weight: int = 4
    begun: str = ""
    damage_shows: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("unet.pth", mutate_checkpoint, _PREDICT, 6),
    Kind("unet.pth", mutate_bytes, _PREDICT, 4, damage_shows=True),
    Kind(
        "unet.pth",
        mutate_checkpoint,
        "export-weights --output out/half.pth --checkpoint unet.pth",
        4,
    ),
    Kind("unet.pkl", mutate_pickle, f"{_PREDICT} PIPELINE.SEGMENTER.WEIGHTS unet.pkl", 6),
    Kind("pipeline.yaml", mutate_yaml, _PREDICT, 5),
    Kind("unet.yaml", mutate_yaml, _PREDICT, 5),
    Kind(f"{_VIDEOS}/hidden/video_00006/image_3.png", mutate_png, _PREDICT),
    Kind(f"{_VIDEOS}/train/video_00000/image_3.png", mutate_png, f"check-dataset {_VIDEOS}", 6),
    Kind(f"{_VIDEOS}/train/video_00001/mask.npy", mutate_array, f"check-dataset {_VIDEOS}", 8),
    Kind(f"{_VIDEOS}/dataset.json", mutate_json, f"check-dataset {_VIDEOS}", 6),
    Kind("result/hidden_masks.npy", mutate_array, _EVALUATE, 5),
    Kind("result/predictions.json", mutate_json, _EVALUATE, 5),
    Kind("result/videos.txt", mutate_text, _EVALUATE, 3),
    Kind("result/frames/video_00002.npy", mutate_array, _EVALUATE),
    Kind(f"{_VIDEOS}/val/video_00003/mask.npy", mutate_array, _EVALUATE, 3),
    Kind(
        *("out/parts/progress_0_of_1", mutate_json, f"{_PREDICT} --resume"),
        begun="begun",
        damage_shows=True,
    ),
    Kind(
        *("out/parts/masks_0_of_1", mutate_bytes, f"{_PREDICT} --resume", 3),
        begun="begun",
        damage_shows=True,
    ),
    Kind("out/labels.json", mutate_json, f"{_LABEL} MODEL.WEIGHTS unet.pth", 3, "labeled"),
    Kind("simvp.yaml", mutate_yaml, f"{_GENERATE} MODEL.WEIGHTS simvp.pth", 3),
    Kind("out/synthetic.json", mutate_json, _MAKE, 3, "made"),
    Kind(
        f"{_VIDEOS}/val/video_00003/mask.npy",
        mutate_array,
        f"visualize --output out --videos 1 --input {_VIDEOS}/val/video_00003",
        1,
    ),
    Kind("tracks_00000.npy", mutate_array, "train --config-file tracks.yaml OUTPUT_DIR out", 3),
    Kind("simvp.yaml", mutate_yaml, _TRAIN, 3),
    Kind("out/model_0000001.pth", mutate_checkpoint, f"{_TRAIN} --resume", 4, "trained"),
    Kind("out/last_checkpoint", mutate_text, f"{_TRAIN} --resume", 1, "trained"),
    Kind("out/last_evaluation", mutate_text, f"{_TRAIN} --resume", 1, "trained"),
)

KINDS += (
    Kind("out/tracks.json", mutate_json, _TRACK, 3, "tracked"),
    Kind("out/tracks_00000.npy", mutate_array, _TRACK, 3, "tracked"),
    Kind(f"{_VIDEOS}/train/video_00000/image_3.png", mutate_png, _MEASURE, 3),
    Kind("out/measured.yaml", mutate_yaml, _MEASURE, 3, "measured"),
    Kind("methods/unet.yaml", mutate_yaml, _COMPARE, 4),
    Kind(f"{_VIDEOS}/val/video_00003/mask.npy", mutate_array, _COMPARE, 3),
    Kind("objects.yaml", mutate_yaml, _SPLIT, 4),
    Kind(f"{_VIDEOS}/val/video_00003/mask.npy", mutate_array, _SPLIT, 3),
    Kind("pictures/mask_1.png", mutate_png, _PICTURES, 5),
    Kind("pictures/mask_2.png", mutate_png, _PICTURES, 3),
    Kind("pictures/frame_1.png", mutate_png, _PICTURES, 2),
    Kind("first.png", mutate_png, f"{_FOLLOW} --mask 9=first.png --name 1=cube", 4),
    Kind("out/video_00000/propagation.json", mutate_json, f"{_FOLLOW} --resume", 3, "stopped"),
    Kind(f"{_FOLLOWED}/session.json", mutate_json, f"{_FOLLOW} --resume", 4, "stopped"),
    Kind(f"{_FOLLOWED}/actions.jsonl", mutate_lines, f"{_FOLLOW} --resume", 6, "stopped"),
    Kind(f"{_FOLLOWED}/masks/000001/000000.png", mutate_png, f"{_FOLLOW} --resume", 3, "stopped"),
    Kind(f"{_FOLLOWED}/frames/000002/000003.png", mutate_png, f"{_FOLLOW} --resume", 3, "stopped"),
    Kind(
        f"{_FOLLOWED}/frames/000002/state.pt",
        mutate_checkpoint,
        f"{_FOLLOW} --resume",
        6,
        "stopped",
    ),
    Kind("truth/video_00000/000003.png", mutate_png, _JUDGE, 3),
    Kind("followed/video_00000/masks/000004.png", mutate_png, _JUDGE, 3),
    Kind("", mutate_bytes, _PREDICT, 6),
    Kind("", mutate_bytes, f"{_GENERATE} MODEL.WEIGHTS simvp.pth", 6),
    Kind("", mutate_bytes, f"{_TRAIN} SOLVER.MAX_ITER 1", 6),
    Kind("", mutate_bytes, "", 20),
)
# Any of their values that can be asks for a run that takes long, or elsewhere.
_NOT_CHANGED = {
    *("SOLVER.MAX_ITER", "SOLVER.IMS_PER_BATCH", "DATALOADER.NUM_WORKERS", "OUTPUT_DIR"),
    *("PIPELINE.SEGMENTER", "PIPELINE.PREDICTOR", "PIPELINE.MASK_PREDICTOR"),
}


ARGUMENTS: tuple[str, ...] = (
    *(f"{_TRACK} --seed 1 --physics-jitter 0.4", f"{_MAKE} --seed 1 --train 0"),
    *(f"{_PREDICT} --shard 0/1 --gif 1 --batch-size 2", f"{_GENERATE} --batch-size 2"),
    f"{_LABEL} --shard 0/1 --batch-size 2 MODEL.WEIGHTS unet.pth",
    f"visualize --output out --videos 1 --fps 5 --input {_VIDEOS}/val",
    *(_COMPARE, _SPLIT, _MEASURE, _EVALUATE, f"{_PREDICT} --import pictures.py"),
    f"{_FOLLOW} --objects 1 --name 1=cube --start 0 --end 9 --short-side 24 --direction both",
    *(f"{_FOLLOW} --dataset out/labels --rate 5 --device cpu", f"{_JUDGE} --import pictures.py"),
    "export-weights --output out/half.pth --checkpoint unet.pth",
)
"""Commands of which the value of an option is changed."""

_WORDS = (
    *("", " ", "-1", "0", "-0", "1e3", "0.5", "nan", "inf", "-inf", "1e999", "9" * 30, "9" * 5000),
    *("x", "1/0", "5/3", "-1/2", "0,0", "12", "\x1b[2J", "\nerror: forged.", "\udcff", "y" * 5000),
    *("/dev/zero", "/dev/full", "/dev/null/x", "pipeline.yaml", "pipeline.yaml/x", "absent"),
    *("http://127.0.0.1:9/x", "package://x", "~x", "-", "\u0663", "json.py", "a.b", "\0"),
)
_OUTPUTS = (
    *("/dev/full", "/dev/null", "/dev/null/x", "pipeline.yaml/x", "y" * 5000, "\0"),
    *("out/\x1b[2J", "out/\udcff", "out/\nerror: forged.", "out/x/y"),
)


def change_an_argument(random: Random) -> list[str]:
    """Return a command line in which the value of an option is another."""
    words = random.choice(ARGUMENTS).split()
    places = [index for index, word in enumerate(words) if word.startswith("--")]
    place = random.choice(places)
    is_output = words[place] in ("--out", "--output", "--json", "--dataset")
    words[place + 1] = random.choice(_OUTPUTS if is_output else _WORDS)
    return words


def change_a_key(random: Random) -> list[str]:
    """Return an override of a random key, as words of a command line."""
    leaves = {key: value for key, value in _leaves(get_vps_cfg()) if key not in _NOT_CHANGED}
    ours = [key for key in leaves if key.split(".")[1:2] and key.split(".")[1] in _OURS]
    key = random.choice(random.choice((list(leaves), ours)))
    like = _LIKE.get(type(leaves[key]), VALUES)
    value = str(random.choice(random.choice((VALUES, like, like)))).replace("\0", "")
    return [key, value[:100_000]]


_LIKE: dict[type, tuple[Any, ...]] = {
    int: (0, -1, 1, 2, 3, 7, 2**31, 10**12),
    float: (0.0, -1.0, 0.5, 2.0, 1e-300, 1e300, "1e999"),
    tuple: ((), (0,), (1,), (-1, 2), (3, 5), (0.5,), ("x",), ((1, 2),), (2,) * 9),
    list: ([], [0.0], [1.0, 2.0, 3.0], ["x"], [-1.0, 0.0, 1e300]),
    str: ("", "x", "UNet", "SimVP", "cpu", "cuda", "RGB", "BGR", "IncepU", "float16", "AdamW"),
    bool: (True, False),
}
_OURS = ("SIMVP", "UNET", "BLUR", "AMP", "FRAMESKIP", "SEGMENTER", "TARGET_FRAME", "DEVICE")


def _leaves(cfg: CfgNode, above: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in cfg.items():
        inner = isinstance(value, CfgNode)
        leaves += _leaves(value, f"{above}{key}.") if inner else [(f"{above}{key}", value)]
    return leaves


_SIMVP = f"""_BASE_: {ROOT}/configs/instant_test/simvp_instant_test.yaml
MODEL: {{SIMVP: {{HIDDEN_SPATIAL: 2, HIDDEN_TEMPORAL: 4}}, DEVICE: cpu}}
DATASETS: {{TRAIN: [vps_train], TEST: [vps_val]}}
SOLVER: {{MAX_ITER: 2, CHECKPOINT_PERIOD: 1}}
TEST: {{PICTURE_PERIOD: 0, EVALUATORS: []}}
VERSION: 2
"""
_TRACKS = f"""_BASE_: {ROOT}/configs/instant_test/object_dynamics_instant_test.yaml
DATASETS: {{TRAIN: [vps_tracks_train], TEST: []}}
DATALOADER: {{NUM_WORKERS: 0}}
SOLVER: {{MAX_ITER: 1}}
TEST: {{PICTURE_PERIOD: 0, EVALUATORS: []}}
VERSION: 2
"""
_UNET = f"""_BASE_: {ROOT}/configs/instant_test/unet_instant_test.yaml
MODEL: {{DEVICE: cpu, WEIGHTS: unet.pth}}
VERSION: 2
"""
_OBJECTS = f"""_BASE_: {ROOT}/configs/pipeline/unet_object_dynamics.yaml
MODEL: {{DEVICE: cpu}}
PIPELINE: {{BATCH_SIZE: 1, SEGMENTER: {{CONFIG_FILE: unet.yaml, WEIGHTS: unet.pth}}}}
VERSION: 2
"""
_FRAMES = f"""_BASE_: {ROOT}/configs/instant_test/unet_instant_test.yaml
DATASETS: {{TRAIN: [pictures_train], TEST: [pictures_test]}}
MODEL: {{DEVICE: cpu}}
SOLVER: {{MAX_ITER: 1}}
TEST: {{EVAL_PERIOD: 1, PICTURE_PERIOD: 1}}
VERSION: 2
"""
# A data set in Detectron2's form.
_REGISTER = """
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog

def load(numbers):
    return [
        {"file_name": f"pictures/frame_{n}.png", "sem_seg_file_name": f"pictures/mask_{n}.png",
         "height": 32, "width": 48, "image_id": n}
        for n in numbers
    ]

for name, numbers in (("pictures_train", (0, 1)), ("pictures_test", (2,))):
    DatasetCatalog.register(name, lambda numbers=numbers: load(numbers))
    MetadataCatalog.get(name).set(thing_classes=["cat", "dog", "cow"])
"""
_PIPELINE = """MODEL: {DEVICE: cpu}
INPUT: {NUM_KNOWN_FRAMES: 11}
PIPELINE:
  TARGET_FRAME: 22
  BATCH_SIZE: 1
  SEGMENTER: {CONFIG_FILE: unet.yaml, WEIGHTS: unet.pth}
VERSION: 2
"""


class _Killed(BaseException):
    """Ends a run at once."""


def write_valid_files(folder: Path) -> None:
    """Write the files of :data:`KINDS` to a folder that is the working folder."""
    videos = write_tiny_videos(folder / _VIDEOS)
    taxonomy = VPS_LAYOUT.taxonomy
    write_json(
        videos / "dataset.json",
        {
            "thing_classes": taxonomy.thing_classes,
            "thing_colors": taxonomy.colors,
            "thing_groups": taxonomy.groups,
            "one_object_per_class": True,
            "num_frames": 22,
            "num_known_frames": 11,
        },
    )
    for name, text in (("simvp", _SIMVP), ("tracks", _TRACKS), ("unet", _UNET)):
        (folder / f"{name}.yaml").write_text(text)
    (folder / "pipeline.yaml").write_text(_PIPELINE)
    (folder / "objects.yaml").write_text(_OBJECTS)
    _write_pictures(folder)
    torch.manual_seed(0)
    for name in ("unet", "simvp"):
        weights = build_model(load_config(f"{name}.yaml")).state_dict()
        torch.save({"model": weights}, f"{name}.pth")
        arrays = {key: value.numpy() for key, value in weights.items()}
        zoo = {"model": arrays, "__author__": "somebody", "matching_heuristics": True}
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(zoo))
    make_tracks(videos / "tracks_train", 3, workers=1)
    (videos / "tracks_train" / "tracks_00000.npy").rename("tracks_00000.npy")
    (videos / "tracks_train" / "tracks_00000.npy").symlink_to(folder / "tracks_00000.npy")
    _run(_PREDICT.replace("--output out", "--output result"))
    _write_predicted_frames(folder / "result")
    _stop_predicting()
    _follow()
    _run(f"{_LABEL} MODEL.WEIGHTS unet.pth".replace("--output out", "--output labeled"))
    _run(_MAKE.replace("--out out", "--out made"))
    _run(_TRACK.replace("--out out", "--out tracked"))
    _run(_MEASURE.replace("--out out", "--out measured"))
    (folder / "methods").mkdir()
    (folder / "methods" / "unet.yaml").write_text(_PIPELINE.replace("unet.", "../unet."))
    _run("train --config-file simvp.yaml OUTPUT_DIR trained")
    for path in (folder / "trained").iterdir():  # as if it was killed after the first iteration
        if path.name.startswith(("model_final", "events")):
            path.unlink()
    torch.save(torch.load("trained/model_0000000.pth"), "trained/model_0000001.pth")
    (folder / "trained" / "last_checkpoint").write_text("model_0000001.pth")


def _write_pictures(folder: Path) -> None:
    """Write frames and masks as pictures, and what registers them as a data set."""
    (folder / "pictures.yaml").write_text(_FRAMES)
    (folder / "pictures.py").write_text(_REGISTER)
    (folder / "pictures").mkdir()
    for number in range(3):
        gray = np.full((32, 48), 40 * number, np.uint8)
        Image.fromarray(np.stack([gray] * 3, axis=2)).save(f"pictures/frame_{number}.png")
        mask = Image.fromarray((gray > 0).astype(np.uint8) + number)
        mask.putpalette(range(30))
        mask.save(f"pictures/mask_{number}.png")


def _write_predicted_frames(result: Path) -> None:
    """Let the result of a pipeline without a predictor be of the labeled videos, frames and all."""
    (result / "videos.txt").write_text("video_00002\nvideo_00003\n")
    (result / "frames").mkdir()
    for number in (2, 3):
        frames = np.full((11, 32, 48, 3), 100, np.uint8)
        np.save(result / "frames" / f"video_{number:05d}.npy", frames)
    described: dict[str, Any] = {"num_known": 11, "frames": list(range(12, 23)), "mask_frame": 22}
    names = list(VPS_LAYOUT.taxonomy.thing_classes)
    write_json(result / "predictions.json", {**described, "classes": names})


def _follow() -> None:
    """Follow objects, once to the end and once until half of the frames are done."""
    object_map = np.zeros((32, 48), np.uint8)
    object_map[4:16, 6:20], object_map[12:30, 24:40] = 1, 2
    write_object_map("first.png", object_map)
    _run(_FOLLOW.replace("--output out", "--output followed"))
    shutil.copytree("followed/video_00000/masks", "truth/video_00000")
    with pytest.MonkeyPatch.context() as patch, suppress(_Killed):
        patch.setattr(propagation, "_MIN_PAUSE", 0.0)
        write = SessionMaps.write

        def stop(maps: SessionMaps, path: Path, *found: Any) -> None:
            if path.stem == "000011":
                raise _Killed
            write(maps, path, *found)

        patch.setattr(SessionMaps, "write", stop)
        _run(_FOLLOW.replace("--output out", "--output stopped"))


def _stop_predicting() -> None:
    done = HiddenInference._join
    HiddenInference._join = lambda self: (_ for _ in ()).throw(_Killed)  # type: ignore[method-assign, assignment]
    try:
        with suppress(_Killed):
            _run(_PREDICT.replace("--output out", "--output begun"))
    finally:
        HiddenInference._join = done  # type: ignore[method-assign]


def _run(command: str) -> None:
    name, *arguments = command.split()
    load_tool(name.replace("-", "_")).main(arguments)
