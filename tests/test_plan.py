"""The plan, made on empty files: inputs and outputs of each stage, use of raw data, jobs of an additional video."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from childgait.engine.source_files import ROOT
from childgait.files.annotations import rows_by_video, write_video_rows
from childgait.files.split import REQUESTED
from childgait.report import FIGURES, TABLES
from childgait.review.access import Sessions
from childgait.review.app import create_app
from childgait.review.study import Study
from review.conftest import Browser
from review.test_clear import data_of
from support.review_study import write_recording

# `sources` writes the stamps of the others and calls no Snakemake.
STAGES = ("cohort", "register", "deidentify", "perceive", "dataset", "pretrain", "finetune", "evaluate", "report")
SUBJECTS = ("0001", "0002", "0003", "0004")
VIEWS = ("forward", "left")


# A profile that is set outside would change what a dry run prints.
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")} | {
    "PYTHONPATH": str(ROOT / "src")
}


@dataclass(frozen=True)
class Job:
    """A planned job: its rule, inputs and outputs."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "workflow/run_snakemake.py", "--workflow-profile", "none", "--cores", "1", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )


def plan(folder: Path, stage: str) -> list[Job]:
    """Read the planned jobs of a stage from Snakemake's dry run."""
    done = snakemake(folder, "-s", f"workflow/rules/{stage}.smk", "--dry-run", "--forceall", "--", f"{stage}_all")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = []
    for block in re.split(r"^(?:local)?rule ", done.stdout, flags=re.MULTILINE)[1:]:
        result = {
            kind: tuple(match.group(1).split(", ")) if (match := re.search(rf"^    {kind}: (.*)$", block, re.M)) else ()
            for kind in ("input", "output")
        }
        rule = block.split(":", 1)[0]
        if result["output"]:
            inputs = tuple(inner for path in result["input"] for inner in behind(folder, path))
            jobs.append(Job(rule, inputs, result["output"]))
    assert jobs, done.stdout
    return jobs


def behind(folder: Path, path: str) -> list[str]:
    """List the source files of a step's or a stage's stamp, the table of one video's rows, else the input itself."""
    if path.startswith(".snakemake/annotations/"):
        return [f"annotations/{path.split('/')[2]}.csv"]
    if not path.startswith((".snakemake/code/", "workflow/sources/")):
        return [path]
    return [line.split("  ", 1)[1] for line in (folder / path).read_text().splitlines()]


def add_recording(folder: Path, name: str) -> None:
    here = folder / "data" / "demo" / "dataset" / name.split("-")[0]
    here.mkdir(parents=True, exist_ok=True)
    (here / f"{name}.mp4").touch()
    (here / f"{name}_filtered_pose.zip").touch()


def write_stamps(folder: Path) -> None:
    """Write the stamps of the stages, as the DVC stage `sources` does."""
    done = subprocess.run(
        [sys.executable, "workflow/borders.py", "--write"], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules over a cohort of empty files."""
    folder = tmp_path_factory.mktemp("plan")
    for name in ("Snakefile", "params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles", "annotations"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "src").symlink_to(ROOT / "src")
    for subject in SUBJECTS:
        for view in VIEWS:
            add_recording(folder, f"{subject}-0001_{view}_1-200")
    write_stamps(folder)
    for name in ("labels.json", "subjects.csv", "cohort.json"):
        (folder / "data" / "demo" / name).touch()
    path = folder / "params.yaml"  # one model is pre-trained here, so that the stage has a job
    path.write_text(path.read_text().replace("  models: []  ", "  models: [childgait_video]  ", 1))
    return folder


@pytest.fixture(scope="module")
def plans(workspace: Path) -> dict[str, list[Job]]:
    """The plan of every stage, made after the outputs of the previous stages exist as empty files."""
    result = {}
    for stage in STAGES:
        result[stage] = plan(workspace, stage)
        for job in result[stage]:
            for output in job.outputs:
                (workspace / output).parent.mkdir(parents=True, exist_ok=True)
                (workspace / output).touch()
        if stage == "dataset":
            rows = [("0001", "train"), ("0002", "train"), ("0003", "validation"), ("0004", "test")]
            folds = yaml.safe_load((workspace / "params.yaml").read_text())["finetune"]["folds"]
            text = "subject,fold,part\n" + "".join(f"{s},{fold},{part}\n" for fold in folds for s, part in rows)
            (workspace / "data" / "split_subjects" / "subjects.csv").write_text(text)
    return result


def stages_of_dvc(folder: Path) -> dict[str, Any]:
    """Read dvc.yaml with its ${...} filled from params.yaml, as DVC does."""
    values = yaml.safe_load((folder / "params.yaml").read_text())
    text = (folder / "dvc.yaml").read_text()
    for key, value in values["cohort"].items():
        text = text.replace(f"${{cohort.{key}}}", str(value))
    return yaml.safe_load(text)["stages"]


def paths_of(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def under(path: str, borders: list[str]) -> bool:
    return any(path == border or path.startswith(border + "/") for border in borders)


def test_dvc_has_the_stages_in_running_order(workspace: Path) -> None:
    assert tuple(stages_of_dvc(workspace)) == ("sources", *STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_borders_agree(workspace: Path, plans: dict[str, list[Job]], stage: str) -> None:
    """All outputs of the rules of a stage are under its outs, all inputs from outside under its deps."""
    border = stages_of_dvc(workspace)[stage]
    outs = paths_of(border.get("outs", []) + border.get("metrics", []) + border.get("plots", []))
    deps = [file for dep in paths_of(border["deps"]) for file in behind(workspace, dep)]
    own = {output for job in plans[stage] for output in job.outputs}
    for path in own:
        assert under(path, outs), f"{path} is written outside the outs of the stage {stage}"
    for job in plans[stage]:
        for path in job.inputs:
            assert path in own or under(path, deps), f"{job.rule} reads {path}, no dep of the stage {stage}"


def test_every_stage_depends_on_its_stamp(workspace: Path) -> None:
    done = subprocess.run([sys.executable, "workflow/borders.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    stages = stages_of_dvc(workspace)
    read = stages["sources"]["deps"]
    for stage in STAGES:
        assert [dep for dep in stages[stage]["deps"] if under(dep, ["workflow", "src"])] == [
            f"workflow/sources/{stage}.sha256"
        ]
        for path in behind(workspace, f"workflow/sources/{stage}.sha256"):
            assert under(path, read), f"an edit of {path} would not write the stamp of {stage} anew"


def test_only_the_stages_that_reach_a_file_get_another_stamp(workspace: Path) -> None:
    """An edit of a rules file changes the stamps of the stages that include it, and no other one."""
    before = {stage: (workspace / f"workflow/sources/{stage}.sha256").read_bytes() for stage in STAGES}
    rules = workspace / "workflow" / "rules" / "comparisons.smk"
    text = rules.read_text()
    try:
        rules.write_text(text + "# a remark\n")
        write_stamps(workspace)
        after = {stage: (workspace / f"workflow/sources/{stage}.sha256").read_bytes() for stage in STAGES}
    finally:
        rules.write_text(text)
        write_stamps(workspace)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == {"report"}


def test_only_register_and_deidentify_read_raw_recordings(plans: dict[str, list[Job]]) -> None:
    readers = {
        job.rule
        for jobs in plans.values()
        for job in jobs
        if any(p.startswith("data/demo/dataset/") for p in job.inputs)
    }
    assert readers == {"register", "deidentify"}


def test_nobody_reads_the_truth(plans: dict[str, list[Job]]) -> None:
    assert not [job for jobs in plans.values() for job in jobs if any("/truth/" in path for path in job.inputs)]


def test_finetune_reads_no_test_table_and_no_test_child(plans: dict[str, list[Job]]) -> None:
    inputs = {path for job in plans["finetune"] for path in job.inputs}
    assert any(path.endswith(".train.parquet") for path in inputs)
    assert not [path for path in inputs if "test" in path]
    clips = {Path(path).name.split("-")[0] for path in inputs if path.startswith("data/prepare_clips/")}
    assert clips == {"0001", "0002", "0003"}  # 0004 is the test child


def test_only_a_model_with_a_pool_gets_clips_without_scores_and_a_student_its_teachers_run(
    workspace: Path, plans: dict[str, list[Job]]
) -> None:
    """0005 and 0006 are in no part of any fold, but split.csv requests 0006 as test; 0004 is the test child."""
    params, assignment = workspace / "params.yaml", workspace / "data" / "split_subjects" / "subjects.csv"
    before = {path: path.read_text() for path in (params, assignment)}
    values = yaml.safe_load(before[params])
    values["finetune"] |= {"models": ["agrm", "r3d18", "tcn"], "folds": ["holdout"], "seeds": [3]}
    values["finetune"]["overrides"]["tcn"] = {"distillation": {"teacher": "r3d18"}}
    rows = [
        ("0001", "train", ""),
        ("0002", "train", ""),
        ("0003", "validation", ""),
        ("0004", "test", ""),
        ("0005", "none", "the child has no score"),
        ("0006", "none", "the child has no score" + REQUESTED),
    ]
    try:
        params.write_text(yaml.safe_dump(values, sort_keys=False))
        assignment.write_text("subject,fold,part,reason\n" + "".join(f"{s},holdout,{p},{r}\n" for s, p, r in rows))
        for child in ("0005", "0006"):
            add_recording(workspace, f"{child}-0001_left_1-200")
            (workspace / "data" / "prepare_clips" / f"{child}-0001_left_1-200.clip.json").touch()
        jobs = {
            job.outputs[0].split("/")[2]: set(job.inputs)
            for job in plan(workspace, "finetune")
            if job.rule == "finetune"
        }
    finally:
        for path, text in before.items():
            path.write_text(text)
        for child in ("0005", "0006"):
            shutil.rmtree(workspace / "data" / "demo" / "dataset" / child)
    pool = {"data/prepare_clips/0005-0001_left_1-200.clip.json", "data/split_subjects/subjects.csv"}
    assert jobs["agrm"] - jobs["r3d18"] == pool
    assert not jobs["r3d18"] - jobs["agrm"]
    taught_by = {f"data/finetune/r3d18/holdout-3/{name}" for name in ("weights.safetensors", "model.json")}
    assert jobs["tcn"] - jobs["r3d18"] == taught_by
    assert not [path for inputs in jobs.values() for path in inputs if "/0004-" in path or "/0006-" in path]


def stdout_of_plan(folder: Path, stage: str) -> str:
    return snakemake(
        folder, "-s", f"workflow/rules/{stage}.smk", "--dry-run", "--forceall", "--", f"{stage}_all"
    ).stdout


def check_groups(folder: Path, stage: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["profiles/slurm/check", stage, "--forceall"]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT | {"PATH": path}, capture_output=True, text=True)


def minutes_of(folder: Path, pattern: str) -> list[float]:
    """Read the minutes of the planned jobs of perceive whose wildcards match."""
    return [
        float(minutes[1])
        for block in re.split(r"^rule ", stdout_of_plan(folder, "perceive"), flags=re.MULTILINE)[1:]
        if re.search(pattern, block) and (minutes := re.search(r"\bruntime=(\d+)", block))
    ]


def test_a_group_longer_than_its_partition_is_split(workspace: Path, plans: dict[str, list[Job]]) -> None:
    """A group of a child requests the minutes of all its videos and of the sheets; a job cannot be split."""
    partitions = workspace / "profiles" / "slurm" / "partitions.yaml"
    before = partitions.read_text()
    assert check_groups(workspace, "perceive").returncode == 0, "without a limit nothing is planned"
    child = sum(minutes_of(workspace, r"(video|subject)=0001\b"))
    video = sum(minutes_of(workspace, r"video=0001-0001_left_1-200\b"))
    job = max(minutes_of(workspace, r"video=0001-0001_left_1-200\b"))
    assert child > video > job
    with_groups = [f"{rule}=subject" for rule in ("segment", "estimate_pose", "refine_pose", "prepare_clips")]
    other_groups = ["register=recordings", "deidentify=covering"]
    try:
        done = {}
        for limit in (child, child - 1, video - 1, job - 1):
            partitions.write_text(before.replace("    max_gpu: 0\n", f"    max_gpu: 0\n    max_runtime: {limit}\n"))
            done[limit] = check_groups(workspace, "perceive")
    finally:
        partitions.write_text(before)
    assert (done[child].returncode, done[child].stdout) == (0, ""), "it fits"
    assert done[child - 1].stderr.startswith(f"group subject of child 0001 needs {child:.0f} minutes")
    for limit, groups in ((child - 1, [*other_groups, *with_groups]), (video - 1, other_groups)):
        options = done[limit].stdout.split()
        assert done[limit].returncode == 0, done[limit].stderr
        assert options[0] == "--groups"
        assert options[1 : options.index("--group-components")] == groups
        planned = snakemake(workspace, "-s", "workflow/rules/perceive.smk", "--dry-run", *options, "--", "perceive_all")
        assert planned.returncode == 0, planned.stdout + planned.stderr
    assert done[job - 1].returncode == 1
    assert done[job - 1].stderr.startswith("error: the job segment video=")


def test_whatever_computes_on_a_gpu_asks_for_one(workspace: Path, plans: dict[str, list[Job]]) -> None:
    path = workspace / "params.yaml"
    before = path.read_text()
    values = yaml.safe_load(before)
    values["deidentify"] |= {"backends": ["centerface", "sam3"], "sam3_device": "cuda"}
    values["segment"] |= {"backend": "sam3", "sam3_device": "cuda"}
    values["estimate_pose"] |= {"backend": "sapiens2", "device": "cuda"}
    values["finetune"] |= {
        "models": ["childgait_video", "rules"],
        "device": "cuda",
        "processes": 2,
        "micro_batch_size": 4,
    }
    plan_by_device = {"nowhere": snakemake(workspace, "--dry-run", "--forceall").stdout}
    try:
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        plan_by_device["cuda"] = snakemake(workspace, "--dry-run", "--forceall").stdout
    finally:
        path.write_text(before)
    wanted: dict[str, set[tuple[str, int]]] = {device: set() for device in plan_by_device}
    for device, text in plan_by_device.items():
        for block in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]:
            gpus = re.search(r"^    resources: .*\bgpu=(\d+)", block, re.MULTILINE)
            if gpus and int(gpus[1]):
                model = re.search(r"model=(\w+)", block)
                wanted[device].add((f"{block.split(':', 1)[0]} {model[1] if model else ''}".strip(), int(gpus[1])))
    assert wanted["nowhere"] == set()
    assert wanted["cuda"] == {
        ("deidentify", 1),
        ("segment", 1),
        ("estimate_pose", 1),
        ("finetune childgait_video", 2),
        ("evaluate childgait_video", 1),
        ("write_submission", 1),
    }


def test_the_workflows_report_holds_the_pooled_results_and_no_page_of_a_child(
    workspace: Path, plans: dict[str, list[Job]]
) -> None:
    """`snakemake --report`: four categories with captions, and all files in one archive."""
    done = snakemake(workspace, "--report", "workflow.zip", "report_all")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(workspace / "workflow.zip") as archive:
        page = archive.read("workflow/report.html").decode()
        files = {Path(name).name for name in archive.namelist()}
    found = re.search(r"\bvar categories = (.*);$", page, re.MULTILINE)
    assert found
    categories = json.loads(found[1])
    assert list(categories) == ["Report", "Tables", "Figures", "Lineage"]
    assert len(categories["Tables"]["Other"]) == len(TABLES)
    assert {"index.html", "lineage.html", *TABLES, *FIGURES} <= files
    for caption in (ROOT / "workflow" / "report").glob("*.rst"):
        assert caption.read_text().split("`")[0].split("\n")[0][:40] in page, caption.name
    assert not [name for name in files if re.fullmatch(r"\d+\.(html|json|csv)", name)]


def test_a_missing_stage_is_not_filled_in(plans: dict[str, list[Job]]) -> None:
    """A stage runs its own rules and no upstream ones: no output is planned in two stages."""
    seen: dict[str, str] = {}
    for stage, jobs in plans.items():
        for job in jobs:
            for output in job.outputs:
                assert seen.setdefault(output, stage) == stage


def test_one_more_video_adds_its_own_jobs_and_nothing_else(workspace: Path, plans: dict[str, list[Job]]) -> None:
    before = set(plans["register"])
    name = "0004-0001_right_1-200"
    add_recording(workspace, name)
    try:
        new = set(plan(workspace, "register")) - before
    finally:
        for path in (workspace / "data" / "demo" / "dataset" / "0004").glob(f"{name}*"):
            path.unlink()
    assert {job.rule for job in new} == {"register", "gate"}  # its own, and what pools
    own = [job for job in new if job.rule == "register"]
    assert [job.outputs for job in own] == [(f"data/register/{name}.json", f"data/register/{name}.record.json")]


def test_a_persons_row_reaches_its_video_and_no_other(workspace: Path, plans: dict[str, list[Job]]) -> None:
    """The table is read in any spreadsheet's format; an unreadable one stops the plan, or heads stay uncovered."""
    table = workspace / "annotations" / "regions.csv"
    good, video = table.read_text(), "0002-0001_left_1-200"
    try:
        table.write_text(f'"region","video","frame","x0","y0","x1","y1"\n"badge, red","{video}","","1","1","9","9"\n')
        given = [job for job in plan(workspace, "deidentify") if "annotations/regions.csv" in job.inputs]
        table.write_text(f"video;region;frame;x0;y0;x1;y1\n{video};badge;;1;1;9;9\n")
        refused = snakemake(workspace, "-s", "workflow/rules/deidentify.smk", "--dry-run", "deidentify_all")
    finally:
        table.write_text(good)
    assert [job.outputs[0] for job in given] == [f"data/deidentify/{video}.mp4"]
    assert refused.returncode != 0
    assert "annotations/regions.csv lacks the column(s) video" in refused.stdout + refused.stderr


def rerun(folder: Path, stage: str) -> set[tuple[str, str]]:
    """Return rule and recording of the jobs of a stage that a run would repeat, those of pooled rules left out."""
    done = snakemake(
        folder, "-s", f"workflow/rules/{stage}.smk", "--dry-run", "--rerun-triggers", "mtime", "--", f"{stage}_all"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    blocks = re.split(r"^(?:local)?rule ", done.stdout, flags=re.MULTILINE)[1:]
    names = {(block.split(":", 1)[0], re.search(r"^    wildcards: video=(\S+)$", block, re.M)) for block in blocks}
    return {(rule, match.group(1)) for rule, match in names if match} | {
        (rule, "") for rule, _ in names if rule == "build_labels"
    }


@pytest.mark.usefixtures("plans")
def test_decisions_of_the_review_app_rerun_what_reads_them(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each decision is made on its page, for a recording of its own; one more has an older correction."""
    cleared, covered, chosen, corrected, older = (f"{n}_{v}_1-200" for n, v in NAMES)
    tables = workspace / "annotations"
    kept = {path: path.read_bytes() for path in (*tables.glob("*.csv"), workspace / "data/demo/labels.json")}
    study = app_study(tmp_path, workspace, cleared, (covered, chosen, corrected))
    monkeypatch.chdir(workspace)
    try:
        (tables / "corrections.csv").write_text(f"video,frame,joint,x,y,reason\n{older},3,nose,1,1,old\n")
        write_video_rows(tables / "corrections.csv", older, rows_by_video(tables / "corrections.csv")[older])
        moment = time.time()
        for path in (workspace / "data").rglob("*"):
            os.utime(path, (moment, moment))
        decide(study, cleared, covered, chosen, corrected)
        jobs = {stage: rerun(workspace, stage) for stage in ("deidentify", "perceive", "dataset")}
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    assert {job for job in jobs["deidentify"] if job[0] == "deidentify"} == {
        ("deidentify", video) for video in (cleared, covered, chosen)
    }
    assert jobs["perceive"] == {
        *((step, chosen) for step in ("segment", "estimate_pose", "refine_pose", "prepare_clips")),
        *((step, corrected) for step in ("refine_pose", "prepare_clips")),
    }
    assert ("build_labels", "") in jobs["dataset"]


NAMES = (
    ("0001-0001", "forward"),
    ("0001-0001", "left"),
    ("0002-0001", "left"),
    ("0003-0001", "left"),
    ("0004-0001", "left"),
)


def app_study(root: Path, workspace: Path, held: str, others: tuple[str, ...]) -> Study:
    """Return a study for the app whose decisions go to the tables and the labels of the workspace."""
    study = Study(
        root / "data",
        workspace / "annotations",
        root / "raw",
        workspace / "data" / "demo" / "labels.json",
        root / "review.jsonl",
        params_file=ROOT / "params.yaml",
    )
    for name in (held, *others):
        write_recording(study, name, "held" if name == held else "covered", 128, 96, 24)
    return study


def decide(study: Study, cleared: str, covered: str, chosen: str, corrected: str) -> None:
    """Clear, cover, choose, correct and rate through the app's requests."""
    sessions = Sessions()
    app = create_app(study, sessions, 8765)
    one = Browser(app, sessions, "AB", "rater")

    def version(page: str, video: str, table: str) -> str:
        return str(data_of(one.get(f"/{page}/{video}"))["versions"][table])

    cover = {"region": "head A", "frame": None, "box": [1, 1, 9, 9], "action": "cover"}
    edit = {"frame": 3, "joint": "left_knee", "x": 40, "y": 50}
    answers = {"heads_covered": True, "child_visible": True, "sha256": study.evidence(cleared)["decoded_sha256"]}
    answer = {"limb": "left", "number": 1, "score": 1, "before": ""}
    posts = (
        ("accept", cleared, {**answers, "version": version("clear", cleared, "cleared")}),
        ("covers", covered, {"rows": [cover], "reason": "x", "version": version("clear", covered, "regions")}),
        (
            "choose",
            chosen,
            {"frame": 3, "box": [40, 50], "reason": "x", "version": version("choose", chosen, "selections")},
        ),
        (
            "correct",
            corrected,
            {"edits": [edit], "reason": "x", "version": version("correct", corrected, "corrections")},
        ),
    )
    for path, video, body in posts:
        done = one.post(f"/api/{path}", video=video, **body)
        assert done.status_code == 200, done.text
    assert one.post("/api/rate", child=chosen[:4], session="0001", **answer).status_code == 200
    app.state.review.previews.close()


def test_a_long_list_goes_through_a_file(workspace: Path) -> None:
    """1,500 recordings exceed the length of a command line; the gate reads the list from a file."""
    root = workspace / "data" / "demo" / "dataset" / "0009"
    names = [f"0009-{session:04d}_left_1-200" for session in range(1500)]
    try:
        for name in names:
            add_recording(workspace, name)
        done = snakemake(
            workspace,
            "-s",
            "workflow/rules/register.smk",
            "--dry-run",
            "--printshellcmds",
            "--",
            "data/gate/register.json",
        )
    finally:
        shutil.rmtree(root)
    assert done.returncode == 0, done.stderr
    assert "--rows @.snakemake/arguments/gate-rows-" in done.stdout + done.stderr


def test_a_typo_in_params_stops_before_planning(workspace: Path) -> None:
    path = workspace / "params.yaml"
    good = path.read_text()
    try:
        path.write_text(good.replace("  backend: auto", "  backnd: auto", 1))
        done = snakemake(workspace, "--dry-run")
    finally:
        path.write_text(good)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "segment.backnd is no key of this section (nearest valid name: 'backend')" in text
    assert "segment.backend is missing" in text
    assert "Traceback" not in text
