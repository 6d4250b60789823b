"""The step pre-trains on a few synthetic children, writes the same bytes again, and refuses what cannot be."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from childgait.engine import mlflow_tracking
from childgait.engine.flags import Input
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.hashes import sha256
from childgait.params import Pretrain, load_section
from childgait.steps.pretrain import pretrain
from childgait.training import pretraining
from childgait.training.cohort_pretraining import held_out_batches
from childgait.training.windows import Loading
from support.small_study import SIZE, Study, make_study

SMALL = {
    "seed": 41,
    "children": 2,
    "held_out_children": 2,
    "seconds": 1.6,
    "pixels": 32,
    "windows": 12,
    "batch_size": 4,
    "warmup_windows": 4,
    "validation_windows": 8,
    "validation_every": 4,
    "precision": "fp32",
    "workers": 0,
}
NAMES = ("weights.safetensors", "weights.json", "history.csv", "strip.png")


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr(mlflow_tracking, "CONNECT_SECONDS", 0.2)
    monkeypatch.chdir(tmp_path)


def run(
    out: Path, name: str = "childgait_video", clips: Sequence[Path] = (), assignment: Path | None = None, **changes: Any
) -> Path:
    """Pre-train on a few windows; `clips` are those of children without scores, for the source cohort."""
    out.mkdir(parents=True, exist_ok=True)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["pretrain"] |= SMALL | changes
    values["finetune"] |= {"frames": 8, "overrides": {"gru": {"frames": 8}}}
    values["finetune"]["encoder"] |= {"min_tokens": 4, "head_hidden": 16}
    study = out / "params.yaml"
    study.write_text(yaml.safe_dump(values))
    pretrain(
        *(out / file for file in NAMES),
        model_name=name,
        params=load_section(study, Pretrain),
        unlabelled=[Input(path) for path in clips],
        assignment=None if assignment is None else Input(assignment),
        study=study,
        checkpoint=out / "cache",
    )
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        patch.setattr(mlflow_tracking, "CONNECT_SECONDS", 0.2)
        patch.chdir(folder)
        return run(folder / "out")


def test_it_writes_a_checkpoint_that_says_what_it_is(whole: Path) -> None:
    weights, description = load_file(whole / "weights.safetensors"), json.loads((whole / "weights.json").read_text())
    assert weights["network.encoder.patch_embed.proj.weight"].dtype == torch.bfloat16
    assert weights["measures.2.weight"].shape == (34, 16)
    assert weights["scale.measure_mean"].shape == (34,)
    assert not [name for name in weights if name.startswith("network.head.")]
    assert description["sha256"] == sha256(whole / "weights.safetensors")
    assert (description["children"], description["seed"], description["windows"]) == (2, 41, 12)
    assert description["network"] == {
        "frames": 8,
        "frame_step": 2,
        "head_hidden": 16,
        "pixels": 32,
        "size": "tiny",
        "prompt": "drawn",
        "prune": "mask",
        "positions": yaml.safe_load((whole / "params.yaml").read_text())["finetune"]["encoder"]["positions"],
        "drawing": yaml.safe_load((whole / "params.yaml").read_text())["finetune"]["drawing"],
    }
    history = pl.read_csv(whole / "history.csv")
    assert history["windows"].to_list() == [4, 8, 12]
    assert description["validation"]["r2_knee"] == pytest.approx(history["validation_r2_knee"][-1], abs=1e-5)
    assert (whole / "strip.png").read_bytes().startswith(b"\x89PNG")
    assert not list((whole / "cache").glob("*.safetensors"))  # a checkpoint is of no use once the job is done


def interrupt_and_resume(out: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Path:
    """Interrupt a run after its second checkpoint, then run it to its end."""
    save = pretraining.checkpoint.save

    def save_and_interrupt(path: Path, state: Any, fingerprint: str) -> None:
        save(path, state, fingerprint)
        if state.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pretraining.checkpoint, "save", save_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(out, **changes)
    assert not (out / "weights.safetensors").exists()
    return run(out, **changes)


def test_cut_off_and_taken_up_it_ends_with_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed = interrupt_and_resume(tmp_path / "cut", monkeypatch)
    for name in NAMES:
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()


def test_a_keypoint_network_reads_the_same_stream(tmp_path: Path) -> None:
    description = json.loads((run(tmp_path / "gru", "gru", windows=4) / "weights.json").read_text())
    skeleton = {"skeleton_width", "temporal_kernel", "skeleton_extra", "skeleton_attention"}
    assert set(description["network"]) == {"frames", "frame_step", "head_hidden"} | skeleton


def test_what_cannot_be_pretrained_is_refused(tmp_path: Path) -> None:
    cohort = yaml.safe_load((ROOT / "params.yaml").read_text())["synthesize"]["seed"]
    with pytest.raises(StepError, match=rf"pretrain\.seed is {cohort}, as synthesize\.seed"):
        run(tmp_path, seed=cohort)
    with pytest.raises(StepError, match=r"pretrain\.models names rules, which is no network"):
        run(tmp_path, "rules")
    with pytest.raises(StepError, match="stgcn_fusion, which reads numbers of a whole recording"):
        run(tmp_path, "stgcn_fusion")
    with pytest.raises(StepError, match="no model is called 'resnet'"):
        run(tmp_path, "resnet")


@pytest.mark.parametrize("method", ["masked", "both"])
def test_masked_reconstruction_is_resumed_to_the_same_bytes(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path / "whole", method=method)
    description = json.loads((first / "weights.json").read_text())
    weights, history = load_file(first / "weights.safetensors"), pl.read_csv(first / "history.csv")
    assert (description["method"], description["source"]) == (method, "stream")
    assert "hidden patches" in description["targets"]
    assert history["masked"].is_finite().all()
    assert history["validation_masked"].is_finite().all()
    assert [name for name in weights if name.startswith(("measures.", "scale."))] == (
        [name for name in weights if not name.startswith("network.")] if method == "both" else []
    )
    resumed = interrupt_and_resume(tmp_path / "cut", monkeypatch, method=method)
    for name in NAMES:
        assert (first / name).read_bytes() == (resumed / name).read_bytes()


def test_a_network_without_patches_cannot_be_masked(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"pretrain\.method masks patches, but Gru has none"):
        run(tmp_path, "gru", method="masked")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"), children=6)


def write_assignment(path: Path, study: Study, *placed: str) -> Path:
    """Write the list of a split in which only these children are in a part."""
    children = sorted({clip.name[:4] for clip in study.clips})
    rows = [("0", child, "test" if child in placed else "none") for child in children]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("fold", "subject", "part"), *rows])
    return path


COHORT: dict[str, Any] = {"method": "masked", "source": "cohort", "pixels": SIZE}


def test_clips_of_children_without_scores_are_reconstructed(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {
        "clips": study.clips,
        "assignment": write_assignment(tmp_path / "subjects.csv", study),
        **COHORT,
    }
    first = run(tmp_path / "whole", **given)
    description = json.loads((first / "weights.json").read_text())
    assert (description["source"], description["children"], description["held_out_children"]) == ("cohort", 5, 1)
    assert description["subjects"] == sorted({clip.name[:4] for clip in study.clips})
    assert pl.read_csv(first / "history.csv")["validation_masked"].is_finite().all()
    assert (first / "strip.png").read_bytes().startswith(b"\x89PNG")
    resumed = interrupt_and_resume(tmp_path / "cut", monkeypatch, **given)
    for name in NAMES:
        assert (first / name).read_bytes() == (resumed / name).read_bytes()
    fewer = run(tmp_path / "fewer", **(given | {"clips": study.clips[: len(study.clips) // 2]}))
    assert (fewer / "weights.safetensors").read_bytes() != (first / "weights.safetensors").read_bytes()


def test_every_held_out_clip_can_measure_the_reconstruction(study: Study) -> None:
    clips = [open_clip(path) for path in study.clips]
    settings = load_section(ROOT / "params.yaml", Pretrain).model_copy(update={"validation_windows": 3})
    (batch,) = held_out_batches(clips, Loading(8, frozenset({"frames"})), settings)
    assert batch[0].rows is not None
    assert batch[0].rows.tolist() == [0, len(clips) // 2, len(clips) - 1]


def test_no_child_of_a_part_is_reconstructed(study: Study, tmp_path: Path) -> None:
    child = study.clips[0].name[:4]
    split = write_assignment(tmp_path / "subjects.csv", study, child)
    with pytest.raises(StepError, match=f"child {child} is in the unlabelled pool, but is in test of fold 0"):
        run(tmp_path, clips=study.clips, assignment=split, **COHORT)
    with pytest.raises(StepError, match="the number of children without scores who have clips is 1"):
        run(tmp_path, clips=study.clips[:1], assignment=write_assignment(split, study), **COHORT)
    with pytest.raises(StepError, match="a video without scores has no targets"):
        run(tmp_path, clips=study.clips, assignment=split, source="cohort", pixels=SIZE)
