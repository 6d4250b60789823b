"""Every expectation of every suite fails on data that violates it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from childgait import gates
from childgait.domain.evgs import CODES, LIMBS
from childgait.errors import StepError
from childgait.params import Gate, load_params

ROOT = Path(__file__).parents[1]
LIMITS: Gate = load_params(ROOT / "params.yaml")["gate"]  # type: ignore[assignment]
Row = dict[str, Any]


def videos(**columns: Any) -> list[Row]:
    return [{"video": f"000{n}-0001_left_1-240", "subject": f"000{n}", "view": "left", **columns} for n in range(1, 7)]


def good_register() -> list[Row]:
    rows = videos(seconds=4.0, frames=240, frames_per_second=60.0, variable_rate=False, oddities=["one thing"])
    return [row | {"sha256": f"{n:064x}"} for n, row in enumerate(rows)]


def good_deidentify() -> list[Row]:
    rows = videos(verdict="covered", reasons=[], frames=240, frames_covered=240, share_of_picture=0.02)
    return [row | {"decoded_sha256": f"{n:064x}"} for n, row in enumerate(rows)]


def good_refine_pose() -> list[Row]:
    return videos(
        frames=240,
        share_measured=0.9,
        share_corrected=0.0,
        share_swapped=0.02,
        share_filled=0.03,
        share_missing=0.05,
        share_legs_missing=0.01,
        view_fits=True,
        view_turned=False,
        turns_at=None,
        events=6,
        stride_seconds=0.95,
    )


def good_prepare_clips() -> list[Row]:
    rows = videos(frames=120, seconds=4.0, points_known=0.95, points_inside=1.0, child_share=0.3, empty_masks=0)
    return [row | {"covered_frames": ["40-43"], "covered_share": 0.03} for row in rows]


def good_build_labels() -> list[Row]:
    return [
        {"subject": subject, "limb": limb, "code": code, "score": 1, "atypical": True, "reason": None, "views": "left"}
        for subject in ("0001", "0002")
        for limb in LIMBS
        for code in CODES
    ]


def good_split_subjects() -> list[Row]:
    rows = []
    for fold in ("0", "1", "holdout"):
        for n, part in enumerate(["train", "train", "validation", "validation", "test", "test"]):
            rows.append({"fold": fold, "subject": f"000{n}", "part": part, "reason": None})
        rows.append({"fold": fold, "subject": "0009", "part": "none", "reason": "no clip of the child came through"})
        if fold == "holdout":
            rows += [{"fold": fold, "subject": f"01{n}", "part": "test", "reason": None} for n in (10, 11)]
            rows = [row for row in rows if not (row["fold"] == fold and row["subject"] in ("0004", "0005"))]
    return rows


GOOD = {
    "register": good_register,
    "deidentify": good_deidentify,
    "refine_pose": good_refine_pose,
    "prepare_clips": good_prepare_clips,
    "build_labels": good_build_labels,
    "split_subjects": good_split_subjects,
}


def change(index: int, **columns: Any) -> Any:
    return lambda rows: [row | columns if n == index else row for n, row in enumerate(rows)]


def without(column: str) -> Any:
    return lambda rows: [{k: v for k, v in row.items() if k != column} for row in rows]


def twice(rows: list[Row]) -> list[Row]:
    return [*rows, rows[0]]


# what is done to good rows, and the expectation (with its columns) that must notice
BREAKS: dict[str, list[tuple[Any, str, str]]] = {
    "register": [
        (lambda rows: [], "table_row_count_to_be_between", ""),
        (change(0, video=None), "column_values_to_not_be_null", "video"),
        (change(0, subject=None), "column_values_to_not_be_null", "subject"),
        (change(0, view=None), "column_values_to_not_be_null", "view"),
        (change(0, seconds=None), "column_values_to_not_be_null", "seconds"),
        (change(0, frames=None), "column_values_to_not_be_null", "frames"),
        (change(0, frames_per_second=None), "column_values_to_not_be_null", "frames_per_second"),
        (change(0, variable_rate=None), "column_values_to_not_be_null", "variable_rate"),
        (twice, "column_values_to_be_unique", "video"),
        (change(0, subject="../0001"), "column_values_to_match_regex", "subject"),
        (change(0, view="above"), "column_values_to_be_in_set", "view"),
        (change(0, seconds=0.2), "column_values_to_be_between", "seconds"),
        (change(0, sha256=f"{1:064x}"), "column_values_to_be_unique", "sha256"),
        (change(0, variable_rate=True), "column_values_to_be_in_set", "variable_rate"),
        (change(0, frames_per_second=25.0), "column_values_to_be_between", "rate_ratio"),
        (change(0, frames_per_second=90.0), "column_values_to_be_between", "rate_ratio"),
    ],
    "deidentify": [
        (change(0, verdict=None), "column_values_to_not_be_null", "verdict"),
        (change(0, verdict="held"), "column_values_to_be_in_set", "verdict"),
        (change(0, decoded_sha256=None), "column_values_to_be_in_set", "evidence_whole"),
        (change(0, frames=0), "column_values_to_be_in_set", "evidence_whole"),
        (change(0, decoded_sha256=f"{1:064x}"), "column_values_to_be_unique", "decoded_sha256"),
        (change(0, frames_covered=20), "column_values_to_be_between", "covered_share"),
        (change(0, frames_covered=300), "column_values_to_be_between", "covered_share"),
        (change(0, share_of_picture=0.6), "column_values_to_be_between", "share_of_picture"),
    ],
    "refine_pose": [
        (change(0, frames=None), "column_values_to_not_be_null", "frames"),
        (change(0, share_legs_missing=None), "column_values_to_not_be_null", "share_legs_missing"),
        (change(0, share_filled=None), "column_values_to_not_be_null", "share_sum"),
        (change(0, share_measured=0.5), "column_values_to_be_between", "share_sum"),
        (change(0, share_measured=1.0), "column_values_to_be_between", "share_sum"),
        (change(0, share_legs_missing=0.7), "column_values_to_be_between", "share_legs_missing"),
        (change(0, share_filled=0.4), "column_values_to_be_between", "share_filled"),
        (change(0, view_fits=False), "column_values_to_be_in_set", "view_fits"),
        (change(0, view_turned=True), "column_values_to_be_in_set", "view_turned"),
        (change(0, events=0), "column_values_to_be_between", "events"),
        (change(0, turns_at=5.7), "column_values_to_be_between", "turn_seconds"),
        (change(0, stride_seconds=4.0), "column_values_to_be_between", "stride_seconds"),
        (change(0, stride_seconds=0.2), "column_values_to_be_between", "stride_seconds"),
    ],
    "prepare_clips": [
        (change(0, covered_share=0.6), "column_values_to_be_between", "covered_share"),
        (change(0, frames=None), "column_values_to_not_be_null", "frames"),
        (change(0, seconds=None), "column_values_to_not_be_null", "seconds"),
        (change(0, points_known=None), "column_values_to_not_be_null", "points_known"),
        (change(0, points_inside=None), "column_values_to_not_be_null", "points_inside"),
        (change(0, child_share=None), "column_values_to_not_be_null", "child_share"),
        (change(0, seconds=0.1), "column_values_to_be_between", "seconds"),
        (change(0, points_known=0.1), "column_values_to_be_between", "points_known"),
        (change(0, points_known=1.2), "column_values_to_be_between", "points_known"),
        (change(0, points_inside=0.6), "column_values_to_be_between", "points_inside"),
        (change(0, points_inside=1.2), "column_values_to_be_between", "points_inside"),
        (change(0, child_share=0.99), "column_values_to_be_between", "child_share"),
        (change(0, child_share=0.0), "column_values_to_be_between", "child_share"),
        (change(0, empty_masks=60), "column_values_to_be_between", "empty_share"),
    ],
    "build_labels": [
        (change(0, subject=None), "column_values_to_not_be_null", "subject"),
        (change(0, limb=None), "column_values_to_not_be_null", "limb"),
        (change(0, code=None), "column_values_to_not_be_null", "code"),
        (change(0, views=None), "column_values_to_not_be_null", "views"),
        (twice, "compound_columns_to_be_unique", "subject, limb, code"),
        (change(0, subject="Anna"), "column_values_to_match_regex", "subject"),
        (change(0, limb="both"), "column_values_to_be_in_set", "limb"),
        (change(0, code="XYZ"), "column_values_to_be_in_set", "code"),
        (change(0, score=3), "column_values_to_be_in_set", "score"),
        (change(0, score=None, atypical=None), "column_values_to_be_in_set", "explained"),
        (change(0, reason="a score is there all the same"), "column_values_to_be_in_set", "explained"),
        (change(0, atypical=False), "column_values_to_be_in_set", "merged_right"),
        (lambda rows: rows[1:], "column_values_to_be_between", "rows_of_child"),
        (twice, "column_values_to_be_between", "rows_of_child"),
        (
            lambda rows: [row | {"score": None, "atypical": None, "reason": "lost"} for row in rows[:34]] + rows[34:],
            "column_values_to_be_between",
            "scored_share",
        ),
    ],
    "split_subjects": [
        (change(0, fold=None), "column_values_to_not_be_null", "fold"),
        (change(0, subject=None), "column_values_to_not_be_null", "subject"),
        (change(0, part=None), "column_values_to_not_be_null", "part"),
        (twice, "compound_columns_to_be_unique", "fold, subject"),
        (change(0, part="exam"), "column_values_to_be_in_set", "part"),
        (change(0, subject="0005"), "column_values_to_be_between", "parts_of_child"),
        (
            lambda rows: [row for row in rows if (row["fold"], row["part"]) != ("1", "test")],
            "column_values_to_be_between",
            "parts_of_fold",
        ),
        (change(0, subject="0110"), "column_values_to_be_in_set", "spared"),
        (change(0, part="none"), "column_values_to_be_in_set", "explained"),
        (change(0, reason="in a part all the same"), "column_values_to_be_in_set", "explained"),
        (lambda rows: rows[1:], "column_values_to_be_between", "children_of_part"),
    ],
}
WARNINGS = {  # columns whose failure is told in the report; every other one stops the study
    "register": {"variable_rate", "rate_ratio"},
    "deidentify": {"covered_share", "share_of_picture"},
    "refine_pose": {"share_filled", "view_fits", "events", "stride_seconds"},
    "prepare_clips": {"points_inside", "empty_share"},
    "build_labels": {"scored_share"},
    "split_subjects": {"children_of_part"},
}
CASES = [(step, *case) for step, cases in BREAKS.items() for case in cases]


def run(step: str, rows: list[Row]) -> dict[str, Any]:
    frame = pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame(GOOD[step]()).clear()
    return gates.run_suite(step, frame, LIMITS)


@pytest.mark.parametrize("step", gates.SUITES)
def test_good_rows_pass_without_a_word(step: str) -> None:
    results = run(step, GOOD[step]())
    assert results["passed"]
    assert [check for check in results["checks"] if not check["success"]] == []


@pytest.mark.parametrize(("step", "broken", "expects", "columns"), CASES, ids=[f"{c[0]}-{c[2]}-{c[3]}" for c in CASES])
def test_broken_rows_are_noticed_by_their_expectation(step: str, broken: Any, expects: str, columns: str) -> None:
    results = run(step, broken(GOOD[step]()))
    check = next(c for c in results["checks"] if (c["expects"], c["columns"]) == (expects, columns))
    assert not check["success"]
    assert results["passed"] is not any(c["severity"] == "critical" and not c["success"] for c in results["checks"])
    if check["severity"] == "critical":
        assert not results["passed"]
        assert check["why"] in gates.describe_failure(results)


@pytest.mark.parametrize("step", gates.SUITES)
def test_no_expectation_is_without_data_that_breaks_it(step: str) -> None:
    applied = {(check["expects"], check["columns"]) for check in run(step, GOOD[step]())["checks"]}
    shared = {(expects, columns) for _, expects, columns in BREAKS["register"][:5] + BREAKS["register"][8:11]}
    broken = {(expects, columns) for _, expects, columns in BREAKS[step]}
    assert applied - broken <= shared  # what per_video() asks is broken once, in register


@pytest.mark.parametrize("step", gates.SUITES)
def test_only_what_is_named_here_may_warn(step: str) -> None:
    """The expectations that only warn are listed here, so that none becomes a warning by accident."""
    checks = run(step, GOOD[step]())["checks"]
    assert {check["columns"] for check in checks if check["severity"] != "critical"} == WARNINGS[step]


def test_a_missing_column_fails() -> None:
    results = run("prepare_clips", without("points_inside")(good_prepare_clips()))
    assert not results["passed"]
    assert "the column points_inside is missing" in gates.describe_failure(results)


def test_a_study_of_keypoints_has_no_masks_to_ask_for() -> None:
    rows = without("child_share")(without("empty_masks")(good_prepare_clips()))
    results = run("prepare_clips", rows)
    assert results["passed"]
    assert not any("child_share" in check["columns"] for check in results["checks"])


def test_the_sentence_names_rows_values_and_why() -> None:
    rows = change(2, seconds=0.25)(change(1, seconds=0.5)(good_register()))
    description = gates.describe_failure(run("register", rows))
    assert "the gate of register failed on a table of 6 rows" in description
    assert "long enough to contain steps" in description
    assert "0002-0001_left_1-240 (0.5)" in description
    assert "0003-0001_left_1-240 (0.25)" in description
    assert "0001-" not in description


def test_a_row_that_two_columns_name_is_named_by_both() -> None:
    results = run("split_subjects", change(0, part="nowhere")(good_split_subjects()))
    assert "fold 0 subject 0000 (nowhere)" in gates.describe_failure(results)


def test_the_same_rows_give_the_same_results_and_names_are_capped(tmp_path: Path) -> None:
    rows = [
        row | {"seconds": 0.1, "video": f"{row['subject']}-{n:04d}_left_1-240", "sha256": f"{n}"}
        for n in range(40)
        for row in good_register()[:1]
    ]
    first, second = run("register", rows), run("register", rows)
    assert json.dumps(first) == json.dumps(second)
    short = next(
        c for c in first["checks"] if c["columns"] == "seconds" and c["expects"] == "column_values_to_be_between"
    )
    assert short["unexpected"] == 40
    assert len(short["failing"]) == gates.LISTED_ROWS


def test_pooling_makes_a_row_of_each_file_and_says_whence(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"video": "b", "n": 2, "oddities": []}')
    (tmp_path / "a.json").write_text('{"video": "a", "n": null, "oddities": ["x"]}')
    pooled = gates.pool([tmp_path / "b.json", tmp_path / "a.json"])
    assert pooled.select("video", "n", "file").rows() == [("a", None, "a.json"), ("b", 2, "b.json")]
    (tmp_path / "who.csv").write_text("fold,subject,part,reason\n0,0001,train,\n")
    assert gates.pool([tmp_path / "who.csv"]).rows() == [("0", "0001", "train", None, "who.csv")]


def test_pooling_refuses_nothing_and_nonsense(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the gate has no files to pool"):
        gates.pool([])
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(StepError, match=r"a\.json is not JSON"):
        gates.pool([tmp_path / "a.json"])
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(StepError, match=r"a\.json contains a list, not an object"):
        gates.pool([tmp_path / "a.json"])
