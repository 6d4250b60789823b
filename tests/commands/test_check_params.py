"""`childgait check-params` beyond the values of params.yaml: remotes, real people, manual tables, later stages."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from childgait.errors import StepError
from childgait.files import corrections, external_answers, regions, selections, vault
from childgait.params import Cohort, Deidentify, Finetune, load_params, load_section
from childgait.preflight.params import (
    check_bench_models,
    check_later_stages,
    check_recordings,
    check_reidentify_encoder,
    check_remotes,
    check_task_models,
    check_unseen_policy,
    explain_missing_keypoints,
    unmatched_rows,
    videos_of_table,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "path", "remote"),
    [
        ("data/raw.dvc", "raw", ""),
        ("data.dvc", "data", ""),
        ("data/raw/dataset.dvc", "dataset", ""),
        ("data/raw.dvc", "raw", "remote: raw"),
        ("data/raw.dvc", "raw", "push: false"),
        ("data/other.dvc", "other", ""),
    ],
)
def test_recordings_must_name_their_remote(tmp_path: Path, name: str, path: str, remote: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(f"outs:\n- md5: d51834de0d0bf85d6a6c9a4c881ad503.dir\n  path: {path}\n  {remote}\n")
    if remote or path == "other":
        check_remotes(Path("data/raw"), tmp_path)
        return
    with pytest.raises(StepError, match="would send recordings with faces to the remote") as caught:
        check_remotes(Path("data/raw"), tmp_path)
    assert "remote: raw" in caught.value.hint


def make_cohort(root: Path, *names: str) -> Path:
    for name in names:
        folder = root / "dataset" / name[:4]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.mp4").write_bytes(b"a video")
    return root


def test_a_real_cohort_cannot_accept_whom_nothing_sees(tmp_path: Path) -> None:
    accepts = load_section(ROOT / "params.yaml", Deidentify).model_copy(update={"unseen": "accept"})
    cohort = make_cohort(tmp_path / "raw", "0001-0001_left_1-240")
    with pytest.raises(StepError, match="would stay uncovered") as caught:
        check_unseen_policy(cohort, accepts)
    assert "hold" in caught.value.hint
    check_unseen_policy(cohort, accepts.model_copy(update={"unseen": "hold"}))
    check_unseen_policy(cohort, accepts.model_copy(update={"backends": ["centerface", "sam3"]}))
    check_unseen_policy(tmp_path / "not-here", accepts)
    (cohort / "cohort.json").write_text("{}")  # `synthesize` made it
    check_unseen_policy(cohort, accepts)


def test_a_row_that_names_no_recording_is_told(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "raw", "0001-0001_left_1-240")
    (tmp_path / "regions.csv").write_text(
        "video,region,frame,x0,y0,x1,y1\n0001-0001_left_1-240,badge,,1,1,5,5\n0001-0001_left_1-24,badge,,1,1,5,5\n"
        "0008-0001_left_1-240,of a child who is not in this cohort,,1,1,5,5\n 0001-0001_left_1-240,blank,,1,1,5,5\n"
    )
    wrong, blank = unmatched_rows(cohort, tmp_path)
    assert "line 3: 0001-0001_left_1-24 is no recording" in wrong
    assert "line 5:  0001-0001_left_1-240 is no recording" in blank


def test_a_persons_table_is_read_however_a_spreadsheet_wrote_it(tmp_path: Path) -> None:
    """A skipped row would leave a head uncovered: quotes and column order are accepted, semicolons are an error."""
    table = tmp_path / "regions.csv"
    assert videos_of_table(table) == []
    table.write_text('\ufeff"region","video","frame"\n"a, badge","0001-0001_left_1-240",""\n', encoding="utf-8")
    assert videos_of_table(table) == [(2, "0001-0001_left_1-240")]
    table.write_text("video;region;frame\n0001-0001_left_1-240;badge;\n")
    with pytest.raises(StepError, match="lacks the column\\(s\\) video"):
        videos_of_table(table)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("regions", regions.REGION_COLUMNS),
        ("cleared", regions.CLEARED_COLUMNS),
        ("corrections", corrections.COLUMNS),
        ("selections", selections.COLUMNS),
        ("split", ("subject", "part")),
        ("external", external_answers.COLUMNS),
        ("vault", vault.COLUMNS),
    ],
)
def test_the_tables_that_lie_ready_have_the_columns_that_are_read(name: str, columns: tuple[str, ...]) -> None:
    first = (ROOT / "annotations" / f"{name}.csv").read_text().splitlines()[0].split(",")
    assert set(columns) <= set(first)


@pytest.mark.parametrize(
    ("section", "changes", "output"),
    [
        ("cohort", {"root": "data/rawww"}, "cohort.root is data/rawww, but there is no such folder"),
        ("cohort", {"annotations": "notes"}, "there is no notes/regions.csv"),
        ("cohort", {"modality": "keypoints"}, "childgait_video of finetune.models needs video frames"),
        ("finetune", {"models": ["childgait_vido"]}, "did you mean 'childgait_video'?"),
        ("finetune", {"folds": ["holdout", "7"]}, "finetune.folds names 7, but split_subjects.folds is 4"),
        ("finetune", {"overrides": {"rules": {"epoch": 3}}}, "finetune.overrides.rules.epoch is no key"),
        (
            "finetune",
            {"weights": "weights/none.safetensors", "overrides": {}},
            "finetune.weights is 'weights/none.safetensors', but there is no such file",
        ),
        (
            "finetune",
            {"head": "measures", "overrides": {}},
            "finetune.head is measures, but childgait_video starts without a checkpoint",
        ),
        (
            "finetune",
            {"models": ["videomae"], "weights": "shipped", "overrides": {}},
            "finetune.weights is shipped for videomae, but no checkpoint of it",
        ),
        (
            "prepare_clips",
            {"size": 112},
            "childgait_video.safetensors was pre-trained with pixels 64 (the study's is 112, prepare_clips.size)",
        ),
        ("segment", {"backend": "sam3"}, "segment.sam3_folder is 'weights/sam3', but there is no such file or folder"),
        ("estimate_pose", {"backend": "sapiens2"}, "estimate_pose.weights is '', but there is no such file or folder"),
        (
            "deidentify",
            {"backends": ["retinaface"]},
            "deidentify.retinaface_weights is '', but there is no such file or folder",
        ),
    ],
)
def test_what_a_later_stage_would_stop_at_is_told_now(
    section: str, changes: dict, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    sections = load_params(ROOT / "params.yaml")
    check_later_stages(sections)
    with pytest.raises(StepError) as caught:
        check_later_stages(sections | {section: sections[section].model_copy(update=changes)})
    assert output in str(caught.value)


@pytest.mark.parametrize(("name", "lost"), [("regions", "y1"), ("cleared", "sha256"), ("selections", "x0")])
def test_a_table_without_a_column_is_told_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, lost: str
) -> None:
    monkeypatch.chdir(ROOT)
    shutil.copytree(ROOT / "annotations", tmp_path / "annotations")
    (tmp_path / "annotations" / f"{name}.csv").write_text(
        (ROOT / "annotations" / f"{name}.csv").read_text().splitlines()[0].replace(f",{lost}", "") + "\n"
    )
    sections = load_params(ROOT / "params.yaml")
    cohort = sections["cohort"].model_copy(update={"annotations": str(tmp_path / "annotations")})
    with pytest.raises(StepError, match=rf"{name}\.csv lacks the column\(s\) {lost}"):
        check_later_stages(sections | {"cohort": cohort})


@pytest.mark.parametrize(
    ("modality", "name", "message"),
    [
        ("video", "stgnc", "no model is called 'stgnc'"),
        ("video", "rules", r"classify.models names rules, which is no network\. Hint: there are videomae"),
        ("keypoints", "r3d18", "classify.models names r3d18, which is no network on keypoints"),
    ],
)
def test_a_model_without_a_last_layer_stops_classify_before_anything_runs(
    modality: str, name: str, message: str
) -> None:
    sections: Any = load_params(ROOT / "params.yaml")
    sections["cohort"] = sections["cohort"].model_copy(update={"modality": modality})
    check_task_models(sections)  # as delivered
    sections["classify"] = sections["classify"].model_copy(update={"models": ["gru", name]})
    with pytest.raises(StepError, match=message):
        check_task_models(sections)
    if modality == "video":
        with pytest.raises(StepError, match=message):
            check_later_stages(sections)


@pytest.mark.parametrize(
    ("models", "changes", "message"),
    [
        (["tcn"], {"distillation": {"teacher": "gru"}}, "teacher of tcn is gru, which finetune.models does not name"),
        (["gru", "tcn"], {"distillation": {"teacher": "gru"}}, "teacher is gru for gru itself"),
        (["tcn"], {"skeleton": {"extra": ["moments"], "moments_rate": 60.0}}, "moments_rate is 60 for tcn"),
    ],
)
def test_options_that_cannot_work_stop_before_anything_runs(
    models: list[str], changes: dict[str, dict[str, Any]], message: str
) -> None:
    sections: Any = load_params(ROOT / "params.yaml")
    section = sections["finetune"].model_dump()
    for name, values in changes.items():
        section[name] |= values
    finetune = Finetune.model_validate(section | {"models": models, "overrides": {}})
    with pytest.raises(StepError, match=message) as caught:
        check_later_stages(sections | {"finetune": finetune})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("modality", "name", "message"),
    [
        ("video", "gatset", "no model is called 'gatset'"),
        ("video", "majority", "bench.models names majority, which is added to every comparison"),
        ("keypoints", "gaitset", "gaitset of bench.models needs video frames"),
    ],
)
def test_a_model_that_cannot_join_the_bench_stops_before_anything_runs(modality: str, name: str, message: str) -> None:
    sections: Any = load_params(ROOT / "params.yaml")
    sections["cohort"] = sections["cohort"].model_copy(update={"modality": modality})
    check_bench_models(sections)  # as delivered
    sections["bench"] = sections["bench"].model_copy(update={"models": ["gru", name]})
    with pytest.raises(StepError, match=message) as caught:
        check_bench_models(sections)
    assert caught.value.hint
    if modality == "video":
        with pytest.raises(StepError, match=message):
            check_later_stages(sections)


@pytest.mark.parametrize("name", ["rules", "vgg"])
def test_an_encoder_of_reidentify_is_a_network(name: str) -> None:
    sections: Any = load_params(ROOT / "params.yaml")
    check_reidentify_encoder(sections)
    sections["reidentify"] = sections["reidentify"].model_copy(update={"encoder": name})
    with pytest.raises(StepError, match=name) as caught:
        check_reidentify_encoder(sections)
    assert "videomae" in caught.value.hint
    with pytest.raises(StepError, match=name):
        check_later_stages(sections)


def test_recordings_are_checked_before_a_run(tmp_path: Path) -> None:
    cohort = load_section(ROOT / "params.yaml", Cohort).model_copy(update={"root": str(tmp_path)})
    make_cohort(tmp_path, "0001-0001_left_1-240")
    (tmp_path / "dataset" / "Anna").mkdir()
    (tmp_path / "dataset" / "Anna" / "0001-0002_left_1-240.mp4").write_bytes(b"a video")
    with pytest.raises(StepError, match=r"problem\(s\) that would stop a run, first .*cannot be opened") as caught:
        check_recordings(cohort)
    assert f"`childgait check-cohort {tmp_path}` lists them all" in caught.value.hint


def test_videos_without_keypoints_are_explained(tmp_path: Path) -> None:
    sections = load_params(ROOT / "params.yaml")
    names = ("0001-0001_left_1-240", "0001-0001_right_1-240")
    cohort = make_cohort(tmp_path, *names)
    sections["cohort"] = sections["cohort"].model_copy(update={"root": str(cohort)})
    sections["segment"] = sections["segment"].model_copy(update={"backend": "auto"})
    sections["estimate_pose"] = sections["estimate_pose"].model_copy(update={"backend": "auto"})
    sections["deidentify"] = sections["deidentify"].model_copy(update={"backends": ["centerface"]})
    lines = explain_missing_keypoints(sections)
    assert lines[0].startswith("2 of 2 videos have no keypoints (first 0001-0001_left_1-240): segment uses blazepose")
    assert ["FCL" in line for line in lines] == [False, True, False]
    assert "waits for a reviewer" in lines[2]
    sections["estimate_pose"] = sections["estimate_pose"].model_copy(update={"backend": "delivered"})
    with pytest.raises(StepError, match=r"2 of 2 videos have no keypoints .* but estimate_pose.backend is delivered"):
        explain_missing_keypoints(sections)
    for name in names:
        (cohort / "dataset" / "0001" / f"{name}_filtered_pose.zip").touch()
    assert explain_missing_keypoints(sections) == []
