"""The vault is read by no evaluation without a git tag on the commit; each opening is recorded before it is used."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.numpy import save_file

from childgait.engine.run_step import run_step
from childgait.errors import StepError
from childgait.files.parts import open_part
from childgait.files.split import VAULT, assigned_children, sealed_children
from childgait.files.vault import VaultRow, read_openings, record_opening
from childgait.lineage.graph import read_graph
from childgait.metrics.run_metrics import read_run_metrics
from childgait.models.registry import MODELS, settings_of
from childgait.params import OpenVault
from childgait.steps.evaluate import evaluate
from childgait.steps.open_vault import open_vault
from childgait.training.description import describe
from childgait.training.fit import FitResult
from support.small_study import PARAMS, Study, judging, make_study, settings


def git(*arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A committed folder with a coin, whose test children are sealed; the register has no opening."""
    monkeypatch.chdir(tmp_path)
    Path("work").mkdir()
    study = make_study(Path("work"), children=16)
    parts = {part: open_part(getattr(study, part), study.clips) for part in ("train", "validation")}
    selected, learnt = settings_of(MODELS["coin"], settings()), FitResult({"seed": np.array([1])}, [], 0, {"learns": 1})
    save_file(learnt.weights, "work/weights.safetensors")
    describe(MODELS["coin"], "holdout", 0, selected, parts, learnt).write(Path("work/model.json"))
    sealed = pl.read_parquet(study.test).with_columns(pl.lit(VAULT + "0" * 64).alias("split_hash"))
    sealed.write_parquet("work/vault.parquet")
    Path("annotations").mkdir()
    Path("annotations/vault.csv").write_text(",".join(VaultRow.__dataclass_fields__) + "\n")
    values = {**PARAMS, "evaluate": judging().model_dump(), "open_vault": {"tag": "final"}}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    Path(".gitignore").write_text("work/\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "Decide everything")
    return study


def run(study: Study, tag: str, **changes: Any) -> dict[str, Any]:
    work = Path("work")
    values: dict[str, Any] = {
        "weights": work / "weights.safetensors",
        "model": work / "model.json",
        "validation": study.validation,
        "vault": work / "vault.parquet",
        "clips": study.clips,
        "predictions": work / "predictions.parquet",
        "metrics": work / "metrics.json",
        "opening": work / "opening.json",
        "model_name": "coin",
        "fold": "holdout",
        "seed": 0,
        "register": Path("annotations/vault.csv"),
        "params": OpenVault(tag=tag),
        "settings": Path("params.yaml"),
    }
    open_vault(**{**values, **changes})
    return json.loads((work / "opening.json").read_text())


def test_an_evaluation_without_the_tag_cannot_read_the_vault(study: Study) -> None:
    work = Path("work")
    with pytest.raises(
        StepError, match=r"vault.parquet is the vault: its children are sealed\. Hint: only `snakemake v"
    ):
        evaluate(
            work / "weights.safetensors",
            work / "model.json",
            study.validation,
            work / "vault.parquet",
            study.clips,
            work / "predictions.parquet",
            work / "metrics.json",
            model_name="coin",
            fold="holdout",
            seed=0,
            params=judging(),
        )
    assert not (work / "metrics.json").exists()


def on_another_commit() -> None:
    git("tag", "final")
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# one change more\n")
    git("commit", "-qam", "Change one thing more")


def with_a_change() -> None:
    git("tag", "final")
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# one change more\n")


@pytest.mark.parametrize(
    ("tag", "prepare", "message"),
    [
        ("", lambda: None, "the vault is sealed: open_vault.tag is empty"),
        ("final", lambda: None, "the vault is sealed: there is no git tag final"),
        ("final", lambda: git("branch", "final"), "there is no git tag final"),
        ("final", on_another_commit, "the tag final is on [0-9a-f]{12}, but [0-9a-f]{12} is checked out"),
        ("final", with_a_change, "params.yaml was changed after the tag final"),
    ],
)
def test_without_the_tag_on_the_commit_it_stays_sealed(study: Study, tag: str, prepare: Any, message: str) -> None:
    prepare()
    with pytest.raises(StepError, match=message):
        run(study, tag)
    assert read_openings(Path("annotations/vault.csv")) == []
    assert not Path("work/predictions.parquet").exists()


def test_the_tag_opens_it_and_each_opening_is_recorded(study: Study) -> None:
    git("tag", "final")
    opened = run(study, "final")
    assert (opened["tag"], opened["commit"]) == ("final", git("rev-parse", "HEAD"))
    assert opened["children"] == pl.read_parquet("work/vault.parquet")["subject"].n_unique() == 4
    predicted = pl.read_parquet("work/predictions.parquet")
    assert set(predicted["part"]) == {"validation", "vault"}
    overall = read_run_metrics(Path("work/metrics.json")).natural.groups["overall"]["balanced_accuracy"]
    assert opened["balanced_accuracy"] == overall.value is not None
    run(study, "final")  # the register itself has changed since the tag, which is no change of what is evaluated
    (row,) = read_openings(Path("annotations/vault.csv"))
    assert (row.run, row.balanced_accuracy) == (
        ("final", opened["commit"], opened["split_hash"], "coin", "holdout", 0),
        opened["balanced_accuracy"],
    )
    git("tag", "again")
    run(study, "again")
    assert [row.tag for row in read_openings(Path("annotations/vault.csv"))] == ["final", "again"]


def test_an_opening_is_part_of_the_lineage(study: Study) -> None:
    git("tag", "final")
    out = Path("data/open_vault/final/coin/holdout-0")
    out.mkdir(parents=True)
    values: dict[str, object] = {
        "weights": Path("work/weights.safetensors"),
        "model": Path("work/model.json"),
        "validation": study.validation,
        "vault": Path("work/vault.parquet"),
        "clips": study.clips,
        "settings": Path("params.yaml"),
        "predictions": out / "predictions.parquet",
        "metrics": out / "metrics.json",
        "opening": out / "opening.json",
        "model_name": "coin",
        "fold": "holdout",
        "seed": 0,
        "register": Path("annotations/vault.csv"),
    }
    record = out / "open_vault.record.json"
    run_step(open_vault, values, Path("params.yaml"), record)
    job = read_graph(Path()).jobs[str(record)]
    assert (job.step, job.params) == ("open_vault", {"open_vault": {"tag": "final"}})
    assert [entry["path"] for entry in job.named["vault"]] == ["work/vault.parquet"]
    assert str(out / "opening.json") in [entry["path"] for entry in job.outputs]


def test_an_opening_that_fails_stays_in_the_register_without_a_result(study: Study) -> None:
    git("tag", "final")
    validation = set(pl.read_parquet(study.validation)["video"])
    with pytest.raises(StepError, match="whose clips were not given"):
        run(study, "final", clips=[path for path in study.clips if path.name.split(".")[0] in validation])
    (row,) = read_openings(Path("annotations/vault.csv"))
    assert (row.tag, row.children, row.balanced_accuracy) == ("final", 4, None)


def test_a_child_that_trained_the_model_is_refused(study: Study) -> None:
    git("tag", "final")
    trained = pl.read_parquet(study.train).with_columns(pl.lit(VAULT + "0" * 64).alias("split_hash"))
    trained.write_parquet("work/vault.parquet")
    with pytest.raises(StepError, match="who was in train when the model was trained"):
        run(study, "final")


def test_a_part_is_not_the_vault_and_an_empty_vault_has_nothing_to_open(study: Study) -> None:
    git("tag", "final")
    with pytest.raises(StepError, match=r"test.parquet is not the vault"):
        run(study, "final", vault=study.test)
    pl.read_parquet("work/vault.parquet").clear().write_parquet("work/vault.parquet")
    with pytest.raises(StepError, match=r"vault.parquet has no child\. Hint: set split_subjects.vault"):
        run(study, "final")


def test_no_model_may_train_on_a_sealed_child(tmp_path: Path) -> None:
    (tmp_path / "subjects.csv").write_text(
        "fold,subject,part,reason\n0,0001,train,\n0,0002,none,sealed in the vault\n0,0003,none,the child has no score\n"
    )
    assert sealed_children(tmp_path / "subjects.csv") == {"0002"}
    assert assigned_children(tmp_path / "subjects.csv") == {"0001": "in train of fold 0", "0002": "sealed in the vault"}


def test_the_register_keeps_the_order_of_openings(tmp_path: Path) -> None:
    rows = [VaultRow("a", "1", "h", "gru", "holdout", seed, 4) for seed in (0, 1, 2)]
    for row in rows:
        record_opening(tmp_path / "vault.csv", row)
    record_opening(tmp_path / "vault.csv", VaultRow(*rows[1].run, 4, 0.5, 0.25, 0.75))
    assert [(row.seed, row.balanced_accuracy) for row in read_openings(tmp_path / "vault.csv")] == [
        (0, None),
        (1, 0.5),
        (2, None),
    ]
