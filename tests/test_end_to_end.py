"""The smoke study, end to end in a clone of its own: raw videos to report, and what reruns when something changes.

A second clone pulls what the first has pushed, makes it again, is audited, and in the end loses a child.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from childgait.engine.record import ENDING
from childgait.files.hashes import md5
from childgait.files.video import read_frames, write_video
from childgait.lineage.check import audit_tree
from childgait.lineage.pixels import find_pictures, reference_pictures
from childgait.lineage.search import files_under, find_traces
from childgait.lineage.subjects import subject_of
from childgait.report.child.record import read_record
from support.cloned_study import Study, clone, clone_of
from test_no_raw_pixels import bare_heads
from test_rights import readable_by_others

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

VIDEO_STEPS = ("register", "deidentify", "segment", "estimate_pose", "refine_pose", "prepare_clips")
OPTIONAL = {
    "classify",
    "write_subtypes",
    "open_vault",
    "reidentify",
    "pretrain",
}  # on demand; where pretrain.models names a model
STAGES = ("cohort", "register", "deidentify", "perceive", "dataset", "pretrain", "finetune", "evaluate", "report")
AFTER_EVALUATE = (  # and every job of the stage report: DVC removes the outputs of a stage before it runs
    "evaluate",
    "bundle",
    "write_submission",
    "check_study",
    "write_child_page",
    "draw_examples",
    "write_report",
    "trace_lineage",
)
FEWER_DRAWS = ("-S", "evaluate.bootstrap=57")


def steps_of(folder: Path) -> set[str]:
    """Every step of a study."""
    return {path.stem for path in (folder / "src/childgait/steps").glob("*.py")} - {"__init__"} - OPTIONAL


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished smoke study."""
    made = clone(tmp_path_factory.mktemp("study"))
    done = made.study("smoke")
    made.commit("smoke")
    assert "reports/index.html" in done.stdout
    return made


@pytest.fixture(scope="module")
def pulled(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A fresh clone after `dvc pull`, first without and then with access to the recordings."""
    stores = tmp_path_factory.mktemp("stores")
    for name in ("raw", "derived"):
        study.run("dvc", "remote", "add", "--local", name, str(stores / name))
    study.run("dvc", "push", "--quiet")
    made = clone_of(study, tmp_path_factory.mktemp("pulled") / "clone")
    made.run("dvc", "pull", "--quiet", "--allow-missing", "--remote", "derived")
    assert (made.folder / "reports/index.html").exists()
    assert not (made.folder / "data/demo").exists()
    made.run("dvc", "pull", "--quiet")
    return made


def test_every_step_ran_and_the_report_stands(study: Study) -> None:
    ran = {job["step"] for job in study.jobs()}
    assert ran == steps_of(study.folder)
    metrics = json.loads((study.folder / "reports/metrics.json").read_text())
    assert metrics
    page = (study.folder / "reports/index.html").read_text()
    assert "<html" in page
    assert len(page) > 20_000


def test_no_other_user_can_read_the_study(study: Study) -> None:
    """Only what git tracks may be read by others."""
    tracked = {study.folder / name for name in study.run("git", "ls-files").stdout.splitlines()}
    folders = [path for path in study.folder.iterdir() if path.is_dir() and path.name != ".git"]
    assert {path for folder in folders for path in readable_by_others(folder)} - tracked == set()


def test_every_child_of_test_and_validation_has_a_page(study: Study) -> None:
    """Its answers are those of evaluate, and the index and the lineage lead to it."""
    reports = study.folder / "reports"
    rows = pl.read_parquet(study.folder / "data/evaluate/childgait_video/holdout-0/predictions.parquet")
    rows = rows.filter(pl.col("level") == "child").drop_nulls("calibrated")
    assert {path.stem for path in (reports / "children").glob("*.html")} == set(rows["subject"])
    for child in rows["subject"].unique():
        assert (reports / f"children/{child}.csv").is_file()
        given = {item.target: item.probability for item in read_record(reports / f"children/{child}.json").items}
        for row in rows.filter(pl.col("subject") == child).iter_rows(named=True):
            assert given[row["target"]] == pytest.approx(row["calibrated"], abs=1e-6)
        for page in ("index.html", "lineage.html"):
            assert f'href="children/{child}.html"' in (reports / page).read_text()


def test_no_video_that_was_made_shows_a_true_head(study: Study) -> None:
    assert bare_heads(study.folder) == []


def test_a_second_run_does_nothing(study: Study) -> None:
    lock = study.lock()
    assert study.jobs_of() == []
    assert study.lock() == lock
    assert "up to date" in study.run("dvc", "status").stdout


def test_recordings_go_to_a_remote_of_their_own(study: Study, pulled: Study) -> None:
    raw = {md5(path) for path in (study.folder / "data/demo").rglob("*") if path.is_file()}
    stored = {
        name: {p.parent.name + p.name for p in store_of(pulled, name).rglob("*") if p.is_file()}
        for name in ("raw", "derived")
    }
    assert raw <= stored["raw"]
    assert not raw & stored["derived"]


def store_of(study: Study, name: str) -> Path:
    return Path(study.run("dvc", "config", f"remote.{name}.url").stdout.strip()) / "files" / "md5"


def test_a_clone_that_pulls_goes_on_without_computing_anything(study: Study, pulled: Study) -> None:
    assert pulled.jobs_of() == []
    assert pulled.lock() == study.lock()
    assert "up to date" in pulled.run("dvc", "status").stdout
    assert pulled.run("git", "status", "--porcelain").stdout == ""


def test_another_clone_makes_the_same_bytes(pulled: Study, tmp_path: Path) -> None:
    """Every step again (three videos per video step), with other cores, threads and time zone and without a cache.

    The dvc.lock of the first clone must match every byte.
    """
    data = pulled.folder / "data"
    names = sorted({path.name.split(".")[0] for path in (data / "register").glob("*.json")})
    three = names[1:6:2]  # of several children and views
    assert len({name.split("_")[1] for name in three}) > 1
    for step in VIDEO_STEPS:
        for path in list((data / step).iterdir()):
            if path.name.startswith(tuple(three)):
                path.unlink()
    for path in data.iterdir():
        if path.is_dir() and path.name not in VIDEO_STEPS:
            shutil.rmtree(path)
    for path in (pulled.folder / "reports").iterdir():
        if path.name != "bench":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    profile = (pulled.folder / "profiles/default/config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(profile.replace("cores: all", "cores: 3"))
    other = {"SNAKEMAKE_PROFILE": str(tmp_path), "OMP_NUM_THREADS": "3", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    before = len(pulled.jobs())
    for stage in STAGES:
        pulled.run("workflow/stage", stage, **other)
        if stage == "cohort":
            age(pulled.folder)
    ran = Counter(job["step"] for job in pulled.jobs()[before:])
    assert {step: ran[step] for step in VIDEO_STEPS} == dict.fromkeys(VIDEO_STEPS, 3)
    assert ran.keys() == steps_of(pulled.folder)
    assert "up to date" in pulled.run("dvc", "status").stdout


def age(folder: Path) -> None:
    """Set dates as after a run: sources, recordings, then each step in order. DVC keeps no dates."""
    now = time.time() - 100
    for number, name in enumerate(("annotations", "src", "workflow", "data/demo", *(f"data/{s}" for s in VIDEO_STEPS))):
        for path in (folder / name).rglob("*"):
            os.utime(path, (now + number, now + number))


def test_a_flipped_byte_in_any_file_is_found(pulled: Study) -> None:
    """Of all the data at once (no finding can come from another file's, each has its own hash), of all the records at
    once, and of some files alone."""
    files = [
        p
        for top in ("data", "reports")
        for p in sorted((pulled.folder / top).rglob("*"))
        if p.is_file() and "bench" not in p.parts and p.name != ".gitkeep"
    ]
    records = [path for path in files if path.name.endswith(ENDING)]
    data = [path for path in files if path not in records]
    assert len(records) > 100
    assert len(data) > 400
    for group in (data, records, *([path] for path in random.Random(8).sample(files, 3))):
        whole = {path: path.read_bytes() for path in group}
        try:
            for path, content in whole.items():
                place = len(content) // 2
                path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            result = {
                pulled.folder / finding.path for finding in audit_tree(pulled.folder)[0] if finding.kind != "stale"
            }
        finally:
            for path, content in whole.items():
                path.write_bytes(content)
        assert set(group) - result == set()
        assert result - set(group) == set() or group is not data
    assert audit_tree(pulled.folder)[0] == []


def test_git_and_dvc_record_the_preset_that_ran(study: Study) -> None:
    assert "preset: smoke" in (study.folder / "params.yaml").read_text()
    assert study.run("git", "status", "--porcelain").stdout == ""


def test_raw_pixels_and_truth_stay_where_they_are(study: Study) -> None:
    """Only the records of register and deidentify name a raw recording; none names the truth."""
    for path in study.folder.glob("data/**/*.record.json"):
        record = json.loads(path.read_text())
        inputs = [entry["path"] for entries in record["inputs"].values() for entry in entries]
        raw = [entry for entry in inputs if entry.startswith("data/demo/dataset/")]
        assert not raw or record["step"] in ("register", "deidentify"), f"{path} read {raw}"
        assert not [entry for entry in inputs if "truth" in entry]


def test_an_edit_reruns_exactly_what_it_reaches(study: Study) -> None:
    """A comment in the metrics reruns evaluation and report, but no video step and no training."""
    path = study.folder / "src/childgait/steps/evaluate.py"
    good = path.read_text()
    try:
        path.write_text(good + "\n# a remark\n")
        ran = {job["step"] for job in study.jobs_of()}
    finally:
        path.write_text(good)
    assert "evaluate" in ran
    assert ran <= {*AFTER_EVALUATE}
    study.study()


def test_an_experiment_reruns_what_depends_on_it_and_back_and_forth_gives_the_first_results(
    study: Study, pulled: Study
) -> None:
    """`dvc exp run` here, `dvc exp run --temp` in the clone that pulled, and `dvc repro` after a checkout agree.

    Snakemake's memory is not versioned: a checkout must not let it pass old files off as new ones.
    """
    params = study.folder / "params.yaml"
    first_lock, first_params, before = study.lock(), params.read_text(), len(study.jobs())
    study.replace("params.yaml", "\n  learning_rate: 0.001 ", "\n  learning_rate: 0.002 ")
    changed = json.loads(study.run("dvc", "status", "--json").stdout).keys()
    params.write_text(first_params)
    assert changed == {"pretrain", "finetune", "evaluate", "report"}  # pretrain reads how finetune draws and prunes
    study.run("dvc", "exp", "run", "--quiet", *FEWER_DRAWS)
    ran = {job["step"] for job in study.jobs()[before:]}
    assert ran == {*AFTER_EVALUATE}
    shown = study.run("dvc", "exp", "show", "--csv").stdout.splitlines()[0].split(",")
    assert not [column for column in shown if column.startswith("src/childgait/")]
    second_lock, second_params = study.lock(), params.read_text()
    second_metrics = (study.folder / "reports/metrics.json").read_bytes()
    assert second_lock != first_lock
    # Fewer draws change no figure of the headline, whose intervals are not drawn: --all lists unchanged ones, too.
    compared = json.loads(study.run("dvc", "metrics", "diff", "--all", "--json").stdout)["reports/headline.json"]
    assert compared
    drawn = json.loads(study.run("dvc", "plots", "diff", "--json").stdout)
    assert set(drawn["data"]["learning"][0]["revisions"]) == {"HEAD", "workspace"}
    assert not drawn.get("errors")
    study.commit("second")

    pulled.run("dvc", "exp", "run", "--quiet", "--temp", *FEWER_DRAWS)
    made = pulled.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/").stdout.split()[0]
    assert pulled.run("git", "show", f"{made}:dvc.lock").stdout == second_lock
    assert pulled.lock() == first_lock

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


def test_an_erased_child_is_nowhere(study: Study, pulled: Study, tmp_path: Path) -> None:
    """Search by number, hashes and pixels: the clone that pulled, remotes, caches, MLflow, temporary folders."""
    child = "0003"
    own = [path for path in files_under(study.folder / "data") if subject_of(str(path)) == child]
    known = reference_pictures(own)  # of the first clone, which keeps the child
    held = {digest for path in own if path.name.endswith((".mp4", ".npy")) for digest in [md5(path)]}
    stores = [store_of(pulled, name) for name in ("raw", "derived")]
    everything = (
        [
            pulled.folder / name
            for name in (
                ".cache",
                ".dvc",
                ".snakemake",
                "annotations",
                "data",
                "logs",
                "mlruns",
                "reports",
                "params.yaml",
                "dvc.lock",
            )
        ]
        + stores
        + [tmp_path]
    )
    paths = [path for place in everything for path in (files_under(place) if place.is_dir() else [place])]
    assert find_traces(child, held, paths)

    printed = pulled.run("childgait", "erase", child, "--yes", "--remote", TMPDIR=str(tmp_path)).stdout
    assert "Git's history is not rewritten" in printed
    paths = [path for place in everything for path in (files_under(place) if place.is_dir() else [place])]
    assert find_traces(child, held, paths) == {}
    assert find_pictures(known, paths, skip=set()) == {}
    assert len(list((pulled.folder / "data/demo/dataset").iterdir())) == 5


def test_it_works_with_the_network_cut(tmp_path: Path, study: Study) -> None:
    """Write the report again from the stored predictions, in a network namespace without any interface."""
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
    """While a stage runs in the clone, a second one stops with an error."""
    lock = study.folder / ".snakemake" / "stage.lock"
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = study.run("workflow/stage", "report", check=False)
    assert done.returncode == 1
    assert "active in this clone" in done.stderr


def test_one_more_video_redoes_one_video(study: Study) -> None:
    """DVC empties the folders of the stages and the output cache refills them: only the new jobs and the pooling run.

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
    assert {job["step"] for job in jobs} == {*VIDEO_STEPS, "gate", "draw_sheets"}


def test_a_row_of_a_comparison_is_trained_through_the_cache(study: Study) -> None:
    """As `snakemake frames --cache` does: the cache hashes the params of every job upstream, the cohort's included."""
    made = study.folder / "data/finetune/tcn/holdout-0/model.json"
    assert not made.exists()
    study.run("snakemake", "--cores", "1", "--cache", "--", str(made.relative_to(study.folder)))
    assert json.loads(made.read_text())["model"] == "tcn"
