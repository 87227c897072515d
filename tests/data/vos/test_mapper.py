"""VOSClipMapper: made clips, clips of stills, and clips cut out of videos."""

import cv2
import numpy as np
import pytest
import torch

from vps_d2.config.checks import check_values
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.data.loader import build_train_loader
from vps_d2.data.mappers import build_mapper
from vps_d2.data.vos.augment import ClipAugmentation
from vps_d2.data.vos.maps import write_object_map
from vps_d2.io.errors import UserError

SIZE = (48, 64)


def config(**changes):
    cfg = get_vps_cfg()
    cfg.INPUT.MAPPER = "VOSClipMapper"
    cfg.INPUT.CLIP.NUM_FRAMES = 3
    cfg.INPUT.VOS.SIZE = SIZE
    cfg.SEED = 5
    cfg.DATASETS.TRAIN = ("vos_procedural",)
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.DATALOADER.NUM_WORKERS = 0
    for key, value in changes.items():
        cfg.INPUT.VOS[key] = value
    check_values(cfg)
    return cfg


def video_record(folder, count=12, step=1, size=(60, 90), labeled=None):
    """Write a video whose frames have the brightness of their index, with a square in the map."""
    record = {"video_id": 3, "video_name": "v", "num_frames": count, "frame_step": step}
    record["file_names"], record["object_map_file_names"] = [], []
    object_map = np.zeros(size, np.uint8)
    object_map[10:50, 20:70] = 7
    for index in range(count):
        path = folder / f"{index:05d}.png"
        cv2.imwrite(str(path), np.full((*size, 3), 10 * index, np.uint8))
        record["file_names"].append(str(path))
        map_path = None
        if labeled is None or index in labeled:
            map_path = str(folder / f"map_{index:05d}.png")
            write_object_map(map_path, object_map)
        record["object_map_file_names"].append(map_path)
    return record


def indices(images):
    """Return which frames of :func:`video_record` a clip has, roughly, by their brightness."""
    return [round(image.float().amax().item() / 10) for image in images]


def test_training_batches_depend_on_the_seed_alone():
    batches = [next(iter(build_train_loader(config()))) for _ in range(2)]
    for one, other in zip(*batches, strict=True):
        assert one["images"].shape == (3, 3, *SIZE)
        assert one["images"].dtype == one["object_maps"].dtype == torch.uint8
        assert one["object_maps"].shape == (3, *SIZE)
        first, second, third = one["frame_indices"]
        assert first == 0 and 1 <= second <= 10 and 1 <= third - second <= 10
        assert torch.equal(one["images"], other["images"])
    assert not torch.equal(batches[0][0]["images"], batches[0][1]["images"])


def test_the_largest_gap_follows_the_iterations():
    cfg = config(MAX_GAPS=(5, 10, 20), GAP_STEPS=(0.1, 0.5))
    cfg.SOLVER.MAX_ITER = 1000
    mapper = build_mapper(cfg, is_train=True)
    gaps = [mapper.max_gap(position) for position in (0, 199, 200, 999, 1000, 9999)]
    assert gaps == [5, 5, 10, 10, 20, 20]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SIZE", (48,)),
        ("SIZE", (48, 8)),
        ("MAX_OBJECTS", 256),
        ("MAX_GAPS", (5, 10)),
        ("MAX_GAPS", (0,)),
        ("GAP_STEPS", (0.5, 0.1)),
        ("REVERSE", 1.5),
        ("MIN_CROP", 0.0),
        ("FAR_SHARE", -0.1),
        ("FAR_GAPS", (9, 7)),
    ],
)
def test_settings_out_of_range_are_refused(key, value):
    with pytest.raises(UserError, match=r"INPUT\.VOS\.(SIZE|F|M|G|R)[A-Z_]* must be"):
        config(**{key: value})


def test_clips_of_a_video_keep_the_gap_and_number_objects_from_1(tmp_path):
    record = video_record(tmp_path)
    mapper = build_mapper(config(MAX_GAPS=(3,), REVERSE=0.0, GRAY=0.0), is_train=True)
    gaps = []
    for seed in range(6):
        np.random.seed(seed)
        sample = mapper(record)
        assert sample["images"].shape == (3, 3, *SIZE)
        assert set(sample["object_maps"].unique().tolist()) <= {0, 1}
        assert (sample["object_maps"][0] == 1).any()
        shown = indices(sample["images"])
        assert sample["frame_indices"] == pytest.approx(shown, abs=1)
        gaps += np.diff(sample["frame_indices"]).tolist()
    assert set(gaps) == {1, 2, 3}
    assert sample["video_id"] == 3


def test_a_clip_can_be_reversed(tmp_path):
    record = video_record(tmp_path)
    np.random.seed(1)
    mapper = build_mapper(config(MAX_GAPS=(4,), REVERSE=1.0), is_train=True)
    sample = mapper(record)
    assert sample["frame_indices"] == sorted(sample["frame_indices"], reverse=True)
    assert sample["frame_indices"] == pytest.approx(indices(sample["images"]), abs=1)


def test_only_frames_with_a_map_are_taken_in_training(tmp_path):
    record = video_record(tmp_path, step=5, labeled=(0, 5, 10))
    mapper = build_mapper(config(MAX_GAPS=(5,), REVERSE=0.0), is_train=True)
    np.random.seed(2)
    sample = mapper(record)
    assert indices(sample["images"]) == pytest.approx([0, 5, 10], abs=1)
    assert sample["frame_indices"] == [0, 5, 10]


def test_frames_that_were_left_out_of_a_video_count(tmp_path):
    sample = build_mapper(config(), is_train=False)(video_record(tmp_path, count=3, step=5))
    assert sample["frame_indices"] == [0, 5, 10]


@pytest.mark.parametrize("count", [1, 2])
def test_frames_of_a_short_video_are_taken_again(tmp_path, count):
    record = video_record(tmp_path, count=count)
    assert build_mapper(config(), is_train=True)(record)["images"].shape[0] == 3


def test_a_video_is_evaluated_as_a_whole_with_its_own_numbers(tmp_path):
    record = video_record(tmp_path, labeled=(0,))
    sample = build_mapper(config(), is_train=False)(record)
    assert sample["images"].shape == (12, 3, 60, 90)
    assert indices(sample["images"]) == sample["frame_indices"] == list(range(12))
    assert sample["object_maps"][0, 30, 40] == 7
    assert not sample["object_maps"][1:].any()


def test_a_made_clip_is_evaluated_the_same_each_time():
    mapper = build_mapper(config(), is_train=False)
    record = {"video_id": 4, "clip_source": (None, None)}
    state = np.random.get_state()[1].copy()
    one, other = mapper(record), mapper(record)
    assert torch.equal(one["images"], other["images"])
    assert np.array_equal(state, np.random.get_state()[1])
    assert not torch.equal(one["images"], mapper({**record, "video_id": 5})["images"])


def test_the_first_step_of_a_made_clip_can_be_a_long_one():
    mapper = build_mapper(config(MAX_GAPS=(2,), FAR_SHARE=0.5, FAR_GAPS=(7, 9)), is_train=True)
    steps = []
    for seed in range(8):
        np.random.seed(seed)
        steps.append(np.diff(mapper({"video_id": 4, "clip_source": (None, None)})["frame_indices"]))
    first, second = zip(*steps, strict=True)
    assert set(first) <= {1, 2, 7, 8, 9} and min(first) <= 2 and max(first) >= 7
    assert set(second) <= {1, 2}


def test_a_still_becomes_a_clip(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (80, 100, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    mask = np.zeros((80, 100), np.uint8)
    mask[20:60, 30:70] = 200
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    record = {
        "video_id": 0,
        "file_name": str(tmp_path / "a.png"),
        "object_map_file_name": str(tmp_path / "mask.png"),
    }
    sample = build_mapper(config(), is_train=True)(record)
    assert sample["object_maps"].shape == (3, *SIZE)
    assert sample["object_maps"][0].max() == 1


def test_a_frame_of_another_size_is_a_fault(tmp_path):
    record = video_record(tmp_path, count=3)
    cv2.imwrite(record["file_names"][1], np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(UserError, match="20"):
        build_mapper(config(REVERSE=0.0), is_train=True)(record)


def test_augmentation_moves_frames_and_maps_alike():
    augment = ClipAugmentation(SIZE, min_crop=0.6, gray=1.0)
    frame = np.zeros((70, 100, 3), np.uint8)
    frame[20:50, 30:80] = (200, 100, 150)
    object_map = (frame[..., 0] > 0).astype(np.uint8)
    for seed in range(5):
        frames, maps = augment(np.random.default_rng(seed), [frame] * 2, [object_map] * 2)
        assert np.all(frames[..., 0] == frames[..., 1])  # gray
        shown = frames[..., 0] > (int(frames.min()) + int(frames.max())) / 2
        assert (shown & (maps > 0)).sum() > 0.9 * (shown | (maps > 0)).sum()
        assert np.any(frames[0] != frames[1])
