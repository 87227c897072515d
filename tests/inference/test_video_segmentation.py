import csv
import json
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inference.test_tracking import make
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.evaluation.ytvis import evaluate_tubes
from vps_d2.inference.instance_models import InstanceModel
from vps_d2.inference.segmentation_results import ResultOptions
from vps_d2.inference.spool import decode_mask
from vps_d2.inference.video_segmentation import (
    SegmentOptions,
    VideoSegmentation,
    clean_results,
)
from vps_d2.io.errors import UserError
from vps_d2.io.video import open_video
from vps_d2.io.video_writing import VideoWriter

SIZE = (48, 64)
RED, GREEN = (200, 40, 40), (40, 200, 40)


class ColorModel(InstanceModel):
    """Finds what is red (class 2, "ball") and green (class 1, "box")."""

    taxonomy = Taxonomy(("box", "ball"))
    source = "colors"
    batch_size = 4

    def __init__(self, fail_at=None):
        self.fail_at, self.calls = fail_at, 0

    def __call__(self, frames):
        self.calls += 1
        if self.fail_at == self.calls:
            raise KeyboardInterrupt
        return [self.find(frame.astype(int)) for frame in frames]

    def find(self, frame):
        red, green, _ = np.moveaxis(frame, 2, 0)
        masks = {1: (red > 120) & (green < 100), 0: (green > 120) & (red < 100)}
        found = [(number, mask) for number, mask in masks.items() if mask.any()]
        classes, kept = zip(*found, strict=True) if found else ((), [])
        scores = [0.7 + 0.2 * number for number in classes]
        return make(list(kept), list(classes), scores, frame.shape[:2])

    def fingerprint(self):
        return "colors"


class TrackingModel(ColorModel):
    """Numbers the objects by itself, in the order in which it sees them since the last reset."""

    tracks = True

    def reset(self):
        self.known = {}

    def find(self, frame):
        instances = super().find(frame)
        numbers = [
            self.known.setdefault(c, len(self.known) + 5) for c in instances.pred_classes.tolist()
        ]
        instances.track_ids = torch.tensor(numbers, dtype=torch.int64)
        return instances


def draw(index):
    frame = np.full((*SIZE, 3), 90, np.uint8)
    frame[10:22, 2 + 2 * index : 14 + 2 * index] = RED
    if index >= 3:
        frame[30:42, 4:16] = GREEN
    return frame


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(path, *SIZE, Fraction(10)) as writer:
        for index in range(11):
            writer.write(draw(index), Fraction(index, 10))
    return path


def run(clip, output, model=None, resume=False, options=None, **results):
    segmentation = VideoSegmentation(
        *(open_video(clip), model or ColorModel(), output, options or SegmentOptions()),
        ResultOptions(**results),
    )
    return segmentation(resume)


def read_all(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_files_show_what_was_found(clip, tmp_path):
    done = run(clip, tmp_path / "out", lossless=True)
    assert done.num_frames == 11 and len(done.objects) == 2 and not done.notes
    ball, box = json.loads((tmp_path / "out/result.json").read_text())
    assert (ball["object"], ball["category"], ball["category_id"]) == (1, "ball", 1)
    assert (box["object"], box["category"], box["category_id"]) == (2, "box", 0)
    assert ball["score"] == pytest.approx(0.9) and box["score"] == pytest.approx(0.7)
    assert [rle is None for rle in box["segmentations"]] == [True] * 3 + [False] * 8
    rle = ball["segmentations"][4]
    mask = decode_mask(rle["counts"], SIZE)
    truth = (draw(4) == RED).all(2)
    assert rle["size"] == list(SIZE)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9

    names = sorted(path.name for path in (tmp_path / "out/masks").iterdir())
    assert names == [f"{index:06d}.png" for index in range(11)]
    with Image.open(tmp_path / "out/masks/000004.png") as picture:
        indices = np.array(picture)
        assert picture.mode == "P" and set(np.unique(indices)) == {0, 1, 2}
    assert ((indices == 1) == mask).all()
    lossless = [frame.picture[..., 0] for frame in open_video(tmp_path / "out/masks.mkv").frames()]
    assert len(lossless) == 11 and (lossless[4] == indices).all()
    overlay = open_video(tmp_path / "out/overlay.mp4")
    assert [frame.time for frame in overlay.frames()] == [Fraction(i, 10) for i in range(11)]

    with (tmp_path / "out/tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11 + 8
    row = next(row for row in rows if row["object"] == "2")
    assert (row["class"], row["frame_index"], row["time_s"]) == ("box", "3", "0.300000")
    assert abs(int(row["x"]) - 4) <= 1 and abs(int(row["area"]) - 144) < 30
    page = (tmp_path / "out/summary.html").read_text()
    assert "overlay.mp4" in page and page.count("<rect") == 2 and "ball" in page
    manifest = json.loads((tmp_path / "out/segmentation.json").read_text())
    assert manifest["complete"] and manifest["model"] == "colors"
    assert not list((tmp_path / "out").glob("*.part")) and not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("model", [ColorModel, TrackingModel])
@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_an_interrupted_run_goes_on_to_the_same_bytes(clip, tmp_path, model, fail_at):
    run(clip, tmp_path / "whole", model())
    with pytest.raises(KeyboardInterrupt):
        run(clip, tmp_path / "out", model(fail_at))
    assert not (tmp_path / "out/result.json").exists()
    second = model()
    run(clip, tmp_path / "out", second, resume=True)
    assert second.calls == (3 if model is TrackingModel else 4 - fail_at)
    assert read_all(tmp_path / "out") == read_all(tmp_path / "whole")


def test_a_run_killed_while_writing_goes_on_to_the_same_bytes(clip, tmp_path, monkeypatch):
    run(clip, tmp_path / "whole")
    from vps_d2.inference.segmentation_results import ResultWriter

    write = ResultWriter.write

    def fail(self, frame, picture):
        if frame.index == 6:
            raise KeyboardInterrupt
        write(self, frame, picture)

    monkeypatch.setattr(ResultWriter, "write", fail)
    with pytest.raises(KeyboardInterrupt):
        run(clip, tmp_path / "out")
    assert set(read_all(tmp_path / "out")) == {"segmentation.json", "instances.part"}
    monkeypatch.undo()
    second = ColorModel()
    run(clip, tmp_path / "out", second, resume=True)
    assert read_all(tmp_path / "out") == read_all(tmp_path / "whole")


def test_a_complete_run_is_not_done_again(clip, tmp_path):
    first = run(clip, tmp_path / "out")
    model = ColorModel()
    again = run(clip, tmp_path / "out", model, resume=True)
    assert model.calls == 0 and again.num_frames == first.num_frames
    assert [o.category_id for o in again.objects] == [o.category_id for o in first.objects]


def test_a_run_with_other_options_is_not_resumed_but_replaced(clip, tmp_path):
    run(clip, tmp_path / "out")
    with pytest.raises(UserError, match="another video, model or options"):
        run(clip, tmp_path / "out", resume=True, overlay=False)
    run(clip, tmp_path / "out", overlay=False, pictures=False)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"masks.mp4", "result.json", "tracks.csv", "summary.html", "segmentation.json"}


def test_files_of_somebody_else_are_kept(clip, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not written by an earlier run"):
        run(clip, tmp_path)
    assert read_all(tmp_path) == {"masks/mine.txt": b"mine"}


def test_clean_removes_what_was_written_and_nothing_else(clip, tmp_path):
    run(clip, tmp_path / "out")
    (tmp_path / "out/masks/mine.txt").write_text("mine")
    (tmp_path / "out/notes.txt").write_text("mine")
    removed = clean_results(tmp_path / "out")
    assert "result.json" in removed and "segmentation.json" in removed
    assert set(read_all(tmp_path / "out")) == {"masks/mine.txt", "notes.txt"}
    with pytest.raises(UserError, match="nothing was removed"):
        clean_results(tmp_path / "out")
    run(clip, tmp_path / "other")
    clean_results(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_clean_follows_no_path_of_a_forged_manifest(tmp_path):
    (tmp_path / "precious").write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    files = ["../precious", "/etc/hostname", "notes.txt"]
    (out / "segmentation.json").write_text(json.dumps({"files": files}))
    (out / "notes.txt").write_text("x")
    assert clean_results(out) == ["segmentation.json"]
    assert (tmp_path / "precious").exists() and (out / "notes.txt").exists()


def test_a_range_of_frames(clip, tmp_path):
    options = SegmentOptions(start=2, end=9, stride=3)
    done = run(clip, tmp_path, options=options)
    assert done.num_frames == 3
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == ["000002.png", "000005.png", "000008.png"]
    times = [frame.time for frame in open_video(tmp_path / "overlay.mp4").frames()]
    assert times == [0, Fraction(3, 10), Fraction(6, 10)]
    with pytest.raises(UserError, match="choose another range"):
        run(clip, tmp_path / "none", options=SegmentOptions(start=100))


def test_classes_and_the_number_of_objects(clip, tmp_path):
    only = run(clip, tmp_path / "classes", options=SegmentOptions(classes=(0,)))
    assert [each.category_id for each in only.objects] == [0]
    best = run(clip, tmp_path / "best", options=SegmentOptions(max_instances=1))
    assert [each.category_id for each in best.objects] == [1]
    page = (tmp_path / "best/summary.html").read_text()
    assert page.count("<rect") == 1


def test_colors(clip, tmp_path):
    for colors, expected in (("white", (255, 255, 255)), ("class", ColorModel.taxonomy.colors[1])):
        run(clip, tmp_path / colors, colors=colors, films=False, overlay=False)
        with Image.open(tmp_path / colors / "masks/000000.png") as picture:
            assert tuple(picture.getpalette()[3:6]) == expected
            assert picture.getpixel((8, 15)) == 1


def test_nothing_found(tmp_path):
    for index in range(3):
        Image.new("RGB", SIZE[::-1], (90, 90, 90)).save(tmp_path / f"{index}.png")
    done = run(tmp_path, tmp_path.with_name("out"))
    assert not done.objects
    out = tmp_path.with_name("out")
    assert json.loads((out / "result.json").read_text()) == []
    assert "None was found" in (out / "summary.html").read_text()
    assert len(list((out / "masks").iterdir())) == 3


def test_the_result_can_be_scored(clip, tmp_path):
    run(clip, tmp_path / "out")
    result = json.loads((tmp_path / "out/result.json").read_text())
    files = [f"{index}.png" for index in range(11)]
    truth = {
        "videos": [{"id": 1, "height": 48, "width": 64, "length": 11, "file_names": files}],
        "categories": [{"id": 0, "name": "box"}, {"id": 1, "name": "ball"}],
        "annotations": [
            {
                "id": number,
                "video_id": 1,
                "category_id": each["category_id"],
                "segmentations": each["segmentations"],
                "bboxes": [rle and [0, 0, 1, 1] for rle in each["segmentations"]],
                "areas": [rle and 1 for rle in each["segmentations"]],
                "iscrowd": 0,
            }
            for number, each in enumerate(result, 1)
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert evaluate_tubes(tmp_path / "truth.json", tmp_path / "out/result.json")[
        "AP"
    ] == pytest.approx(1)


def test_memory_does_not_grow_with_the_video(tmp_path):
    peaks = []
    for count in (100, 400):
        path = tmp_path / f"{count}.mp4"
        with VideoWriter(path, *SIZE, Fraction(10)) as writer:
            for index in range(count):
                writer.write(draw(index % 20), Fraction(index, 10))
        tracemalloc.start()
        run(path, tmp_path / f"out{count}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
