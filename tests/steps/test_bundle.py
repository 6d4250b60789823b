"""A bundle predicts what evaluate predicted, and a missing, foreign or changed one is refused in one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.hashes import sha256_of_text
from childgait.files.parts import open_part
from childgait.training.bundle import calibrated_probability, child_logits_by_run, open_bundle
from support.bundled_study import MODELS_OF_STUDY, BundledStudy, make_bundled_study, write_bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BundledStudy:
    return make_bundled_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def copied(made: BundledStudy, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.bundle, tmp_path / "bundle"))


def test_a_bundle_predicts_what_evaluate_predicted(made: BundledStudy) -> None:
    bundle = open_bundle(made.bundle)
    part = open_part(made.study.test, made.study.clips)
    tables = {name: pl.read_parquet(made.run_file(name, "predictions.parquet")) for name in MODELS_OF_STUDY}
    for child in sorted(part.table["subject"].unique()):
        own = part.filter([subject == child for subject in part.table["subject"]])
        logits = child_logits_by_run(bundle, own, windows_per_video=2)
        for name in MODELS_OF_STUDY:
            rows = tables[name].filter((pl.col("level") == "child") & (pl.col("subject") == child))
            table_row = {row["target"]: row["calibrated"] for row in rows.iter_rows(named=True)}
            expected = np.array([table_row[target] for target in TARGET_NAMES], dtype=float)
            given = calibrated_probability(bundle.description.runs, logits, name)
            np.testing.assert_allclose(given, expected, atol=1e-6)


def test_limits_are_fitted_on_validation_children_only(made: BundledStudy) -> None:
    described = open_bundle(made.bundle).description
    table = pl.read_parquet(made.run_file("childgait_video", "predictions.parquet"))
    children = table.filter(pl.col("part") == "validation")["subject"].n_unique()
    assert described.calibration_children == children
    assert described.limits["KEX"].typical.cells + described.limits["KEX"].atypical.cells == 2 * children
    rows = table.filter((pl.col("level") == "child") & (pl.col("part") == "validation"))
    rows = rows.filter((pl.col("target").str.ends_with("KEX")) & (pl.col("atypical") == 1))
    limit = described.limits["KEX"].atypical.least_probability
    least = float(rows["calibrated"].min())
    assert limit is None or limit == pytest.approx(least)


def test_the_same_study_gives_the_same_bytes(made: BundledStudy, tmp_path: Path) -> None:
    write_bundle(made, tmp_path / "again")
    for name in ("bundle.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (made.bundle / name).read_bytes()


def test_a_missing_bundle_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="there is no bundle in"):
        open_bundle(tmp_path)


def test_changed_weights_are_refused(copied: Path) -> None:
    path = copied / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StepError, match=r"weights.safetensors has sha256 .* it was changed"):
        open_bundle(copied)


def test_a_changed_description_is_refused(copied: Path) -> None:
    path = copied / "bundle.json"
    path.write_text(path.read_text().replace('"error_rate": 0.1', '"error_rate": 0.2', 1))
    with pytest.raises(StepError, match=r"bundle.json was changed: its hash is"):
        open_bundle(copied)


def test_another_format_is_refused(copied: Path) -> None:
    path = copied / "bundle.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"format": 99}))
    with pytest.raises(StepError, match="has format 99, but this version of childgait reads format 2"):
        open_bundle(copied)


def test_a_description_without_a_key_of_this_version_is_refused(copied: Path) -> None:
    path = copied / "bundle.json"
    values = json.loads(path.read_text())
    del values["hash"], values["error_rate"]
    body = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(json.dumps(values | {"hash": sha256_of_text(body)}, ensure_ascii=False))
    with pytest.raises(StepError, match=r"was written by another version of childgait .*: error_rate: field required"):
        open_bundle(copied)
