"""Scores and subjects as delivered become tables; what is odd is named."""

import json
from pathlib import Path

import polars as pl
import pytest

from childgait.errors import StepError
from childgait.params import BuildLabels
from childgait.steps.build_labels import build_labels

PARAMS = BuildLabels(scale="ordinal", rater="", camera_views="registry")


def entry(patient: object, left: int | None = 0, right: int | None = 1, **more: object) -> dict[str, object]:
    scores = {limb: {str(n): value for n in range(1, 18)} for limb, value in (("left", left), ("right", right))}
    return {"patient_id": patient, **scores, **more}


def run(tmp_path: Path, entries: object, people: str, params: BuildLabels = PARAMS) -> dict[str, Path]:
    (tmp_path / "labels.json").write_text(json.dumps(entries))
    (tmp_path / "subjects.csv").write_text(people)
    clips = pl.DataFrame({"subject": ["0001", "0002", "0003"]})
    clips.write_parquet(tmp_path / "clips.parquet")
    out = {name: tmp_path / f"{name}.parquet" for name in ("labels_out", "totals", "subjects_out")}
    out["agreement"] = tmp_path / "agreement.json"
    inputs = (tmp_path / "labels.json", tmp_path / "subjects.csv", tmp_path / "clips.parquet")
    build_labels(*inputs, **out, params=params)
    return out


PEOPLE = "patient_id,age,sex,diagnosis,aid\n0001,8.5,girl,CP,none\n2,,M,,walker\n0003,4,f,,\n"


def test_every_child_limb_and_item_has_a_score_or_a_reason(tmp_path: Path) -> None:
    first = entry("0001", 2, 0)
    first["left"]["4"] = None
    out = run(tmp_path, [first, entry(2)], PEOPLE)
    labels = pl.read_parquet(out["labels_out"])
    assert labels.height == 3 * 34
    assert labels.filter(pl.col("score").is_null() == pl.col("reason").is_null()).is_empty()
    hidden = labels.filter((pl.col("subject") == "0001") & (pl.col("limb") == "left") & (pl.col("code") == "HVV"))
    assert hidden["reason"].item() == "the item has no score"
    assert set(labels.filter(pl.col("subject") == "0003")["reason"]) == {"the child is not in the labels file"}
    assert labels.filter(pl.col("score") == 2)["atypical"].all()
    assert not labels.filter(pl.col("score") == 0)["atypical"].any()
    assert labels.filter(pl.col("code") == "TLT")["views"].unique().to_list() == ["forward backward"]


def test_a_total_is_null_where_an_item_is_missing(tmp_path: Path) -> None:
    first = entry("0001", 2, 1)
    first["left"]["4"] = None
    first["right"]["Total"] = 18
    out = run(tmp_path, [first], PEOPLE)
    totals = {row["limb"]: row for row in pl.read_parquet(out["totals"]).iter_rows(named=True)}
    assert totals["left"]["total"] is None
    assert totals["left"]["scored"] == 16
    assert totals["both"]["total"] is None
    assert (totals["right"]["total"], totals["right"]["atypical"], totals["right"]["stated"]) == (17, 17, 18)
    oddities = json.loads(out["agreement"].read_text())["oddities"]
    assert oddities == [
        "child 0001, right: the file's total is 18, its items make 17",
        "child 0002 has clips but no scores",
        "child 0003 has clips but no scores",
    ]


def test_subjects_are_read_as_they_are_written(tmp_path: Path) -> None:
    out = run(tmp_path, [entry("0001")], PEOPLE)
    people = pl.read_parquet(out["subjects_out"]).rows(named=True)
    first = {"subject": "0001", "age_years": 8.5, "sex": "female", "diagnosis": "CP", "aid": "none", "severity": None}
    second = {
        "subject": "0002",
        "age_years": None,
        "sex": "male",
        "diagnosis": "unknown",
        "aid": "walker",
        "severity": None,
    }
    assert people[:2] == [first, second]


def test_a_severity_is_read_in_figures_and_as_gmfcs(tmp_path: Path) -> None:
    given = ("1", "2", "3", "4", "I", "II", "iii", " iv ", "")
    people = "".join(f"{n},8,f,{level}\n" for n, level in enumerate(given, 1))
    out = run(tmp_path, [entry("0001")], "patient_id,age,sex,severity\n" + people)
    assert pl.read_parquet(out["subjects_out"])["severity"].to_list() == [1, 2, 3, 4, 1, 2, 3, 4, None]


def test_the_age_may_be_called_age_years(tmp_path: Path) -> None:
    out = run(tmp_path, [entry("0001")], PEOPLE.replace("age", "age_years", 1))
    assert pl.read_parquet(out["subjects_out"])["age_years"][0] == 8.5


def test_two_raters_are_compared_and_one_is_chosen(tmp_path: Path) -> None:
    entries = [entry(n, n % 3, 1, rater="A") for n in (1, 2, 3)] + [entry(n, n % 3, 1, rater="B") for n in (1, 2, 3)]
    entries[3]["left"]["1"] = 0
    with pytest.raises(StepError, match=r"scores by 'A', 'B', and build_labels.rater is ''"):
        run(tmp_path, entries, PEOPLE)
    out = run(tmp_path, entries, PEOPLE, PARAMS.model_copy(update={"rater": "A"}))
    report = json.loads(out["agreement"].read_text())
    (pair,) = report["pairs"]
    assert report["labels_by"] == "A"
    assert pair["weighted_kappa"]["HL"]["value"] == pytest.approx(1.0)
    assert pair["weighted_kappa"]["IC"]["value"] < 1
    assert pair["icc_of_limb_totals"]["value"] > 0.98
    labels = pl.read_parquet(out["labels_out"])
    selected = labels.filter((pl.col("subject") == "0001") & (pl.col("limb") == "left") & (pl.col("code") == "IC"))
    assert selected["score"].item() == 1


@pytest.mark.parametrize(
    ("entries", "people", "message"),
    [
        ([entry("0009")], PEOPLE, "1 child.* does not list, first 0009"),
        ([entry("0001"), entry("1")], PEOPLE, "scores child 0001 twice"),
        ([entry("../1")], PEOPLE, "'../1' is not a number"),
        ([entry("0001", 3)], PEOPLE, "child 0001, left, item IC is scored 3, but 0, 1, 2 or null"),
        ([entry("0001", 1.5)], PEOPLE, "is scored 1.5"),
        ([{"patient_id": "1", "left": {"18": 0}}], PEOPLE, "'18' is no item"),
        ([{"patient_id": "1", "left": {"1": 0, "01": 0}}], PEOPLE, "left has item 1 twice, once as '01'"),
        ([], PEOPLE, "contains no child"),
        ({"0001": {}}, PEOPLE, "is not a list of entries"),
        ([entry("0001")], PEOPLE + "0001,7,f,,\n", "line 5: child 0001 is there twice"),
        ([entry("0001")], "patient_id,age,sex\n1,old,f\n", "line 2: age is 'old'"),
        ([entry("0001")], "patient_id,age,sex\n1,4,x\n", "sex is 'x'"),
        ([entry("0001")], "patient_id,age,sex,severity\n1,4,f,V\n", "line 2: severity is 'V'"),
        ([entry("0001")], "patient_id,years\n1,4\n", r"lacks the column\(s\) age, sex"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, entries: object, people: str, message: str) -> None:
    with pytest.raises(StepError, match=message):
        run(tmp_path, entries, people)


def test_the_scale_is_declared_and_checked(tmp_path: Path) -> None:
    binary = PARAMS.model_copy(update={"scale": "binary"})
    with pytest.raises(StepError, match="scored 2, but 0, 1 or null"):
        run(tmp_path, [entry("0001", 2)], PEOPLE, binary)
    everybody = [entry(n, 1, 0) for n in (1, 2, 3)]
    out = run(tmp_path, everybody, PEOPLE)
    assert "binary" in json.loads(out["agreement"].read_text())["oddities"][0]
    out = run(tmp_path, everybody, PEOPLE, binary)
    assert json.loads(out["agreement"].read_text())["oddities"] == []


def test_views_may_be_overruled_per_item(tmp_path: Path) -> None:
    out = run(tmp_path, [entry("0001")], PEOPLE, PARAMS.model_copy(update={"camera_views": {"PRT": ["left", "right"]}}))
    labels = pl.read_parquet(out["labels_out"])
    assert labels.filter(pl.col("code") == "PRT")["views"].unique().item() == "left right"
    with pytest.raises(StepError, match="names 'PTR', which is no item"):
        run(tmp_path, [entry("0001")], PEOPLE, PARAMS.model_copy(update={"camera_views": {"PTR": ["left"]}}))
