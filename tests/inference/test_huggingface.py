"""Adapters of transformers' models, with tiny random ones that are saved and loaded again."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vps_d2.inference.huggingface import find_license_note
from vps_d2.inference.instance_models import find_instance_model
from vps_d2.io.errors import UserError

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def transformers() -> Any:
    module = pytest.importorskip("transformers", reason="transformers is not installed")
    module.utils.logging.disable_progress_bar()
    return module


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if "huggingface_hub" in sys.modules:
        monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def mask2former(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Mask2Former of three classes, of which two have the same name."""
    torch.manual_seed(0)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    swin = transformers.SwinConfig(
        image_size=64,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_features=stages,
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=swin,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=10,
        id2label={0: "cat", 1: "dog", 2: "dog"},
    )
    model = transformers.Mask2FormerForUniversalSegmentation(config)
    with torch.no_grad():
        model.class_predictor.weight.mul_(30)  # so that it is sure of something
    folder = tmp_path_factory.mktemp("hub") / "mask2former"
    model.save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 128}
    transformers.Mask2FormerImageProcessor(size=size).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: only-looking\n---\n# A")
    return folder


def test_a_segmenter_finds_what_the_library_finds(mask2former: Path) -> None:
    model: Any = find_instance_model(f"hf:{mask2former}", device="cpu", threshold=0.2)
    assert model.taxonomy.thing_classes == ("cat", "dog", "dog (2)")
    assert '"only-looking"' in model.license_note and "Mask2Former" in model.source
    inputs = model.processor(images=list(FRAMES), return_tensors="pt")
    with torch.no_grad():
        output = model.model(pixel_values=inputs["pixel_values"], pixel_mask=inputs["pixel_mask"])
    theirs = model.processor.post_process_instance_segmentation(
        output, target_sizes=[(40, 60)] * 2, threshold=0.2, return_binary_maps=True
    )
    for found, their in zip(model(FRAMES), theirs, strict=True):
        assert found.image_size == (40, 60) and found.pred_masks.dtype == torch.bool
        labels = sorted(each["label_id"] for each in their["segments_info"])
        assert sorted(found.pred_classes.tolist()) == labels and len(labels) > 3
        scores = sorted((each["score"] for each in their["segments_info"]), reverse=True)
        # The library rounds outlines to a 384th of the frame.
        assert found.scores.tolist() == pytest.approx(scores, abs=0.03)
        area = float(their["segmentation"].sum())
        assert float(found.pred_masks.sum()) == pytest.approx(area, rel=0.05)
    other = find_instance_model(f"hf:{mask2former}", device="cpu", threshold=0.9, short_side=96)
    assert all(len(found) == 0 for found in other(FRAMES))
    assert other.fingerprint() != model.fingerprint()


def test_checkpoints_that_do_not_fit_are_one_sentence(
    transformers: Any, mask2former: Path, tmp_path: Path
) -> None:
    def words_of(name: str | Path, **keywords: Any) -> str:
        with pytest.raises(UserError) as caught:
            find_instance_model(f"hf:{name}", device="cpu", **keywords)
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
        return str(caught.value)

    assert "takes no text prompt" in words_of(mask2former, text="a dog")
    assert "cannot be loaded" in words_of("nobody/has-this-one")
    assert "cannot be loaded" in words_of(tmp_path) or "not one that" in words_of(tmp_path)
    swin = transformers.SwinConfig(image_size=32, embed_dim=8, depths=[1], num_heads=[1])
    transformers.SwinModel(swin).save_pretrained(tmp_path / "swin")
    assert "give an instance segmenter" in words_of(tmp_path / "swin")
    lacking = tmp_path / "lacking"
    model = transformers.Mask2FormerForUniversalSegmentation.from_pretrained(mask2former)
    weights = model.state_dict()
    del weights["class_predictor.bias"]
    model.save_pretrained(lacking, state_dict=weights)
    assert "lacks class_predictor.bias" in words_of(lacking)


def test_without_transformers_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install vps_d2\[hf\]"):
        find_instance_model("hf:anything", device="cpu")


def sam3_config(transformers: Any) -> Any:
    """Return the smallest SAM 3 video model that the library builds."""
    side, grid, width = 56, 4, 128
    layers = {"hidden_size": width, "num_attention_heads": 2, "intermediate_size": 16}
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": side,
        "pretrain_image_size": side,
        "window_size": 2,
        "global_attn_indexes": [0],
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": width,
        "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
    }
    text = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 32,
        "projection_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    detector = {
        "model_type": "sam3",
        "vision_config": vision,
        "text_config": text,
        "geometry_encoder_config": {**layers, "num_layers": 1},
        "detr_encoder_config": {**layers, "num_layers": 1},
        "detr_decoder_config": {**layers, "num_layers": 1, "num_queries": 4},
        "mask_decoder_config": {"hidden_size": width, "num_attention_heads": 2},
    }
    tracker = {
        "model_type": "sam3_tracker_video",
        "image_size": side,
        "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": width, "image_size": side},
        "mask_decoder_config": {**layers, "mlp_dim": 16, "iou_head_hidden_dim": 16},
        "memory_attention_hidden_size": width,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 16,
        "memory_attention_rope_feat_sizes": [grid, grid],
        "memory_encoder_hidden_size": width,
        "mask_downsampler_embed_dim": width,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 16,
        "num_maskmem": 2,
        "max_object_pointers_in_encoder": 2,
        "max_cond_frame_num": 1,
    }
    return transformers.Sam3VideoConfig(
        detector_config=detector,
        tracker_config=tracker,
        low_res_mask_size=4 * grid,
        score_threshold_detection=0.0,
        new_det_thresh=0.0,
        max_num_objects=2,
        fill_hole_area=0,
    )


@pytest.fixture(scope="module")
def sam3(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny SAM 3 video model, which finds anything."""
    if not hasattr(transformers, "Sam3VideoModel"):
        pytest.skip("this version of transformers has no SAM 3 video")
    torch.manual_seed(0)
    config = sam3_config(transformers)
    folder = tmp_path_factory.mktemp("hub") / "sam3"
    transformers.Sam3VideoModel(config).save_pretrained(folder)
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{each}</w>" for each in letters)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    size = {"height": 56, "width": 56}
    transformers.Sam3VideoProcessor(
        transformers.Sam3ImageProcessor(size=size),
        transformers.Sam2VideoVideoProcessor(size=size),
        transformers.CLIPTokenizer(vocab=vocabulary, merges=[]),
    ).save_pretrained(folder)
    return folder


def test_a_prompted_model_tracks_frame_by_frame_in_flat_memory(sam3: Path) -> None:
    model: Any = find_instance_model(
        f"hf:{sam3}", text=["a dog", "cat"], device="cpu", threshold=0.0
    )
    assert model.tracks and model.taxonomy.thing_classes == ("a dog", "cat")
    assert "states no license" in model.license_note
    (first,) = model(FRAMES[:1])
    assert len(first) and first.pred_masks.shape[1:] == (40, 60)
    assert len(set(first.track_ids.tolist())) == len(first)
    assert set(first.pred_classes.tolist()) <= {0, 1}
    sizes = []
    for _ in range(4):
        model(FRAMES[1:])
        session = model._session
        sizes.append(
            (
                sum(frame is not None for frame in session.processed_frames.values()),
                max(len(each["non_cond_frame_outputs"]) for each in kept(session)),
                len(session.suppressed_obj_ids),
            )
        )
    assert sizes[-1] == sizes[-2] and sizes[-1][0] == 3
    model.reset()
    (again,) = model(FRAMES[:1])
    assert again.track_ids.tolist() == first.track_ids.tolist()
    assert torch.equal(again.pred_masks, first.pred_masks)


def kept(session: Any) -> list[dict[str, Any]]:
    """Return what the tracker keeps of each object."""
    assert session.output_dict_per_obj, "there is no object, so nothing could grow"
    return list(session.output_dict_per_obj.values())


def test_other_segmenters_have_the_same_form(transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.EomtConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        num_blocks=1,
        num_queries=6,
        num_upscale_blocks=1,
        id2label={0: "cat", 1: "dog"},
    )
    segmenter = transformers.EomtForUniversalSegmentation(config)
    with torch.no_grad():
        segmenter.class_predictor.weight.mul_(30)
    segmenter.save_pretrained(tmp_path)
    transformers.EomtImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 64}, do_split_image=False, do_pad=True
    ).save_pretrained(tmp_path)
    model = find_instance_model(f"hf:{tmp_path}", device="cpu", threshold=0.2)
    found = model(FRAMES)
    assert len(found) == 2 and all(len(each) for each in found)
    assert all(each.pred_masks.shape[1:] == (40, 60) for each in found)
    assert all(each.scores.min() >= 0.2 for each in found)


def test_a_model_card_cannot_blow_up(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    card = "\n".join(["---", *lines, "license: *a8", "---", "# A"])
    (tmp_path / "README.md").write_text(card)
    assert "states no license" in find_license_note(str(tmp_path))
