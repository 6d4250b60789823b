"""Fine-tuning starts at a pre-trained checkpoint, under each head, and refuses one that read something else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.files.parts import Part, open_part
from childgait.files.pretrained import read_description, shipped_checkpoint
from childgait.models.dense_heads import PretrainingModel
from childgait.models.item_heads import MeasuresHead
from childgait.models.pretrained import describe_network, load_pretrained, read_pretrained, tensors_of
from childgait.models.registry import MODELS, settings_of
from childgait.params import Finetune
from childgait.training import clip_features
from childgait.training.clip_features import encoder_features
from childgait.training.description import describe
from childgait.training.fit import FitResult, fit_network, fit_table
from childgait.training.leak_checks import check_children_unseen
from childgait.training.optim import freeze_for_epoch
from childgait.training.predict import predict, settings_from
from childgait.training.windows import starts_of, window_frames
from support.small_study import PARAMS, SIZE, Study, make_study, settings

MODEL = MODELS["childgait_video"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"), children=8)


@pytest.fixture(scope="module")
def parts(study: Study) -> tuple[Part, Part]:
    return open_part(study.train, study.clips), open_part(study.validation, study.clips)


def chosen(**changes: Any) -> Finetune:
    return settings_of(MODEL, settings(epochs=1, frame_step=2, **changes))


def write_checkpoint(folder: Path, settings: Finetune, **changes: Any) -> Path:
    torch.manual_seed(5)
    network = MODEL.build(settings.model_copy(update={"head": "mlp"}), SIZE)
    model = PretrainingModel(network, settings.encoder.head_hidden)
    path = folder / "weights.safetensors"
    save_file(tensors_of(model, {"measure_mean": np.zeros(34), "measure_deviation": np.ones(34)}), path)
    described = describe_network(network, settings, SIZE, 2) | changes
    told = {"network": described, "seed": 41, "children": 9, "windows": 100, "sha256": sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(told))
    return path


def fit(settings: Finetune, parts: tuple[Part, Part], folder: Path, pretrained: Path | None) -> FitResult:
    return fit_network(
        MODEL,
        settings,
        *parts,
        seed=0,
        save_as=folder / "state.safetensors",
        fingerprint="",
        on_epoch=lambda row, speed: None,
        pretrained=pretrained,
    )


@pytest.mark.parametrize("head", ["mlp", "linear", "measures"])
def test_under_a_frozen_encoder_the_head_alone_learns(head: str, parts: tuple[Part, Part], tmp_path: Path) -> None:
    wanted = chosen(head=head, tune="head")
    start = write_checkpoint(tmp_path, wanted)
    learnt = fit(wanted, parts, tmp_path, start)
    assert learnt.facts["weights_from"] == "pre-trained on 9 synthetic children (100 windows, seed 41)"
    summary = {"children": 9, "windows": 100, "seed": 41, "sha256": sha256(start)}
    assert learnt.pretrained == summary | {"method": "dense", "source": "stream"}
    before = write_checkpoint(tmp_path, wanted)
    from safetensors.torch import load_file

    taught = load_file(before)
    encoder = "encoder.blocks.0.attn.qkv.weight"
    assert np.array_equal(learnt.weights[encoder], taught[f"network.{encoder}"].float().numpy())
    if head == "measures":
        own = {name for name in learnt.weights if name.startswith("head.")}
        assert {"head.0.bias", "head.0.pair_mean", "head.0.half_difference"} < own
        assert np.array_equal(learnt.weights["head.0.measures.2.weight"], taught["measures.2.weight"].float().numpy())
        assert learnt.weights["head.0.pair_mean"].any()
    predictions = predict(MODEL, wanted, learnt.weights, learnt.facts, parts[1], windows_per_video=2)
    assert np.isfinite(predictions.logits).all()


def test_a_measures_head_starts_at_the_bands_in_the_scale_of_its_checkpoint(tmp_path: Path) -> None:
    wanted = chosen(head="measures", tune="head")
    network = MODEL.build(wanted, SIZE)
    network.set_prior_bias(torch.full((34,), 0.3))
    load_pretrained(network, read_pretrained(write_checkpoint(tmp_path, wanted)))
    [head] = [part for part in network.modules() if isinstance(part, MeasuresHead)]
    expected = MeasuresHead(8, 8, 0.0, shared=False)
    expected.start_at_bands(torch.zeros(34), torch.ones(34))
    assert head.coefficients().abs().sum() > 0
    assert torch.equal(head.coefficients(), expected.coefficients())
    assert torch.equal(head.bias, expected.bias)


def test_a_checkpoint_of_other_inputs_is_refused(parts: tuple[Part, Part], tmp_path: Path) -> None:
    wanted = chosen()
    for key, value, predicted in (
        ("pixels", 64, rf"pre-trained with pixels 64 \(the study's is {SIZE}, prepare_clips\.size\)"),
        ("frames", 16, r"frames 16 \(the study's is 4, finetune\.frames\)"),
        ("frame_step", 1, r"frame step 1 \(the study's is 2"),
        ("prompt", "none", r"prompt none \(the study's is drawn"),
        ("prune", "none", r"prune none \(the study's is mask"),
        ("drawing", None, r"drawing none \(the study's is line_pixels"),
    ):
        with pytest.raises(StepError, match=predicted):
            fit(wanted, parts, tmp_path, write_checkpoint(tmp_path, wanted, **{key: value}))


def test_a_damaged_or_nameless_checkpoint_is_refused(parts: tuple[Part, Part], tmp_path: Path) -> None:
    start = write_checkpoint(tmp_path, chosen())
    told = json.loads(start.with_suffix(".json").read_text())
    start.with_suffix(".json").write_text(json.dumps(told | {"sha256": "0"}))
    with pytest.raises(StepError, match="its description 0"):
        fit(chosen(), parts, tmp_path, start)
    start.with_suffix(".json").unlink()
    with pytest.raises(StepError, match=r"has no description weights\.json beside it"):
        fit(chosen(), parts, tmp_path, start)


def test_a_measures_head_needs_measures(parts: tuple[Part, Part], tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"finetune\.head is measures, but childgait_video starts without"):
        fit(chosen(head="measures"), parts, tmp_path, None)
    with pytest.raises(StepError, match="stgcn_fusion joins two streams in a head of its own"):
        MODELS["stgcn_fusion"].build(settings_of(MODELS["stgcn_fusion"], settings(head="linear")), SIZE)


def test_partly_frozen_the_upper_half_learns() -> None:
    network = MODEL.build(chosen(), SIZE)
    whole = freeze_for_epoch(network, chosen(tune="full"), 0)
    part = freeze_for_epoch(network, chosen(tune="partial"), 0)
    head = freeze_for_epoch(network, chosen(tune="head"), 0)
    assert head == sum(p.numel() for n, p in network.named_parameters() if n.startswith("head."))
    assert head < part < whole
    freeze_for_epoch(network, chosen(tune="partial"), 0)
    assert not network.encoder.blocks[0].attn.proj.weight.requires_grad
    assert network.encoder.blocks[3].attn.proj.weight.requires_grad


def test_a_frame_step_stretches_the_window(parts: tuple[Part, Part]) -> None:
    clip = parts[0].clips[0]  # 20 frames
    assert starts_of(clip, 4, "none", 2).tolist() == list(range(14))
    assert window_frames(13, 4, clip.length, 2.0).tolist() == [13, 15, 17, 19]


def test_no_child_of_a_run_was_pretrained_on(study: Study, parts: tuple[Part, Part], tmp_path: Path) -> None:
    used = chosen()
    path = write_checkpoint(tmp_path, used)
    description = json.loads(path.with_suffix(".json").read_text()) | {"source": "cohort", "method": "masked"}

    def pretrained_on(child: str) -> FitResult:
        path.with_suffix(".json").write_text(json.dumps(description | {"subjects": [child]}))
        return fit(used, parts, tmp_path, path)

    with pytest.raises(StepError, match=r"but \S+weights\.safetensors was pre-trained on the child's clips"):
        pretrained_on(parts[1].clips[0].subject)
    probed = settings_of(
        MODELS["linear_probe"],
        settings(frame_step=2, weights=str(path), frozen={**PARAMS["finetune"]["frozen"], "encoder": MODEL.name}),
    )
    with pytest.raises(StepError, match=r"but \S+weights\.safetensors was pre-trained on the child's clips"):
        encoder_features(parts[1].clips, probed)
    tested = open_part(study.test, study.clips).clips[0].subject
    named = dict(zip(("train", "validation"), parts, strict=True))
    model = describe(MODEL, "holdout", 0, used, named, pretrained_on(tested))
    with pytest.raises(StepError, match=f"child {tested}, who was in pretraining when the model was trained"):
        check_children_unseen(model, study.test, {tested})


def test_a_probe_predicts_with_the_encoder_that_it_was_fitted_on(
    parts: tuple[Part, Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the encoder has overrides, which the probe's model.json lacks; features are kept per clip."""
    start, probe = write_checkpoint(tmp_path, chosen()), MODELS["linear_probe"]
    own = {"weights": str(start), "frozen": {"encoder": MODEL.name, "cache": str(tmp_path / "cache")}}
    used = settings_of(
        probe, settings(frame_step=2, overrides={"linear_probe": own, MODEL.name: {"weights": "", "frame_step": 1}})
    )
    origins = []
    load = clip_features._load_encoder
    monkeypatch.setattr(clip_features, "_load_encoder", lambda *given: origins.append(load(*given)) or origins[-1])
    result = fit_table(probe, used, parts[0], seed=0)
    kept = sorted((tmp_path / "cache").iterdir())
    assert len(kept) == len(parts[0].clips)
    described = describe(probe, "holdout", 0, used, dict(zip(("train", "validation"), parts, strict=True)), result)
    logits = predict(probe, settings_from(described), result.weights, result.facts, parts[0], 1).logits
    assert origins == [sha256(start)] * 2
    assert sorted((tmp_path / "cache").iterdir()) == kept, "the same features are read again"
    known = ~np.isnan(parts[0].atypical)
    assert ((logits > 0) == (parts[0].atypical == 1))[known].mean() > 0.9


def test_the_documented_lines_put_a_probe_on_the_shipped_encoder() -> None:
    text = (Path(__file__).parents[2] / "docs" / "USE.md").read_text()
    block = next(block for block in text.split("```yaml\n")[1:] if "linear_probe: {weights: shipped" in block)
    lines = yaml.safe_load(block.split("```")[0])["finetune"]
    used = settings_of(MODELS["linear_probe"], Finetune.model_validate({**PARAMS["finetune"], **lines}))
    encode, origin = clip_features._encode_by_network(used, 64, ["0001"], drawn=True)
    assert origin == read_description(shipped_checkpoint("childgait_video")).sha256
    assert callable(encode)
