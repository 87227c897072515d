"""The page docs/label.md: label a clip, train on it, and segment another, on small videos."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, forget_pets, load_tool
from tests.inference.vos.stub import draw, truth, write_clip

PAGE = (ROOT / "docs/label.md").read_text(encoding="utf-8")
FILE = re.compile(r"```(?:python|yaml)\n# (pets/\S+)\n(.*?)```", re.DOTALL)
SHORT = {
    "train": "SOLVER.MAX_ITER 1 SOLVER.IMS_PER_BATCH 1 SOLVER.WARMUP_ITERS 0 TEST.NUM_PICTURES 0 "
    "DATALOADER.NUM_WORKERS 0 SOLVER.AMP.ENABLED False MODEL.RESNETS.WIDTH_PER_GROUP 8 "
    "MODEL.RESNETS.RES2_OUT_CHANNELS 32",
    "segment": "--format png --no-overlay --device cpu",
    "propagate": "--engine flow",
    "eval-interactive": "--rounds 1 --engine flow --device cpu",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_from_the_first_mask_to_the_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    forget_pets()
    for name in ("clip", "other"):
        write_clip(tmp_path / f"{name}.mp4", 8)
    Image.fromarray(truth(0)).save("first.png")
    Image.fromarray(truth(5)).save("other.png")
    Path("datasets/true_masks/clip").mkdir(parents=True)
    for index in range(8):
        Image.fromarray(truth(index)).save(f"datasets/true_masks/clip/{index:05d}.png")
    for name in ("frames", "masks"):
        Path(f"datasets/DAVIS/clip/{name}").mkdir(parents=True)
    for index in range(4):
        Image.fromarray(truth(index)).save(f"datasets/DAVIS/clip/masks/{index:05d}.png")
        Image.fromarray(draw(index)).save(f"datasets/DAVIS/clip/frames/{index:05d}.png")
    for path, text in FILE.findall(PAGE):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    text = "".join(blocks("bash")).replace("\\\n", " ").replace("57=", "5=")
    lines = re.sub(r"\$\(cat .*?\)", "clip", text).splitlines()
    for words in (shlex.split(line) for line in lines if line):
        assert words[0] == "vps-d2"
        extra = SHORT.get(words[1], "").split()
        load_tool(words[1].replace("-", "_")).main([*words[2:], *extra])
    assert sorted(path.name for path in Path("datasets/pets").iterdir()) == [
        *("dataset.json", "video_0", "ytvis.json")
    ]
    assert json.loads(Path("datasets/pets/dataset.json").read_text())["thing_classes"] == [
        *("ball", "dog")
    ]
    assert len(np.load("datasets/pets/video_0/mask.npy")) == 8
    assert json.loads(Path("output/segmented/other/segmentation.json").read_text())["complete"]
    assert json.loads(Path("output/labels/scores.json").read_text())["J"] > 0.2
    scores = json.loads(Path("output/interactive/scores.json").read_text())
    assert len(scores["rounds"]["J&F"]) == 1
    capsys.readouterr()
    example = next(text for text in blocks("python") if not text.startswith("#"))
    exec(compile(example.replace("(40, 57)", "(4, 6)"), "label.md", "exec"), {})
    assert capsys.readouterr().out.startswith("0 {1: 1.0}\n1 {1: ")
    assert len(json.loads(Path("output/pets.json").read_text())["images"]) == 8
