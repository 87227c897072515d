from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.inference.test_tracking import SIZE, box_mask, make
from vps_d2.inference.spool import SpooledFrame, open_spool, read_frames, round_descriptions


def pack(index=3, **fields):
    instances = make([box_mask(5, 5), box_mask(40, 9)], [7, 2], [0.9, 1 / 3], **fields)
    return SpooledFrame.pack(index, Fraction(index, 30), round_descriptions(instances), [4, 0])


@pytest.mark.parametrize("name", ["appearance", "embeddings", None])
def test_a_line_gives_the_same_instances(name):
    values = torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    packed = pack(**{name: values} if name else {})
    back = SpooledFrame.from_line(packed.to_line())
    assert (back.index, back.time, back.track_ids) == (3, Fraction(1, 10), [4, 0])
    instances = back.unpack(SIZE)
    assert (instances.pred_masks[1].numpy() == box_mask(40, 9)).all()
    assert instances.pred_classes.tolist() == [7, 2]
    assert instances.scores.tolist() == torch.tensor([0.9, 1 / 3]).tolist()
    if name:
        assert (instances.get_fields()[name] == values.half().float()).all()
    else:
        assert back.descriptions is None


def test_a_frame_without_instances():
    packed = SpooledFrame.pack(0, Fraction(0), make([]), [])
    instances = SpooledFrame.from_line(packed.to_line()).unpack(SIZE)
    assert len(instances) == 0 and instances.pred_masks.shape == (0, *SIZE)


@pytest.mark.parametrize(
    "line",
    [b"{}\n", b"[1]\n", b"[0, 1, [], [], [], [1], []]\n", b"3\n", b'[0, "x", 1, 1, 1, 1, 1]\n'],
)
def test_a_damaged_line_is_an_error(line):
    with pytest.raises(ValueError):
        SpooledFrame.from_line(line)


def test_what_a_killed_run_left_is_read_up_to_the_last_whole_line(tmp_path):
    path = tmp_path / "spool"
    assert list(read_frames(path)) == []
    with open_spool(path, 0) as file:
        for index in range(3):
            file.write(pack(index).to_line())
        file.write(pack(3).to_line()[:-5])
    assert [frame.index for frame in read_frames(path)] == [0, 1, 2]
    with open_spool(path, 2) as file:
        file.write(pack(9).to_line())
    assert [frame.index for frame in read_frames(path)] == [0, 1, 9]


def test_masks_keep_every_pixel():
    rng = np.random.default_rng(0)
    masks = [rng.random(SIZE) < share for share in (0.1, 0.5, 1.0)]
    packed = SpooledFrame.pack(0, Fraction(0), make(masks), [1, 2, 3])
    assert (packed.unpack(SIZE).pred_masks.numpy() == np.stack(masks)).all()
