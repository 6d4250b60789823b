"""The submission answers for the listed test children, scored or not, and for nobody the model has learnt from."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from childgait.domain.evgs import CODES, LIMBS, TARGET_NAMES, default_views
from childgait.errors import StepError
from childgait.files.labels import LABELS, SUBJECTS
from childgait.files.model_description import ModelDescription
from childgait.files.parts import open_part
from childgait.files.split import SEALED
from childgait.files.submission import read_submission
from childgait.models.registry import MODELS, settings_of
from childgait.steps.write_submission import write_submission
from childgait.training.description import describe
from childgait.training.fit import FitResult
from support.small_study import Study, make_study, settings


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder, children=16)
    logit = np.full(34, -1.0)
    logit[TARGET_NAMES.index("R.TLT")] = 1.0
    parts = {part: open_part(getattr(study, part), study.clips) for part in ("train", "validation")}
    learnt = FitResult({"logit": logit}, [], 0, {"learns": 34})
    selected = settings_of(MODELS["majority"], settings())
    save_file(learnt.weights, folder / "weights.safetensors")
    describe(MODELS["majority"], "holdout", 0, selected, parts, learnt).write(folder / "model.json")
    views = default_views()
    rows = [
        {"subject": "0001", "limb": limb, "code": code, "score": 1, "atypical": True, "views": " ".join(views[code])}
        for limb in LIMBS
        for code in CODES
    ]
    pl.DataFrame(rows, schema=LABELS.schema()).write_parquet(
        folder / "labels.parquet"
    )  # of one child; nobody else has scores
    pl.DataFrame(
        [{"subject": "0001", "age_years": 7.0, "sex": "male", "diagnosis": "", "aid": "none"}], schema=SUBJECTS.schema()
    ).write_parquet(folder / "subjects.parquet")
    return study


def run(study: Study, out: Path, listed: list[str], **changes: Any) -> dict[str, list[int]]:
    folder = study.train.parent
    lists = out / "split.csv"
    lists.write_text("subject,part,reason\n" + "".join(f"{child},test,challenge\n" for child in listed))
    write_submission(
        **{
            "weights": [folder / "weights.safetensors"],
            "models": [folder / "model.json"],
            "clips": study.clips,
            "subjects": folder / "subjects.parquet",
            "labels": folder / "labels.parquet",
            "lists": lists,
            "windows_per_video": 2,
            "submission": out / "submission.csv",
            **changes,
        }
    )
    return read_submission(out / "submission.csv", set(listed) or None)


def of_part(path: Path) -> list[str]:
    return sorted(pl.read_parquet(path)["subject"].unique())


def test_the_listed_children_are_answered_for(study: Study, tmp_path: Path) -> None:
    listed = of_part(study.test)[:2]
    result = run(study, tmp_path, listed)
    assert sorted(result) == listed
    assert result[listed[0]] == [int(name == "R.TLT") for name in TARGET_NAMES]


def test_without_a_list_everybody_is_whom_the_model_has_never_seen(study: Study, tmp_path: Path) -> None:
    assert sorted(run(study, tmp_path, [])) == of_part(study.test)


def test_sealed_children_are_not_predicted(study: Study, tmp_path: Path) -> None:
    sealed, *others = of_part(study.test)
    assignment = tmp_path / "subjects.csv"
    assignment.write_text(f"fold,subject,part,reason\nholdout,{sealed},none,{SEALED}\n")
    assert sorted(run(study, tmp_path, [], assignment=assignment)) == others


def test_class_weights_of_the_loss_are_undone(study: Study, tmp_path: Path) -> None:
    """A weight of 4 on atypical scores moves the threshold by log 4: a logit of 1 is below it."""
    folder = study.train.parent
    description = ModelDescription.read(folder / "model.json")
    facts = {**description.facts, "positive_weights": [4.0] * 34}
    description.model_copy(update={"facts": facts}).write(tmp_path / "model.json")
    listed = of_part(study.test)[:1]
    assert sum(run(study, tmp_path, listed)[listed[0]]) == 1
    assert sum(run(study, tmp_path, listed, models=[tmp_path / "model.json"])[listed[0]]) == 0


def test_a_listed_child_that_trained_the_model_stops_the_step(study: Study, tmp_path: Path) -> None:
    child = of_part(study.train)[0]
    with pytest.raises(StepError, match=f"was trained on child {child}, whom it is to predict"):
        run(study, tmp_path, [child])


def test_nobody_left_to_answer_for_is_said(study: Study, tmp_path: Path) -> None:
    seen = [clip for clip in study.clips if clip.name[:4] in of_part(study.train)]
    with pytest.raises(StepError, match="no child is left to predict"):
        run(study, tmp_path, [], clips=seen)
