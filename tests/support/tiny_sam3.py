"""SAM 3's real classes at the smallest size that works, with random weights: a folder, loaded like the real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WIDTH = 128  # every hidden size behind the backbone: equal, more than 64 and a multiple of it
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _config() -> Any:
    from transformers import Sam3Config, Sam3TrackerVideoConfig, Sam3VideoConfig

    part: dict[str, Any] = {"hidden_size": WIDTH, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    vision = {
        "fpn_hidden_size": WIDTH,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 112,
            "patch_size": 14,
            "window_size": 4,
            "global_attn_indexes": [1],
            "pretrain_image_size": 56,
        },
    }
    detector = Sam3Config(
        vision_config=vision,
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 64,
            "projection_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
            "bos_token_id": 52,
            "eos_token_id": 53,
            "pad_token_id": 53,
        },
        geometry_encoder_config={**part, "roi_size": 3},
        detr_encoder_config=part,
        detr_decoder_config={**part, "num_queries": 5},
        mask_decoder_config={"hidden_size": WIDTH, "num_upsampling_stages": 3, "num_attention_heads": 2},
    )
    tracker = Sam3TrackerVideoConfig(
        image_size=112,  # sets the sizes of every part; else they stay at 1008
        vision_config={"model_type": "sam3_vision_model", **vision},
        prompt_encoder_config={"hidden_size": WIDTH, "image_size": 112, "patch_size": 14},
        mask_decoder_config={"hidden_size": WIDTH, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 64},
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[8, 8],
        memory_encoder_hidden_size=WIDTH,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_num_layers=1,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=64,
    )
    return Sam3VideoConfig(
        detector_config=detector,
        tracker_config=tracker,
        low_res_mask_size=32,
        max_num_objects=4,
        score_threshold_detection=0.05,
        new_det_thresh=0.05,  # random detections score near 0.26
    )


def build_sam3(folder: Path) -> Path:
    """Write weights, configuration and processor of a tiny SAM 3 video model; the folder is handed back."""
    import torch
    from transformers import (
        CLIPTokenizer,
        Sam2VideoVideoProcessor,
        Sam3ImageProcessor,
        Sam3VideoModel,
        Sam3VideoProcessor,
    )

    torch.manual_seed(0)
    model = Sam3VideoModel(_config())
    head = model.tracker_model.mask_decoder.pred_obj_score_head
    torch.nn.init.constant_(head.proj_out.bias, 5.0)  # else every object is gone after the first frame
    model.save_pretrained(folder)
    words = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    look = {"size": {"height": 112, "width": 112}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    images = Sam3ImageProcessor(**look, mask_size={"height": 32, "width": 32})
    Sam3VideoProcessor(images, Sam2VideoVideoProcessor(**look), tokenizer).save_pretrained(folder)
    return folder
