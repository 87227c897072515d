"""SAM 2.1 and EdgeTAM through transformers, with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.modeling.vos.made import make_clip
from vps_d2.inference.vos.engines import EngineOptions
from vps_d2.inference.vos.sam import SamEngine, make_edgetam_engine, make_sam2_engine
from vps_d2.io.errors import UserError

transformers = pytest.importorskip("transformers", minversion="5.0")

SIZE = 128
_PARTS = {
    "image_size": SIZE,
    "prompt_encoder_config": {"hidden_size": 128, "image_size": SIZE, "mask_input_channels": 4},
    "mask_decoder_config": {
        "hidden_size": 128,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 32,
        "num_hidden_layers": 1,
    },
    "memory_attention_hidden_size": 128,
    "memory_attention_num_layers": 1,
    "memory_attention_rope_feat_sizes": [8, 8],
    "memory_encoder_hidden_size": 128,
    "memory_encoder_output_channels": 64,
    "mask_downsampler_embed_dim": 128,
    "memory_fuser_embed_dim": 128,
    "memory_fuser_intermediate_dim": 32,
    "memory_fuser_num_layers": 1,
    "num_maskmem": 3,
    "max_object_pointers_in_encoder": 3,
}


def sam2() -> Any:
    backbone = {
        "hidden_size": 8,
        "image_size": [SIZE, SIZE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 1, 1],
        "window_size_per_stage": [8, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    }
    vision = transformers.Sam2VisionConfig(
        backbone_config=transformers.Sam2HieraDetConfig(**backbone),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        fpn_hidden_size=128,
    )
    config = transformers.Sam2VideoConfig(
        vision_config=vision, memory_attention_feed_forward_hidden_size=32, **_PARTS
    )
    return transformers.Sam2VideoModel(config)


def edgetam() -> Any:
    pytest.importorskip("timm")
    backbone = transformers.TimmWrapperConfig(
        architecture="repvit_m0_9",
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )
    vision = transformers.EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[384, 192, 96, 48],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        fpn_hidden_size=128,
    )
    config = transformers.EdgeTamVideoConfig(
        vision_config=vision,
        memory_attention_mlp_hidden_size=32,
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
        **_PARTS,
    )
    return transformers.EdgeTamVideoModel(config)


def save(model: Any, folder: Path) -> str:
    model.save_pretrained(folder)
    size = {"height": SIZE, "width": SIZE}
    processor = transformers.Sam2VideoProcessor(
        transformers.Sam2ImageProcessor(size=size, mask_size={"height": 32, "width": 32}),
        transformers.Sam2VideoVideoProcessor(size=size),
        target_size=SIZE,
    )
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return save(sam2(), tmp_path_factory.mktemp("sam2"))


@pytest.fixture
def engine(folder: str) -> SamEngine:
    return make_sam2_engine(EngineOptions(name=folder, device="cpu"))


def cells(engine: SamEngine) -> int:
    session = engine._session
    outputs = session.output_dict_per_obj.values()
    return len(session.processed_frames) + sum(len(d) for o in outputs for d in o.values())


def test_follows_objects_in_bounded_memory(engine: SamEngine) -> None:
    frames, first = make_clip(18, 48, 64)
    engine.remember(frames[0], np.where(first == 1, first, 0), permanent=True)
    sizes = []
    for index, picture in enumerate(frames[1:], 1):
        found = engine.segment(picture, [2, 1])
        assert found.shape == (3, 48, 64) and found.dtype == np.float32
        np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
        if index < 4:
            assert found[1].max() < 0.01  # nobody has shown object 2
        if index in (3, 4):  # of the picture that was just segmented
            engine.remember(picture, first, permanent=index == 3)
        sizes.append(cells(engine))
    assert sizes[-1] == sizes[-8]
    assert engine._permanent == {0, 4}


def test_a_second_direction_begins_with_what_was_given(engine: SamEngine) -> None:
    frames, first = make_clip(5, 48, 64)
    engine.remember(frames[0], first, permanent=True)
    once = [engine.segment(picture, [1, 2]) for picture in frames[1:]]
    engine.reset()
    assert not engine._session.obj_ids
    engine.remember(frames[0], first, permanent=True)
    again = [engine.segment(picture, [1, 2]) for picture in frames[1:]]
    np.testing.assert_array_equal(once, again)
    engine.forget_frames()
    assert [len(o["cond_frame_outputs"]) for o in engine._session.output_dict_per_obj.values()] == [
        1,
        1,
    ]
    engine.segment(frames[1], [1, 2])


def test_edgetam_follows_objects_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    engine = make_edgetam_engine(EngineOptions(name=save(edgetam(), tmp_path), device="cpu"))
    frames, first = make_clip(4, 48, 64)
    engine.remember(frames[0], first, permanent=True)
    for picture in frames[1:]:
        found = engine.segment(picture, [1, 2])
    assert found.shape == (3, 48, 64) and np.isfinite(found).all()


def test_loads_what_was_saved(engine: SamEngine, folder: str, tmp_path: Path) -> None:
    state = engine._model.state_dict()
    other = sam2()
    other.load_state_dict(state)
    copy = make_sam2_engine(EngineOptions(name=save(other, tmp_path / "copy"), device="cpu"))
    assert copy.fingerprint() == engine.fingerprint()
    assert folder in engine.source and "states no license" in engine.license_note


def test_mistakes_are_one_sentence(folder: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no configuration of vps_d2"):
        make_sam2_engine(EngineOptions(config_file="any.yaml"))
    with pytest.raises(UserError, match="cannot be loaded as Sam2VideoModel"):
        make_sam2_engine(EngineOptions(name=str(tmp_path)))
    with pytest.raises(UserError, match="EdgeTamVideoModel"):
        make_edgetam_engine(EngineOptions(name=folder))
