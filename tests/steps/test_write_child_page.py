"""The page of a study's child: the answers of evaluate, for children that no counted run was trained on."""

import csv
import re
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import TARGET_NAMES, VIEWS
from childgait.domain.poses import make_poses
from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.labels import SUBJECTS
from childgait.files.parts import open_part
from childgait.files.poses import write_poses
from childgait.files.video import write_video
from childgait.report.child.film import STILLS
from childgait.report.child.record import ChildRecord, read_record
from childgait.report.child.study_child import study_visit
from childgait.report.children_section import children_section
from childgait.steps.write_child_page import write_child_page
from childgait.training.run_facts import item_readings
from support.bundled_study import MODELS_OF_STUDY, BundledStudy, make_bundled_study
from support.chromium import CHROMIUM, chromium
from support.small_study import LENGTH, write_clip

TEST_CHILD, VALIDATION_CHILD, TRAINING_CHILD = "0006", "0004", "0001"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BundledStudy:
    study = make_bundled_study(tmp_path_factory.mktemp("study"))
    for model in MODELS_OF_STUDY:  # where evaluate writes them
        folder = study.folder / "evaluate" / model / "holdout-0"
        folder.mkdir(parents=True)
        shutil.copy(study.run_file(model, "predictions.parquet"), folder)
    rows = [{"subject": TEST_CHILD, "age_years": 7.5, "sex": "female", "diagnosis": "unknown", "aid": "none"}]
    pl.DataFrame(rows, schema=SUBJECTS.schema()).write_parquet(study.folder / "subjects.parquet")
    return study


def write(made: BundledStudy, child: str, folder: Path, files: list[Path] | None = None) -> ChildRecord:
    folder.mkdir(exist_ok=True)
    write_child_page(
        subject=child,
        files=files or [clip for clip in made.study.clips if clip.name.startswith(child)],
        predictions=[made.folder / "evaluate" / m / "holdout-0/predictions.parquet" for m in MODELS_OF_STUDY],
        subjects=made.folder / "subjects.parquet",
        description=made.bundle / "bundle.json",
        weights=made.bundle / "weights.safetensors",
        page=folder / f"{child}.html",
        numbers=folder / f"{child}.json",
        table=folder / f"{child}.csv",
    )
    return read_record(folder / f"{child}.json")


@pytest.mark.parametrize(("child", "part"), [(TEST_CHILD, "test"), (VALIDATION_CHILD, "validation")])
def test_the_answers_are_those_of_evaluate(made: BundledStudy, tmp_path: Path, child: str, part: str) -> None:
    record = write(made, child, tmp_path)
    assert (record.part, record.session) == (part, "0001")
    for model in MODELS_OF_STUDY:
        rows = pl.read_parquet(made.run_file(model, "predictions.parquet")).filter(
            (pl.col("level") == "child") & (pl.col("subject") == child)
        )
        expected = {row["target"]: row["calibrated"] for row in rows.iter_rows(named=True)}
        given = {item.target: item.models[model] for item in record.items}
        assert list(given) == list(TARGET_NAMES)
        np.testing.assert_allclose(list(given.values()), [expected[name] for name in given], atol=1e-6)


def test_the_rules_values_are_those_of_the_study(made: BundledStudy, tmp_path: Path) -> None:
    record = write(made, TEST_CHILD, tmp_path)
    part = open_part(made.study.test, made.study.clips)
    study = {(r.limb, r.code): r for r in item_readings(part) if r.subject == TEST_CHILD}
    own = {(item.limb, item.code): item.rule for item in record.items if item.rule}
    assert own.keys() == study.keys()
    for key, rule in own.items():
        assert rule is not None
        assert (rule.value, rule.frame, rule.score) == (study[key].value, study[key].frame, study[key].score)


def test_the_page_leads_to_the_report_and_loads_nothing(made: BundledStudy, tmp_path: Path) -> None:
    record = write(made, TEST_CHILD, tmp_path)
    page = (tmp_path / f"{TEST_CHILD}.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page) == ["../index.html"]
    assert "a child of the study&#39;s test part" in page or "a child of the study's test part" in page
    with (tmp_path / f"{TEST_CHILD}.csv").open(newline="") as rows:
        assert [row["answer"] for row in csv.DictReader(rows)] == [item.answer for item in record.items]


def test_the_index_has_a_row_per_child_with_a_link(made: BundledStudy, tmp_path: Path) -> None:
    for child in (VALIDATION_CHILD, TEST_CHILD):
        write(made, child, tmp_path / "children")
    records = sorted((tmp_path / "children").glob("*.json"))
    section = children_section(records, [], tmp_path / "index.html")
    rows = [(row.record.child, row.address, row.used) for row in section.rows]
    assert rows == [(child, f"children/{child}.html", 2) for child in (TEST_CHILD, VALIDATION_CHILD)]


def test_the_same_input_gives_the_same_bytes(made: BundledStudy, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(made, TEST_CHILD, tmp_path / name)
    for ending in ("html", "json", "csv"):
        files = [tmp_path / name / f"{TEST_CHILD}.{ending}" for name in ("one", "two")]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_with_four_recordings_prints_on_two_sheets(made: BundledStudy, tmp_path: Path) -> None:
    files = []
    for view in VIEWS:
        name = f"{TEST_CHILD}-0001_{view}_1-{LENGTH}"
        for step in ("prepare_clips", "deidentify", "refine_pose"):
            (tmp_path / step).mkdir(exist_ok=True)
        write_clip(tmp_path / "prepare_clips", name, view, True, np.random.default_rng(0))
        clip = open_clip(tmp_path / f"prepare_clips/{name}.clip.json")
        video, poses = tmp_path / f"deidentify/{name}.mp4", tmp_path / f"refine_pose/{name}.poses.parquet"
        times, points = [Fraction(n, 30) for n in range(LENGTH)], clip.points(np.arange(LENGTH))
        write_video(video, list(clip.frames(np.arange(LENGTH))), times)
        write_poses(poses, make_poses(np.array(times, float), points[..., :2], points[..., 2]))
        files += [clip.facts_path, video, poses]
    record = write(made, TEST_CHILD, tmp_path / "page", files)
    assert len(record.recordings) == 4
    with chromium(tmp_path) as page:
        page.go(f"file://{tmp_path}/page/{TEST_CHILD}.html")
        assert page.run("document.querySelectorAll('.stills img').length") == 4 * STILLS
        for width in (1280, 400):
            page.resize(width, 900)
            assert page.run("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width} pixels"
        assert page.printed_pages() == 2


def test_a_child_of_the_training_part_has_no_page(made: BundledStudy, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=f"child {TRAINING_CHILD} is in the test or validation part of no run"):
        write(made, TRAINING_CHILD, tmp_path)


def test_a_page_reads_only_the_files_that_it_was_given(made: BundledStudy) -> None:
    given = [clip for clip in made.study.clips if clip.name.startswith(TEST_CHILD)]
    visit = study_visit(TEST_CHILD, given, made.folder / "subjects.parquet", "test")
    assert (visit.age_years, visit.sex, len(visit.videos)) == (7.5, "female", 2)
    assert visit.path("prepare_clips", visit.videos[0], ".clip.json") in given
    assert not visit.path("deidentify", visit.videos[0], ".mp4").exists()
