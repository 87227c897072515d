"""The prompts of SAM 2.1 and EdgeTAM, with random weights."""

import numpy as np
import pytest
import torch

from tests.inference.vos.test_sam import edgetam, sam2, save
from tests.modeling.vos.made import make_clip
from vps_d2.data.strokes import Stroke
from vps_d2.inference.vos.engines import EngineOptions
from vps_d2.inference.vos.sam import make_edgetam_engine, make_sam2_engine

transformers = pytest.importorskip("transformers", minversion="5.0")

CASES = [(sam2, make_sam2_engine, "Sam2Model"), (edgetam, make_edgetam_engine, "EdgeTamModel")]
ON, OFF = Stroke(((20, 12),), radius=2), Stroke(((50, 40),), radius=2, positive=False)


@pytest.mark.parametrize(("make_model", "make_engine", "name"), CASES)
def test_masks_equal_those_of_the_library(make_model, make_engine, name, tmp_path):
    torch.manual_seed(0)
    folder = save(make_model(), tmp_path / "model")
    engine = make_engine(EngineOptions(name=folder, device="cpu"))
    public = getattr(transformers, name).from_pretrained(folder).eval()
    processor = transformers.Sam2Processor(engine.mask_maker._processor, target_size=128)
    picture = make_clip(1, 48, 64)[0][0]
    inputs = processor(
        images=picture,
        input_points=[[[list(ON.points[0]), list(OFF.points[0])]]],
        input_labels=[[[1, 0]]],
        return_tensors="pt",
    )
    with torch.inference_mode():
        outputs = public(**inputs, multimask_output=False)
    wanted = processor.post_process_masks(outputs.pred_masks, [(48, 64)])[0][0, 0].numpy()
    wanted[10:14, 18:22], wanted[38:42, 48:52] = True, False
    found = engine.mask_maker.make_mask(picture, np.zeros((48, 64), bool), [ON, OFF])
    assert 0 < wanted.sum() < wanted.size and (found != wanted).sum() <= 12  # around the strokes


def test_the_mask_so_far_matters_and_nothing_is_kept_twice(tmp_path):
    torch.manual_seed(0)
    engine = make_sam2_engine(EngineOptions(name=save(sam2(), tmp_path / "model"), device="cpu"))
    maker, picture = engine.mask_maker, make_clip(1, 48, 64)[0][0]
    mask = np.zeros((48, 64), bool)
    first = maker.make_mask(picture, mask, [ON, OFF])
    mask[4:30, 4:30] = True
    assert (maker.make_mask(picture, mask, [ON, OFF]) != first).any()
    own = {each.data_ptr() for each in engine._model.parameters()}
    assert {each.data_ptr() for each in maker._model.parameters()} <= own
    assert {each.device.type for each in maker._model.buffers()} == {"cpu"}


def test_a_long_scribble_gives_a_few_points_along_it():
    from vps_d2.inference.vos.sam_prompts import _sample_points

    scribble = Stroke(tuple((float(x), 1.0) for x in range(100)))
    points, labels = _sample_points([scribble, OFF])
    assert points[0] == (0, 1) and points[-2] == (99, 1) and points[-1] == OFF.points[0]
    assert labels == [1] * 8 + [0]
