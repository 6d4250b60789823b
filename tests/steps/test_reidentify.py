"""The step writes numbers, page, curve and figure of an audit, and names no child."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from childgait.metrics.reidentification import Audit
from childgait.params import Reidentify
from childgait.steps.reidentify import reidentify
from support.identified_study import make_identified_study
from support.small_study import PARAMS, settings

FILES = {"audit": "reidentify.json", "page": "reidentify.md", "curve": "curve.csv", "figure": "curve.png"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "clips").mkdir()
    study = make_identified_study(folder / "clips", sessions={"0001": 2, "0002": 2})
    finetune = settings(skeleton={**PARAMS["finetune"]["skeleton"], "width": 8}).model_dump(mode="json")
    section = {"encoder": "gru", "components": 8, "folds": 2, "strengths": [1.0], "bootstrap": 20, "seed": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump({**PARAMS, "finetune": finetune, "reidentify": section}))
    reidentify(
        study.train,
        study.validation,
        study.test,
        study.clips,
        **{name: folder / file for name, file in FILES.items()},
        params=Reidentify.model_validate(section),
        study=folder / "params.yaml",
    )
    return folder


def test_every_input_has_a_row_and_the_protector_a_curve(written: Path) -> None:
    audit = Audit.model_validate(json.loads((written / FILES["audit"]).read_text()))
    names = ["proportions", "keypoints", "masks", "drawn clips", "frames"]
    assert [(row.input, row.strength) for row in audit.rows] == [
        *((name, 0) for name in names),
        ("keypoints", 1),
        ("frames", 1),
    ]
    assert audit.children == {"another session": 2, "way out, way back": 6}
    assert (audit.encoder, audit.weights) == ("gru", "random")
    by_name = {(row.input, row.strength): row for row in audit.rows}
    assert (by_name["proportions", 0].identification.rank_1.value or 0) > 0.5
    rows = list(csv.DictReader((written / FILES["curve"]).read_text().splitlines()))
    assert [(row["input"], row["strength"]) for row in rows] == [
        ("frames", "0.0"),
        ("frames", "1.0"),
        ("keypoints", "0.0"),
        ("keypoints", "1.0"),
    ]
    assert all(row["rank_1"] and row["items"] for row in rows)
    assert (written / FILES["figure"]).read_bytes().startswith(b"\x89PNG")


def test_the_page_names_chance_and_no_child(written: Path) -> None:
    page = (written / FILES["page"]).read_text()
    assert "| proportions | 8 |" in page
    assert "0.125" in page, "rank-1 by chance of 8 children"
    assert "way out, way back" in page
    for name in ("page", "audit", "curve"):
        assert not re.search(r"\b000[1-8]\b", (written / FILES[name]).read_text()), name
