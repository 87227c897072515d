import numpy as np
import pytest

from tests.helpers import ROOT
from vps_d2.config import load_config
from vps_d2.data.clips import ClipSampler, ClipSpec, name_frames
from vps_d2.data.loader import build_mapper
from vps_d2.io.errors import UserError


def test_clip_without_frameskip_is_the_video():
    sampler = ClipSampler(ClipSpec(11, 11))
    indices, valid = sampler.sample(22)
    assert indices.tolist() == list(range(22)) and valid.all()


def test_frameskip_marks_targets_beyond_the_video():
    sampler = ClipSampler(ClipSpec(5, 8), strides=(2,))
    indices, valid = sampler.sample(22)
    assert indices.tolist() == list(range(0, 26, 2))
    assert valid.tolist() == [True] * 6 + [False] * 2


def test_clip_starts_at_random_where_there_is_room():
    np.random.seed(0)
    sampler = ClipSampler(ClipSpec(4, 4), strides=(1, 2))
    clips = [sampler.sample(22) for _ in range(200)]
    steps = {int(indices[1] - indices[0]) for indices, _ in clips}
    assert steps == {1, 2} and all(valid.all() for _, valid in clips)
    assert {int(indices[0]) for indices, _ in clips} == set(range(15))


@pytest.mark.parametrize("strides", [(1, 2), (0,), ()])
def test_useless_strides_are_refused(strides):
    with pytest.raises(UserError, match=r"INPUT\.FRAMESKIP"):
        ClipSampler(ClipSpec(11, 11), strides=strides).check_fits(22)


@pytest.mark.parametrize("clip", [ClipSpec(11, 12), ClipSpec(11, 2, 10), ClipSpec(22, 1)])
def test_clips_longer_than_the_video_are_refused(clip):
    with pytest.raises(UserError, match="does not fit into a video of 22 frames"):
        ClipSampler(clip).sample(22)


def test_a_clip_ends_its_input_with_the_last_known_frame():
    clip = ClipSpec(5, 3, 2)
    assert list(clip.input_frames(11)) == [6, 7, 8, 9, 10]
    assert list(clip.target_frames(11)) == [13, 14, 15]
    assert clip.length == 10 and clip.find_target(15, 11) == 2
    with pytest.raises(UserError, match=r"predicts frames 14-16, not frame 22"):
        clip.find_target(21, 11)
    with pytest.raises(UserError, match="needs 5 frames, but only 4 are known"):
        clip.input_frames(4)


def test_frames_are_counted_from_one_in_words():
    assert name_frames(range(21, 22)) == "frame 22" and name_frames(range(11, 22)) == "frames 12-22"


CONFIGS = [
    path for path in sorted((ROOT / "configs").rglob("*.yaml")) if path.parent.name != "recipes"
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_takes_clips_of_the_vps_videos(path):
    cfg = load_config(path)
    mapper = build_mapper(cfg, is_train=True)
    if cfg.PIPELINE.SEGMENTER.CONFIG_FILE == "" and hasattr(mapper, "check_length"):
        mapper.check_length(22)
        assert mapper.num_known == 11 or "_base_" in str(path)
