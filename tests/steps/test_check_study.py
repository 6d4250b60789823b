"""Every promise of a study is kept by a good one, and broken by outputs that break it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from childgait.errors import StepError
from childgait.files.split import HOLDOUT
from childgait.report.promises import PROMISES
from childgait.steps.check_study import check_study
from support.report_study import Made, write_study


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return write_study(tmp_path / "data", folds=("0", HOLDOUT))


def run(made: Made) -> dict:
    results = made.folder / "results.json"
    check_study(made.gates, made.labels, made.assignment, made.parts, made.models, made.predictions, results)
    return json.loads(results.read_text())


def test_a_good_study_keeps_every_promise(made: Made) -> None:
    result = run(made)
    assert result["kept"] == len(PROMISES) == len(result["promises"])
    assert all(promise["kept"] and promise["promise"].endswith(".") for promise in result["promises"])


def path_of(made: Made, ending: str) -> Path:
    every = [*made.gates, made.labels, made.assignment, *made.parts, *made.predictions]
    return next(path for path in every if str(path).endswith(ending))


def table(ending: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Made], None]:
    def edit(made: Made) -> None:
        path = path_of(made, ending)
        change(pl.read_parquet(path)).write_parquet(path)

    return edit


def move_child(made: Made) -> None:
    """A test child's rows stand in train as well."""
    train, test = path_of(made, "holdout.train.parquet"), path_of(made, "holdout.test.parquet")
    both = pl.concat([pl.read_parquet(train), pl.read_parquet(test).filter(pl.col("subject") == "0013")])
    both.write_parquet(train)


def spoil_fold(made: Made) -> None:
    train, test = path_of(made, "0.train.parquet"), path_of(made, "holdout.test.parquet")
    moved = pl.read_parquet(test).filter(pl.col("subject") == "0013")
    pl.concat([pl.read_parquet(train), moved]).write_parquet(train)


def learn_from_test(made: Made) -> None:
    path = next(p for p in made.models if "holdout" in str(p))
    description = json.loads(path.read_text())
    description["children"]["train"].append("0014")
    path.write_text(json.dumps(description))


def first_row(column: str, value: object, level: str = "child") -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Another value in the first test row of that level that counts."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        selected = (pl.col("part") == "test") & (pl.col("level") == level) & pl.col("counts")
        first = selected & (selected.cast(pl.Int64).cum_sum() == 1)
        return frame.with_columns(pl.when(first).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))

    return change


PREDICTED = "childgait_video/holdout-0/predictions.parquet"
BREAKS = {
    "one_part_a_child": move_child,
    "holdout_is_spared": spoil_fold,
    "parts_are_as_assigned": table("0.test.parquet", lambda t: t.filter(pl.col("subject") != "0001")),
    "no_model_saw_its_test": learn_from_test,
    "one_split": table("0.validation.parquet", lambda t: t.with_columns(split_hash=pl.lit("other"))),
    "every_video_arrives": table("deidentify.parquet", lambda t: t[1:]),
    "every_frame_is_kept": table("refine_pose.parquet", lambda t: t.with_columns(frames=pl.lit(239))),
    "parts_have_clips": table("prepare_clips.parquet", lambda t: t[:-1]),
    "parts_hold_the_labels": table("0.train.parquet", lambda t: t.with_columns(pl.col("L.IC").fill_null(2))),
    "predictions_are_whole": table(PREDICTED, lambda t: t.filter(pl.col("target") != "R.TLT")),
    "probabilities_are_sound": table(PREDICTED, first_row("probability", 1.5)),
    "children_are_means": table(PREDICTED, first_row("logit", 9.0)),
    "truth_is_the_label": table(PREDICTED, lambda t: t.with_columns(atypical=1 - pl.col("atypical"))),
}


def trained_on_another_split(made: Made) -> None:
    description = json.loads(made.models[0].read_text())
    made.models[0].write_text(json.dumps(description | {"split_hash": "other"}))


def without_a_test_part(made: Made) -> None:
    made.parts.remove(path_of(made, "holdout.test.parquet"))


# Further ways to break one, where a promise holds several things.
MORE = [
    ("one_split", trained_on_another_split, "fold 0 has 2 different ones"),
    ("every_video_arrives", table("register.parquet", lambda t: t[1:]), "is not registered"),
    ("every_frame_is_kept", table("deidentify.parquet", lambda t: t.with_columns(frames=pl.lit(239))), "deidentify: "),
    (
        "every_frame_is_kept",
        table("prepare_clips.parquet", lambda t: t.with_columns(source_frames=pl.lit(239))),
        "prepare_clips",
    ),
    ("parts_are_as_assigned", table("0.test.parquet", lambda t: t.with_columns(subject=pl.lit("0099"))), "child 0099"),
    ("predictions_are_whole", table(PREDICTED, lambda t: pl.concat([t, t])), "predicted twice"),
    ("predictions_are_whole", table(PREDICTED, first_row("target", "R.XYZ")), "R.XYZ is not of the test"),
    ("predictions_are_whole", without_a_test_part, "the fold has no test part"),
    ("probabilities_are_sound", table(PREDICTED, first_row("probability", float("nan"))), "is nan"),
    ("probabilities_are_sound", table(PREDICTED, first_row("probability", None)), "is None"),
    ("probabilities_are_sound", table(PREDICTED, first_row("probability", -0.1, "video")), "is -0.1"),
    ("children_are_means", table(PREDICTED, first_row("logit", None)), "1 predictions differ"),
]


@pytest.mark.parametrize(("name", "damage", "message"), MORE)
def test_each_thing_that_a_promise_holds_can_break_it(
    made: Made, name: str, damage: Callable[[Made], None], message: str
) -> None:
    damage(made)
    promise_text = next(promise.__doc__ for promise in PROMISES if promise.__name__ == name)
    with pytest.raises(StepError, match="promises are broken") as caught:
        run(made)
    assert message in str(caught.value).split(f"{promise_text} Not so: ")[1]


def test_no_promise_is_without_a_study_that_breaks_it() -> None:
    assert set(BREAKS) == {promise.__name__ for promise in PROMISES}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_promise_stops_and_says_which(made: Made, name: str) -> None:
    BREAKS[name](made)
    promise_text = next(promise.__doc__ for promise in PROMISES if promise.__name__ == name)
    with pytest.raises(StepError, match="promises are broken") as caught:
        run(made)
    assert f"{promise_text} Not so: " in str(caught.value)
    assert not (made.folder / "results.json").exists()


def test_a_model_without_predictions_is_named(made: Made) -> None:
    del made.predictions[0]
    with pytest.raises(StepError, match="has no predictions"):
        run(made)
