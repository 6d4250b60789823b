"""Predictions from outside: the study's own predictions, handed in as a table, have the study's own metrics."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from childgait.commands.judge import judge
from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.external_answers import keep_answers, read_external_table, read_kept_answers
from childgait.files.split import HOLDOUT
from childgait.metrics.external import measure_external
from childgait.metrics.of_study import measure_model
from childgait.params import load_section
from childgait.report.external import StudyPredictions, read_study_predictions
from support.report_study import Made, write_study

MODEL = "childgait_video"
HASH = "a" * 64


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return write_study(tmp_path_factory.mktemp("study") / "data", folds=("0", "1", HOLDOUT))


@pytest.fixture(scope="module")
def study(made: Made) -> StudyPredictions:
    return read_study_predictions(made.folder / "evaluate", MODEL)


def table_of(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def own_rows(study: StudyPredictions, scope: str) -> list[dict[str, object]]:
    """The study's own probabilities as a table from outside, of one scope."""
    own = study.predictions[scope][MODEL]
    folds = sorted(fold for fold in study.split_hashes if (fold == HOLDOUT) == (scope == HOLDOUT))
    number = [0] * len(own.children) if own.folds is None else own.folds.tolist()
    return [
        {"child": child, "target": target, "probability": p, "split_hash": study.split_hashes[folds[n]]}
        for child, n, row in zip(own.children, number, own.probability[0].tolist(), strict=True)
        for target, p in zip(TARGET_NAMES, row, strict=True)
        if p == p
    ]


@pytest.mark.parametrize("scope", [HOLDOUT, "folds"])
def test_own_predictions_have_the_studys_metrics(study: StudyPredictions, scope: str, tmp_path: Path) -> None:
    answers = read_external_table(table_of(tmp_path / "t.csv", own_rows(study, scope)), "ours")
    (row,) = measure_external(answers, study.split_hashes, study.predictions, MODEL, draws=50, seed=1)
    own = measure_model(study.predictions[scope][MODEL], 50, 1)
    for metric in ("balanced_accuracy", "f1", "auroc", "sensitivity"):
        assert row.metrics.overall[metric] == own.overall[metric]
    assert row.difference.difference == 0
    assert row.mark == "ours (external)"


def test_refusals_are_counted_and_counted_as_wrong(study: StudyPredictions, tmp_path: Path) -> None:
    rows = own_rows(study, HOLDOUT)
    answered = [
        {"visit": f"{row['child']}-0001", "target": row["target"], "answer": int(float(str(row["probability"])) >= 0.5)}
        for row in rows
    ]
    answered[0]["answer"] = answered[1]["answer"] = "refused"
    path = table_of(tmp_path / "t.csv", answered[:-1])  # the last one is missing
    answers = read_external_table(path, "model", study.split_hashes[HOLDOUT])
    (row,) = measure_external(answers, study.split_hashes, study.predictions, MODEL, draws=0, seed=1)
    assert row.unanswered == 3
    accuracy, wrong = row.metrics.overall["accuracy"].value, row.accuracy_unanswered_wrong.value
    assert accuracy is not None
    assert wrong is not None
    assert wrong < accuracy


def test_visits_are_averaged_per_child(tmp_path: Path) -> None:
    rows = [
        {"visit": "0013-0001", "target": "L.IC", "probability": 0.2},
        {"visit": "0013-0002_left_1-90", "target": "L.IC", "probability": 0.8},
        {"visit": "0013-0003", "target": "L.IC", "probability": ""},
    ]
    answers = read_external_table(table_of(tmp_path / "t.csv", rows), "model", HASH)
    assert answers.probability == {(HASH, "0013", "L.IC"): 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("child,target,probability\n0013,L.IC,0.5\n", "given nowhere"),
        (f"child,target,probability,split_hash\n0013,L.IC,1.5,{HASH}\n", "the probability is"),
        (f"child,target,probability,split_hash\n0013,L.IC,nan,{HASH}\n", "the probability is"),
        (f"child,target,probability,split_hash\n0013,L.XX,0.5,{HASH}\n", "the target is"),
        (f"child,target,probability,split_hash\nAnna,L.IC,0.5,{HASH}\n", "the child is"),
        (f"child,target,answer,split_hash\n0013,L.IC,yes,{HASH}\n", "the answer is"),
        (f"child,target,answer,probability,split_hash\n0013,L.IC,1,1,{HASH}\n", "both columns"),
        (f"child,target,answer,split_hash\n0013,L.IC,1,{HASH}\n0013,L.IC,0,{HASH}\n", "twice"),
        ("child,target,answer,split_hash\n0013,L.IC,1,abc\n", "the hash of the split is"),
        (f"child,target,answer,split_hash,note\n0013,L.IC,1,{HASH},x\n", "has the column 'note'"),
        ("child,target,answer,split_hash\n", "has no row"),
    ],
)
def test_a_malformed_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(StepError, match=message):
        read_external_table(tmp_path / "t.csv", "model")


def test_another_split_or_child_is_refused(study: StudyPredictions, tmp_path: Path) -> None:
    row = own_rows(study, HOLDOUT)[0]
    foreign = read_external_table(table_of(tmp_path / "a.csv", [row | {"split_hash": HASH}]), "model")
    with pytest.raises(StepError, match="no fold of this study has the split hash"):
        measure_external(foreign, study.split_hashes, study.predictions, MODEL, draws=0, seed=1)
    trained = read_external_table(table_of(tmp_path / "b.csv", [row | {"child": "0001"}]), "model")
    with pytest.raises(StepError, match="0001 is no test child"):
        measure_external(trained, study.split_hashes, study.predictions, MODEL, draws=0, seed=1)


def test_kept_answers_are_read_back_and_replaced(tmp_path: Path) -> None:
    rows = [{"child": "0013", "target": "L.IC", "probability": 0.25}]
    path = tmp_path / "external.csv"
    for source, probability in (("b", 0.25), ("a", 0.5), ("b", "")):
        table = table_of(tmp_path / "t.csv", [rows[0] | {"probability": probability}])
        keep_answers(path, read_external_table(table, source, HASH))
    kept = read_kept_answers(path)
    assert [(each.source, *each.probability.values()) for each in kept] == [("a", 0.5), ("b", None)]


def test_the_command_prints_a_row_and_writes_it(
    made: Made, study: StudyPredictions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from childgait.params import Evaluate

    settings = Path(__file__).parents[2] / "params.yaml"
    assert load_section(settings, Evaluate).bins
    table = table_of(tmp_path / "t.csv", own_rows(study, HOLDOUT))
    judge(table, "ours", evaluations=made.folder / "evaluate", settings=settings, out=tmp_path / "row.csv")
    printed = capsys.readouterr().out
    assert "ours (external), holdout: 4 children" in printed
    assert f"balanced accuracy minus that of {MODEL}: +0.00" in printed
    assert pl.read_csv(tmp_path / "row.csv")["model"].to_list() == ["ours (external)"]
