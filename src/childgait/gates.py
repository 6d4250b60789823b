"""Data checks ("gates") on the pooled table of a step, run by Great Expectations.

`SUITES` has one suite per step: the columns that identify a row, derived columns, and the expectations, each with its
severity and its reason in words. `pool` makes one polars table of a step's files; `run_suite` checks it and returns
results that are the same bytes for the same rows (the HTML pages of Great Expectations are not, so they are written to
an untracked folder). A missing column and an empty table fail: nothing passes by being absent.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # no usage statistics

import great_expectations as gx
import great_expectations.expectations as gxe
import polars as pl

from childgait.domain.evgs import CODES, LIMBS, TARGET_NAMES, VIEWS
from childgait.errors import StepError
from childgait.files.gate_results import GateCheck, GateResult
from childgait.files.pooled_tables import GATED
from childgait.files.split import HOLDOUT, PART_NAMES
from childgait.params import Gate

if TYPE_CHECKING:
    from pydantic import JsonValue

LISTED_ROWS = 20  # failing rows that a result lists; the HTML pages list all
PAGES = ("expectations", "validations", "static")  # folders of HTML pages that Great Expectations writes
SUBJECT = r"^\d{4,}$"


@dataclass(frozen=True)
class Suite:
    """The checks of one step: `key` columns identify a row in messages; `derive` adds columns to be checked."""

    key: tuple[str, ...]
    expectations: Callable[[Gate, pl.DataFrame], list[Any]]
    derive: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame


def must(expectation: type, why: str, **arguments: Any) -> Any:
    """Make an expectation whose violation stops the study."""
    return expectation(**arguments, severity="critical", meta={"why": why})


def should(expectation: type, why: str, **arguments: Any) -> Any:
    """Make an expectation whose violation is a warning in the report."""
    return expectation(**arguments, severity="warning", meta={"why": why})


def filled(*columns: str) -> list[Any]:
    """Make one expectation per column: no value is missing."""
    return [
        must(gxe.ExpectColumnValuesToNotBeNull, f"every row needs a value of {name}", column=name) for name in columns
    ]


def per_video() -> list[Any]:
    """Make the expectations of every table with one row per video."""
    return [
        *filled("video", "subject", "view"),
        must(gxe.ExpectColumnValuesToBeUnique, "a video has one row", column="video"),
        must(
            gxe.ExpectColumnValuesToMatchRegex,
            "a subject is digits, so that no name gets in",
            column="subject",
            regex=SUBJECT,
        ),
        must(gxe.ExpectColumnValuesToBeInSet, "views have four names", column="view", value_set=list(VIEWS)),
    ]


# --- pooling


def pool(paths: list[Path]) -> pl.DataFrame:
    """Pool a step's files: one row per JSON file, or all rows of parquet and CSV tables; `file` is the source."""
    if not paths:
        raise StepError("the gate has no files to pool", hint="check whether the cohort is empty or fully excluded")
    frames, rows = [], []
    for path in sorted(paths):
        if path.suffix == ".json":
            rows.append({**_read_flat(path), "file": path.name})
        elif path.suffix == ".parquet":
            frames.append(pl.read_parquet(path).with_columns(file=pl.lit(path.name)))
        else:
            frames.append(pl.read_csv(path, infer_schema=False).with_columns(file=pl.lit(path.name)))
    if rows:
        frames.append(pl.DataFrame(rows, infer_schema_length=None))
    return pl.concat(frames, how="diagonal_relaxed")


def _read_flat(path: Path) -> dict[str, JsonValue]:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StepError(f"{path} is not JSON ({error})", hint="run the step that writes it again") from None
    if not isinstance(row, dict):
        raise StepError(
            f"{path} contains a {type(row).__name__}, not an object of keys and values",
            hint="run the step that writes it again",
        )
    return row


# --- testing


def run_suite(step: str, frame: pl.DataFrame, limits: Gate, docs: Path | None = None) -> GateResult:
    """Check a pooled table; returns the results. `docs` is a folder for the HTML pages of Great Expectations."""
    suite = SUITES[step]
    expectations = [
        must(gxe.ExpectTableRowCountToBeBetween, "an empty table cannot be checked", min_value=1),
        *suite.expectations(limits, frame),
    ]
    table = _plain(suite.derive(frame)).to_pandas()
    with _MutedLog():
        outcome = _validate(step, table, suite, expectations, docs)
    names = [_name(row, suite.key) for row in frame.iter_rows(named=True)]
    checks = [_result(entry, names) for entry in outcome]
    checks.sort(key=lambda check: (check["expects"], check["columns"], check["needs"]))
    failed = [check for check in checks if not check["success"]]
    return {
        "step": step,
        "rows": frame.height,
        "passed": not any(check["severity"] == "critical" for check in failed),
        "critical_failures": sum(check["severity"] == "critical" for check in failed),
        "warnings": sum(check["severity"] == "warning" for check in failed),
        "checks": checks,
    }


def describe_failure(results: GateResult) -> str:
    """Describe the failed critical checks in one sentence: rows, rule, reason."""
    parts = []
    for check in results["checks"]:
        if check["success"] or check["severity"] != "critical":
            continue
        what = f"{check['why']} ({check['columns'] or 'table'}: {check['needs']})"
        named = ", ".join(check["failing"][:3])
        more = f" and {check['unexpected'] - 3} more" if check["unexpected"] > 3 else ""
        parts.append(f"{what}: {check['problem'] or named + more}")
    return f"the gate of {results['step']} failed on a table of {results['rows']} rows: " + "; ".join(parts)


def _name(row: Mapping[str, object], key: tuple[str, ...]) -> str:
    """Name a row by its key: `0001-0001_left_1-240`, or `fold 0 subject 0012` for a key of several columns."""
    if len(key) == 1:
        return str(row.get(key[0], "?"))
    return " ".join(f"{column} {row.get(column, '?')}" for column in key)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace lists by their lengths, since expectations check scalars, and number the rows to find failing ones."""
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    return frame.with_columns(pl.col(lists).list.len()).with_row_index("row")


def _validate(step: str, table: Any, suite: Suite, expectations: list[Any], docs: Path | None) -> list[dict[str, Any]]:
    """Run the expectations on a pandas table; returns one raw result per expectation."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    actions = []
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        for folder in PAGES:  # of an earlier run; other files in the folder are kept
            shutil.rmtree(docs / folder, ignore_errors=True)
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.absolute())}
        index = {"class_name": "DefaultSiteIndexBuilder"}
        context.add_data_docs_site(
            site_name="docs",
            site_config={"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": backend},
        )
        actions = [gx.checkpoint.UpdateDataDocsAction(name="docs", site_names=["docs"])]
    asset = context.data_sources.add_pandas("pooled").add_dataframe_asset(step)
    batch = asset.add_batch_definition_whole_dataframe("all")
    held = context.suites.add(gx.ExpectationSuite(name=step, expectations=expectations))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=step, data=batch, suite=held))
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=step,
            validation_definitions=[definition],
            actions=actions,
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]},
        )
    )
    run = checkpoint.run(batch_parameters={"dataframe": table})
    return [entry for result in run.run_results.values() for entry in result.to_json_dict()["results"]]


def _result(entry: dict[str, Any], keys: list[str]) -> GateCheck:
    """Convert the outcome of one expectation, without what differs between runs."""
    config, result = entry["expectation_config"], entry["result"]
    arguments = {k: v for k, v in config["kwargs"].items() if k != "batch_id" and v is not None}
    columns = [arguments.pop(k) for k in ("column", "column_A", "column_B") if k in arguments]
    columns += arguments.pop("column_list", [])
    problem = ""
    if not result:  # Great Expectations could not evaluate it: the column is missing
        problem = f"the column {' or '.join(columns)} is missing or cannot be compared"
    elif "observed_value" in result and not entry["success"]:
        problem = f"found {result['observed_value']}"
    failing = []
    for unexpected in result.get("unexpected_index_list") or []:
        values = ", ".join(str(value) for name, value in unexpected.items() if name != "row")
        failing.append(f"{keys[unexpected['row']]} ({values})")
    return {
        "expects": config["type"].removeprefix("expect_"),
        "columns": ", ".join(columns),
        "needs": ", ".join(f"{key} {value}" for key, value in sorted(arguments.items())) or "filled and in order",
        "why": config["meta"].get("why", ""),
        "severity": config["severity"],
        "success": bool(entry["success"]),
        "unexpected": int(result.get("unexpected_count") or 0),
        "problem": problem,
        "failing": sorted(failing)[:LISTED_ROWS],
    }


class _MutedLog:
    """Context manager that mutes the progress log of Great Expectations."""

    def __enter__(self) -> None:
        self.level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.level)


# --- the suites


def _register(limits: Gate, frame: pl.DataFrame) -> list[Any]:
    low, high = 1 - limits.odd_rate_share, 1 + limits.odd_rate_share
    return [
        *per_video(),
        *filled("seconds", "frames", "frames_per_second", "variable_rate"),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "a recording must be long enough to contain steps",
            column="seconds",
            min_value=limits.shortest_seconds,
        ),
        must(gxe.ExpectColumnValuesToBeUnique, "the same file twice would count a child twice", column="sha256"),
        should(
            gxe.ExpectColumnValuesToBeInSet,
            "time stamps are used, but a constant frame rate is better",
            column="variable_rate",
            value_set=[False],
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "an unusual frame rate suggests a wrong header",
            column="rate_ratio",
            min_value=low,
            max_value=high,
        ),
    ]


def _with_rate_ratio(frame: pl.DataFrame) -> pl.DataFrame:
    rate = pl.col("frames_per_second")
    return frame.with_columns(rate_ratio=rate / rate.median())


def _deidentify(limits: Gate, frame: pl.DataFrame) -> list[Any]:
    rules = [
        *per_video(),
        *filled("verdict"),
        must(
            gxe.ExpectColumnValuesToBeInSet,
            "a held video must be reviewed by a person before a later step reads it",
            column="verdict",
            value_set=["covered", "cleared", "keypoints"],
        ),
    ]
    if "decoded_sha256" not in frame.columns:  # a study on keypoints has no video to cover
        return rules
    return [
        *rules,
        must(
            gxe.ExpectColumnValuesToBeInSet,
            "a covered video has frames and the hash of its pixels",
            column="evidence_whole",
            value_set=[True],
        ),
        must(
            gxe.ExpectColumnValuesToBeUnique, "the same pixels twice would count a child twice", column="decoded_sha256"
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "a head should be covered in nearly every frame",
            column="covered_share",
            min_value=limits.least_covered_share,
            max_value=1,
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "a cover over much of the image hides the gait as well",
            column="share_of_picture",
            max_value=limits.largest_cover_share,
        ),
    ]


def _with_evidence_rules(frame: pl.DataFrame) -> pl.DataFrame:
    if "decoded_sha256" not in frame.columns:
        return frame
    whole = pl.col("decoded_sha256").is_not_null() & (pl.col("frames").fill_null(0) > 0)
    return frame.with_columns(
        evidence_whole=whole | (pl.col("verdict") == "keypoints"),
        covered_share=pl.col("frames_covered") / pl.col("frames"),
    )


def _refine_pose(limits: Gate, frame: pl.DataFrame) -> list[Any]:
    turns = []
    if "turns_at" in frame.columns:
        turns.append(
            must(
                gxe.ExpectColumnValuesToBeBetween,
                "a child who turns round shows two views; cut the video at this second into two recordings",
                column="turn_seconds",
                max_value=0,
            )
        )
    return [
        *per_video(),
        *turns,
        *filled("frames", "share_legs_missing", "share_sum"),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "every keypoint is exactly one of measured, corrected, swapped, filled, missing",
            column="share_sum",
            min_value=0.999,
            max_value=1.001,
        ),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "gait cannot be assessed without leg keypoints",
            column="share_legs_missing",
            max_value=limits.most_legs_missing,
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "filled keypoints were not measured",
            column="share_filled",
            max_value=limits.most_filled,
        ),
        must(
            gxe.ExpectColumnValuesToBeInSet,
            "a view with the opposite name swaps left and right; rename the recording",
            column="view_turned",
            value_set=[False],
        ),
        should(
            gxe.ExpectColumnValuesToBeInSet,
            "the walking direction should match the view in the name",
            column="view_fits",
            value_set=[True],
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "a walk without a foot contact cannot be cut into strides",
            column="events",
            min_value=1,
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "an implausible stride time suggests a wrong frame rate or wrong contacts",
            column="stride_seconds",
            min_value=limits.shortest_stride_seconds,
            max_value=limits.longest_stride_seconds,
        ),
    ]


def _with_share_sum(frame: pl.DataFrame) -> pl.DataFrame:
    if "turns_at" in frame.columns:  # null: the child does not turn
        frame = frame.with_columns(turn_seconds=pl.col("turns_at").cast(pl.Float64).fill_null(0.0))
    kinds = ["share_measured", "share_corrected", "share_swapped", "share_filled", "share_missing"]
    return frame.with_columns(share_sum=pl.sum_horizontal(kinds, ignore_nulls=False))


def _prepare_clips(limits: Gate, frame: pl.DataFrame) -> list[Any]:
    masks = []
    if "child_share" in frame.columns:  # a study on keypoints has no masks
        masks = [
            *filled("child_share"),
            must(
                gxe.ExpectColumnValuesToBeBetween,
                "a crop without the child, or filled by it, has a wrong mask",
                column="child_share",
                min_value=limits.least_child_share,
                max_value=limits.most_child_share,
            ),
            should(
                gxe.ExpectColumnValuesToBeBetween,
                "the child should be visible in nearly every frame",
                column="empty_share",
                max_value=limits.most_empty_masks,
            ),
        ]
    if "covered_share" in frame.columns:
        masks.append(
            must(
                gxe.ExpectColumnValuesToBeBetween,
                "a child under covers cannot be assessed; remove or end the cover in regions.csv, or exclude the video",
                column="covered_share",
                max_value=limits.most_covered_frames,
            )
        )
    return [
        *per_video(),
        *filled("frames", "seconds", "points_known", "points_inside"),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "a clip must be long enough to contain steps",
            column="seconds",
            min_value=limits.shortest_seconds,
        ),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "keypoints must have a position",
            column="points_known",
            min_value=limits.least_points_known,
            max_value=1,
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "keypoints should be inside the child's crop",
            column="points_inside",
            min_value=limits.least_points_inside,
            max_value=1,
        ),
        *masks,
    ]


def _with_empty_share(frame: pl.DataFrame) -> pl.DataFrame:
    if "empty_masks" not in frame.columns:
        return frame
    return frame.with_columns(empty_share=pl.col("empty_masks") / pl.col("frames"))


def _build_labels(limits: Gate, frame: pl.DataFrame) -> list[Any]:
    return [
        *filled("subject", "limb", "code", "views"),
        must(
            gxe.ExpectCompoundColumnsToBeUnique,
            "a child has one score per limb and item",
            column_list=["subject", "limb", "code"],
        ),
        must(
            gxe.ExpectColumnValuesToMatchRegex,
            "a subject is digits, so that no name gets in",
            column="subject",
            regex=SUBJECT,
        ),
        must(gxe.ExpectColumnValuesToBeInSet, "there are two limbs", column="limb", value_set=list(LIMBS)),
        must(gxe.ExpectColumnValuesToBeInSet, "there are 17 items", column="code", value_set=list(CODES)),
        must(gxe.ExpectColumnValuesToBeInSet, "scores are 0, 1 or 2", column="score", value_set=[0, 1, 2]),
        must(
            gxe.ExpectColumnValuesToBeInSet,
            "a row has either a score or the reason why it is missing",
            column="explained",
            value_set=[True],
        ),
        must(gxe.ExpectColumnValuesToBeInSet, "atypical is a score above 0", column="merged_right", value_set=[True]),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "a child has 34 rows, scored or not",
            column="rows_of_child",
            min_value=len(TARGET_NAMES),
            max_value=len(TARGET_NAMES),
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "most of a child's items should be scored",
            column="scored_share",
            min_value=limits.least_scored_share,
        ),
    ]


def _with_label_rules(frame: pl.DataFrame) -> pl.DataFrame:
    score = pl.col("score")
    return frame.with_columns(
        explained=score.is_not_null() != pl.col("reason").is_not_null(),
        merged_right=(score > 0).eq_missing(pl.col("atypical")),
        rows_of_child=pl.len().over("subject"),
        scored_share=score.is_not_null().mean().over("subject"),
    )


def _split_subjects(limits: Gate, frame: pl.DataFrame) -> list[Any]:
    return [
        *filled("fold", "subject", "part"),
        must(gxe.ExpectCompoundColumnsToBeUnique, "a child has one row per fold", column_list=["fold", "subject"]),
        must(gxe.ExpectColumnValuesToBeInSet, "parts have four names", column="part", value_set=[*PART_NAMES, "none"]),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "the same child may never be in two parts of a fold",
            column="parts_of_child",
            min_value=1,
            max_value=1,
        ),
        must(
            gxe.ExpectColumnValuesToBeBetween,
            "each fold needs a train, a validation and a test part",
            column="parts_of_fold",
            min_value=len(PART_NAMES),
        ),
        must(
            gxe.ExpectColumnValuesToBeInSet,
            "a test child of the hold-out may be in no fold",
            column="spared",
            value_set=[True],
        ),
        must(
            gxe.ExpectColumnValuesToBeInSet,
            "a child in no part has a reason, a child in a part has none",
            column="explained",
            value_set=[True],
        ),
        should(
            gxe.ExpectColumnValuesToBeBetween,
            "few children in a part give a wide confidence interval",
            column="children_of_part",
            min_value=limits.fewest_children,
        ),
    ]


def _with_split_rules(frame: pl.DataFrame) -> pl.DataFrame:
    used, part = pl.col("part") != "none", pl.col("part")
    held = frame.filter((pl.col("fold") == HOLDOUT) & (part == "test"))["subject"].implode()
    return frame.with_columns(
        parts_of_child=part.n_unique().over("fold", "subject"),
        parts_of_fold=part.filter(used).n_unique().over("fold"),
        spared=~(used & pl.col("subject").is_in(held) & (pl.col("fold") != HOLDOUT)),
        explained=used != pl.col("reason").is_not_null(),
        children_of_part=pl.when(used).then(pl.len().over("fold", "part")),
    )


# One suite per step of GATED.
SUITES: dict[str, Suite] = {
    "register": Suite(("video",), _register, _with_rate_ratio),
    "deidentify": Suite(("video",), _deidentify, _with_evidence_rules),
    "refine_pose": Suite(("video",), _refine_pose, _with_share_sum),
    "prepare_clips": Suite(("video",), _prepare_clips, _with_empty_share),
    "build_labels": Suite(("subject", "limb", "code"), _build_labels, _with_label_rules),
    "split_subjects": Suite(("fold", "subject"), _split_subjects, _with_split_rules),
}
assert SUITES.keys() == GATED.keys()
