"""The smoke study, end to end in a clone of its own: raw videos to report, and what reruns when something changes."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from childgait.files.video import read_frames, write_video
from study import Study, clone
from test_no_raw_pixels import bare_heads

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

VIDEO_STEPS = ("register", "deidentify", "segment", "estimate_pose", "refine_pose", "prepare_clips")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished smoke study."""
    made = clone(tmp_path_factory.mktemp("study"))
    done = made.study("smoke")
    made.commit("smoke")
    assert "reports/index.html" in done.stdout
    return made


def test_every_step_ran_and_the_report_stands(study: Study) -> None:
    ran = {job["step"] for job in study.jobs()}
    steps = {path.stem for path in (study.folder / "src/childgait/steps").glob("*.py")} - {"__init__"}
    assert ran == steps
    metrics = json.loads((study.folder / "reports/metrics.json").read_text())
    assert metrics
    page = (study.folder / "reports/index.html").read_text()
    assert "<html" in page
    assert len(page) > 20_000


def test_no_video_that_was_made_shows_a_true_head(study: Study) -> None:
    assert bare_heads(study.folder) == []


def test_a_second_run_does_nothing(study: Study) -> None:
    lock = study.lock()
    assert study.jobs_of() == []
    assert study.lock() == lock
    assert "up to date" in study.run("dvc", "status").stdout


def test_git_and_dvc_record_the_preset_that_ran(study: Study) -> None:
    assert "preset: smoke" in (study.folder / "params.yaml").read_text()
    assert study.run("git", "status", "--porcelain").stdout == ""


def test_raw_pixels_and_truth_stay_where_they_are(study: Study) -> None:
    """No record but those of register and deidentify names a raw recording; none names the truth."""
    for path in study.folder.glob("data/**/*.record.json"):
        record = json.loads(path.read_text())
        inputs = [entry["path"] for entries in record["inputs"].values() for entry in entries]
        raw = [entry for entry in inputs if entry.startswith("data/demo/dataset/")]
        assert not raw or record["step"] in ("register", "deidentify"), f"{path} read {raw}"
        assert not [entry for entry in inputs if "truth" in entry]


def test_an_edit_reruns_exactly_what_it_reaches(study: Study) -> None:
    """A remark in the evaluation's metrics reruns what judges and reports, and nothing that sees or learns."""
    path = study.folder / "src/childgait/steps/evaluate.py"
    good = path.read_text()
    try:
        path.write_text(good + "\n# a remark\n")
        ran = {job["step"] for job in study.jobs_of()}
    finally:
        path.write_text(good)
    assert "evaluate" in ran
    assert ran <= {"evaluate", "write_submission", "check_study", "write_report", "trace_lineage"}
    study.study()


def test_back_and_forth_gives_the_first_results_again(study: Study) -> None:
    """Snakemake's memory is not versioned: a checkout must not let it pass old files off as new ones."""
    params = study.folder / "params.yaml"
    first_lock, first_params = study.lock(), params.read_text()
    draws = next(line for line in first_params.splitlines() if line.strip().startswith("bootstrap:"))
    study.replace("params.yaml", draws, draws.replace(draws.split(":")[1].split("#")[0].strip(), "57", 1))
    study.study()
    second_lock, second_params = study.lock(), params.read_text()
    second_metrics = (study.folder / "reports/metrics.json").read_bytes()
    assert second_lock != first_lock
    study.commit("second")

    study.run("git", "checkout", "--quiet", "HEAD~1")
    study.run("dvc", "checkout", "--force")
    assert study.lock() == first_lock
    params.write_text(second_params)
    study.study()
    assert study.lock() == second_lock
    assert (study.folder / "reports/metrics.json").read_bytes() == second_metrics

    study.run("git", "checkout", "--quiet", "--force", "HEAD")
    study.run("dvc", "checkout", "--force")
    study.study()
    assert study.lock() == first_lock


def test_it_works_with_the_network_cut(tmp_path: Path, study: Study) -> None:
    """The report again from the stored predictions, in a network namespace without a single interface."""
    probe = subprocess.run(["unshare", "-rn", "true"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("this system lets nobody make a network namespace (unshare -rn)")
    command = ["unshare", "-rn", "workflow/with-environment", "workflow/stage", "report"]
    for name in ("index.html", "metrics.json"):
        (study.folder / "reports" / name).rename(tmp_path / name)
    done = subprocess.run(command, cwd=study.folder, env=study.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("index.html", "metrics.json"):
        assert (study.folder / "reports" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_two_runs_at_once_do_not_meet(study: Study) -> None:
    """While a stage is at work in the clone, another says so and leaves."""
    lock = study.folder / ".snakemake" / "stage.lock"
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = study.run("workflow/stage", "report", check=False)
    assert done.returncode == 1
    assert "at work in this clone" in done.stderr


def test_one_more_video_redoes_one_video(study: Study) -> None:
    """DVC empties the stages' folders, the output cache fills them again: only the new recording's jobs run, and what pools.

    The last test here: it leaves the cohort changed. Stage by stage, since the whole would make the demo cohort anew.
    """
    source = sorted((study.folder / "data/demo/dataset").glob("*/*.mp4"))[0]
    poses = source.with_name(source.stem + "_filtered_pose.zip")
    added = source.stem.replace("-0001_", "-0002_", 1)
    assert added != source.stem
    film = list(read_frames(source))  # not quite the same: the gates refuse one film under two names
    pictures = [frame.pixels for frame in film]
    for picture in pictures:
        picture[:8, :8] = 0
    write_video(source.with_name(added + ".mp4"), pictures, [frame.seconds for frame in film])
    shutil.copy(poses, poses.with_name(added + "_filtered_pose.zip"))
    before = len(study.jobs())
    for stage in ("register", "deidentify", "perceive"):
        study.run("dvc", "repro", "--quiet", "--single-item", stage)
    jobs = study.jobs()[before:]
    for step in VIDEO_STEPS:
        records = [job["record"] for job in jobs if job["step"] == step]
        assert len(records) == 1, f"{step} ran for {records}"
        assert added in records[0]
    assert {job["step"] for job in jobs} == {*VIDEO_STEPS, "gate", "review"}
