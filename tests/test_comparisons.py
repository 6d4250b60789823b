"""The comparisons on demand (`snakemake ablation`, `frames`, `bench`) plan the right runs: read from dry runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from childgait.engine.source_files import ROOT
from childgait.models.registry import ABLATION, BASELINES, FRAMES, KEYPOINTS, MODELS, VIDEO_TABLES
from test_plan import add_recording, snakemake


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The rules over a cohort of empty files; two folds, two seeds."""
    for name in ("Snakefile", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("workflow", "annotations", "bench"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "src").symlink_to(ROOT / "src")
    for subject in ("0001", "0002"):
        add_recording(tmp_path, f"{subject}-0001_left_1-200")
    for name in ("labels.json", "subjects.csv", "cohort.json", "synthesize.record.json"):
        (tmp_path / "data" / "demo" / name).touch()
    return tmp_path


def change(folder: Path, section: str, **values: object) -> None:
    path = folder / "params.yaml"
    settings = yaml.safe_load(path.read_text())
    settings[section] |= values
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def planned(folder: Path, target: str) -> tuple[dict[str, set[str]], str]:
    """Map each model to its planned runs, `fold-seed`; returns this and the text of the plan."""
    done = snakemake(folder, "--dry-run", "--", target)
    assert done.returncode == 0, done.stdout + done.stderr
    runs: dict[str, set[str]] = {}
    for model, run in re.findall(r"^    output: data/finetune/([a-z0-9_]+)/([^/]+)/", done.stdout, re.MULTILINE):
        runs.setdefault(model, set()).add(run)
    evaluated = set(re.findall(r"^    output: data/evaluate/([a-z0-9_]+)/", done.stdout, re.MULTILINE))
    assert evaluated == set(runs), "every trained model is evaluated"
    return runs, done.stdout


@pytest.mark.parametrize(("target", "rows"), [("ablation", ABLATION), ("frames", FRAMES)])
def test_a_comparison_trains_its_rows_and_the_baselines(workspace: Path, target: str, rows: tuple[str, ...]) -> None:
    change(workspace, "finetune", models=["childgait_video"], folds=["holdout"], seeds=[0, 1])
    runs, plan = planned(workspace, target)
    assert set(runs) == {*BASELINES, *rows}
    assert all(own == {"holdout-0", "holdout-1"} for own in runs.values())
    assert f"reports/{target}/index.html" in plan


def test_the_bench_trains_every_row_on_each_fold_and_seed(workspace: Path) -> None:
    change(workspace, "finetune", folds=["0", "1"], seeds=[0])
    runs, plan = planned(workspace, "bench")
    assert set(runs) == set(MODELS)
    assert all(own == {"0-0", "1-0"} for own in runs.values())
    assert "reports/peers/peers.md" in plan


def test_the_bench_trains_only_the_models_that_params_name(workspace: Path) -> None:
    change(workspace, "finetune", models=["lstm"], folds=["holdout"], seeds=[0])
    change(workspace, "bench", models=["gaitset", "lstm"])
    runs, _ = planned(workspace, "bench")
    assert set(runs) == {*BASELINES, "gaitset", "lstm"}


def test_without_video_the_bench_leaves_out_what_needs_it(workspace: Path) -> None:
    for video in (workspace / "data").rglob("*.mp4"):
        video.unlink()
    change(workspace, "cohort", modality="keypoints")
    change(workspace, "finetune", models=["stgcn"])
    runs, plan = planned(workspace, "bench")
    tables = {name for name, model in MODELS.items() if model.kind == "table"}
    assert set(runs) == tables - set(VIDEO_TABLES) | set(KEYPOINTS)
    assert ".mp4" not in plan


def test_tasks_are_classified_by_every_network_named_and_planned_by_nothing_else(workspace: Path) -> None:
    change(workspace, "finetune", models=["rules"], folds=["0", "1"], seeds=[0])
    change(workspace, "classify", tasks=["severity", "gait_type"], models=["stgcn", "gru"])
    done = snakemake(workspace, "--dry-run", "--", "tasks", "reidentify")
    assert done.returncode == 0, done.stdout + done.stderr
    graded = set(re.findall(r"^    output: data/classify/([^/]+/[^/]+/[^/]+)/", done.stdout, re.MULTILINE))
    learnt = set(re.findall(r"^    output: data/finetune/([^/]+/[^/]+)/", done.stdout, re.MULTILINE))
    assert learnt == {f"{model}/{fold}-0" for model in ("stgcn", "gru") for fold in (0, 1)}
    assert graded == {f"{task}/{run}" for task in ("severity", "gait_type") for run in learnt}
    assert "reports/tasks/severity.md" in done.stdout
    assert "reports/tasks/gait_type.md" in done.stdout
    assert "data/write_subtypes/subtypes.csv" in done.stdout
    assert "reports/reidentify/reidentify.md" in done.stdout
    sealed = snakemake(workspace, "--dry-run", "--", "vault")
    assert sealed.returncode != 0
    assert "the vault is sealed: open_vault.tag is empty" in sealed.stdout + sealed.stderr
    study = snakemake(workspace, "--dry-run", "--", "report_all").stdout
    assert "classify" not in study
    assert "open_vault" not in study
    assert "reidentify" not in study
