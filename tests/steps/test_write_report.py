"""The report: numbers that match scikit-learn's, one page that loads nothing, the same bytes twice, honest caveats."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from childgait.commands.cards import cards
from childgait.domain.evgs import CODES, PUBLISHED_ORDER, TARGET_NAMES
from childgait.errors import StepError
from childgait.files.pretrained import read_description, shipped_checkpoint
from childgait.files.split import HOLDOUT
from childgait.files.vault import VaultRow, record_opening
from childgait.metrics.cells import Cell
from childgait.metrics.of_study import ScopeMetrics
from childgait.report import FIGURES, TABLES
from childgait.report.headline import verdict
from childgait.report.published import item_accuracy
from childgait.steps.check_study import check_study
from childgait.steps.write_report import write_report
from support.report_study import Made, write_study

ROOT = Path(__file__).parents[2]


def settings_of(folder: Path, **changes: dict) -> Path:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["finetune"] |= {"models": ["childgait_video"]}
    values["evaluate"] |= {"bootstrap": 50}
    for section, keys in changes.items():
        values[section] |= keys
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def external_table(made: Made) -> Path:
    """One source that predicts every hold-out child atypical in one target."""
    split = next(pl.read_parquet(part) for part in made.parts if part.name == "holdout.test.parquet")
    rows = [f"everyone,{split['split_hash'][0]},{child},L.IC,1" for child in sorted(set(split["subject"]))]
    path = made.folder / "external.csv"
    path.write_text("\n".join(["source,split_hash,subject,target,probability", *rows]) + "\n")
    return path


def vault_register(made: Made) -> Path:
    """One opening with a result, and one without."""
    path = made.folder / "vault.csv"
    record_opening(path, VaultRow("v1.0", "c0ffee" * 6 + "abcd", "vault:1", "gru", "holdout", 0, 9, 0.625, 0.5, 0.75))
    record_opening(path, VaultRow("v1.0", "c0ffee" * 6 + "abcd", "vault:1", "tcn", "holdout", 0, 9))
    return path


def write(made: Made, reports: Path, **changes: dict) -> dict:
    (reports / "tables").mkdir(parents=True)
    (reports / "figures").mkdir()
    checks = made.folder / "results.json"
    check_study(made.gates, made.labels, made.assignment, made.parts, made.models, made.predictions, checks)
    write_report(
        made.predictions,
        made.histories,
        made.metrics,
        made.labels,
        made.subjects,
        made.agreement,
        made.results,
        made.gates,
        checks,
        settings_of(made.folder, **changes),
        reports / "metrics.json",
        reports / "headline.json",
        reports / "index.html",
        [reports / "tables" / name for name in TABLES],
        [reports / "figures" / name for name in FIGURES],
        external=external_table(made),
        vault=vault_register(made),
    )
    return json.loads((reports / "metrics.json").read_text())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Path, dict]:
    folder = tmp_path_factory.mktemp("study")
    made = write_study(folder / "data", folds=("0", "1", HOLDOUT), seeds=(0, 1))
    return made, folder / "reports", write(made, folder / "reports")


def child_grid(made: Made, ending: str) -> tuple[np.ndarray, np.ndarray]:
    path = next(p for p in made.predictions if str(p).endswith(ending))
    rows = (
        pl.read_parquet(path).filter((pl.col("part") == "test") & (pl.col("level") == "child")).drop_nulls("atypical")
    )
    rows = rows.drop_nulls("probability")
    return rows, path


def test_the_headline_is_what_scikit_learn_says(study: tuple[Made, Path, dict]) -> None:
    from sklearn.metrics import accuracy_score

    made, _, metrics = study
    each = []
    for seed in (0, 1):
        rows, _ = child_grid(made, f"childgait_video/holdout-{seed}/predictions.parquet")
        scores = [
            accuracy_score(t["atypical"].to_numpy(), (t["probability"] >= 0.5).to_numpy())
            for t in (rows.filter(pl.col("target") == name) for name in TARGET_NAMES)
            if t.height
        ]
        each.append(np.mean(scores))
    head = metrics["headline"]
    assert head["accuracy"] == pytest.approx(np.mean(each), abs=1e-6)
    assert head["accuracy_low"] < head["accuracy"] < head["accuracy_high"]
    assert (head["model"], head["part"], head["children"], head["videos"], head["seeds"]) == (
        "childgait_video",
        "hold-out",
        4,
        8,
        2,
    )


def test_every_target_has_its_number(study: tuple[Made, Path, dict]) -> None:
    made, reports, metrics = study
    rows, _ = child_grid(made, "childgait_video/holdout-0/predictions.parquet")
    assert list(metrics["accuracy"]["L"]) == sorted(CODES)
    items = pl.read_csv(reports / "tables" / "items.csv")
    mine = items.filter((pl.col("model") == "childgait_video") & (pl.col("scope") == "holdout"))
    assert mine["target"].to_list() == list(TARGET_NAMES)
    one = mine.filter(pl.col("target") == "L.IC")
    assert one["accuracy"][0] == pytest.approx(metrics["accuracy"]["L"]["IC"])
    assert one["atypical"][0] == rows.filter(pl.col("target") == "L.IC")["atypical"].sum()
    undefined = mine.filter(pl.col("balanced_accuracy").is_null())
    assert all("balanced_accuracy: no " in why for why in undefined["not_defined"])


def test_folds_are_pooled_and_kept_apart_from_the_holdout(study: tuple[Made, Path, dict]) -> None:
    models = pl.read_csv(study[1] / "tables" / "models.csv")
    counts = {(scope, model): n for scope, model, n in models.select("scope", "model", "children").iter_rows()}
    assert counts == {
        ("folds", "childgait_video"): 4,
        ("folds", "majority"): 4,
        ("holdout", "childgait_video"): 4,
        ("holdout", "majority"): 4,
    }


def test_the_majority_ranks_nobody_in_every_table(study: tuple[Made, Path, dict]) -> None:
    """AUROC .5 and balanced accuracy .5 in every table with a column of them, folds included (statistics D4, D5)."""
    checked = set()
    for path in sorted((study[1] / "tables").glob("*.csv")):
        if path.stat().st_size <= 1:  # without a row
            continue
        table = pl.read_csv(path, infer_schema_length=None)
        for column in {"auroc", "balanced_accuracy"} & set(table.columns) if "model" in table.columns else ():
            values = table.filter(pl.col("model") == "majority")[column].drop_nulls().cast(pl.Float64)
            assert set(values.to_list()) <= {0.5}, (path.name, column)
            checked |= {(path.name, column)} if len(values) else set()
    names = ("models.csv", "items.csv", "groups.csv")
    assert checked >= {(name, column) for name in names for column in ("auroc", "balanced_accuracy")}


class Loads(HTMLParser):
    """Collects everything that a browser would fetch, the links and the images."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.images: list[dict] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.fetched += [given[key] or "" for key in ("src", "srcset", "data", "poster") if key in given]
        if tag == "link":
            self.fetched.append(given["href"] or "")
        if tag == "a":
            self.links.append(given["href"] or "")
        if tag == "img":
            self.images.append(given)
        assert tag not in ("script", "iframe", "object", "embed"), tag


def test_the_page_loads_nothing_from_anywhere(study: tuple[Made, Path, dict]) -> None:
    page = (study[1] / "index.html").read_text()
    result = Loads()
    result.feed(page)
    assert result.fetched
    assert all(address.startswith("data:") for address in result.fetched)
    assert "@import" not in page
    assert "url(" not in page
    assert not re.search(r"https?://", page)
    assert set(result.links) - {"lineage.html"} == {link for link in result.links if link.startswith("#")}
    for link in result.links:
        assert link == "lineage.html" or f'id="{link[1:]}"' in page
    assert len(result.images) == len(FIGURES) - 1  # no row of this study is pre-trained
    assert all(image["alt"] for image in result.images)


def test_the_page_says_what_must_be_said(study: tuple[Made, Path, dict]) -> None:
    page = (study[1] / "index.html").read_text()
    for text in (
        "The children of this cohort are synthetic",
        "4 test children: intervals over so few are rough, and no p is given",
        "Trained from scratch",
        "(published)",
        "always the majority",
        "de-identified, not anonymous",
        "1 warning",
        "a steady rate is better",
        "No child stands in two parts of a fold.",
        "decoded whole",
        "60 frames per second",
        "kept for the hold-out test",
        "childgait_video of a test",
        "Networks: childgait_video from scratch. All rows",
        "balanced accuracy and AUROC are means over the others, F1 over those with atypical ones",
        '<th scope="col">F1, both classes</th><th scope="col">AUROC</th>',
    ):
        assert text in page, text


def test_the_best_row_stands_first_and_the_others_behind_it(study: tuple[Made, Path, dict]) -> None:
    page = (study[1] / "index.html").read_text()
    table = page[page.index('aria-label="Models, Hold-out"') :]
    assert table.index('<th scope="row">childgait_video') < table.index('<th scope="row">majority')
    assert re.search(r"<td>-0\.\d\d<small>-0\.\d\d to -0\.\d\d</small></td>", table), "how far majority is behind"
    assert "<small>p " not in page, "four children are too few for a p"
    rows = {(r["scope"], r["model"]): r for r in pl.read_csv(study[1] / "tables" / "models.csv").to_dicts()}
    best, other = rows["holdout", "childgait_video"], rows["holdout", "majority"]
    assert best["behind_best"] is None
    assert other["behind_best"] == "childgait_video"
    assert other["behind_difference"] == pytest.approx(other["balanced_accuracy"] - best["balanced_accuracy"], abs=1e-6)
    assert other["behind_low"] <= other["behind_difference"] <= other["behind_high"] < 0
    assert (other["behind_p"], other["behind_p_holm"]) == (None, None)
    assert (best["inputs"], best["operations"]) == ("frames masks points", 2_500_000_000)


def test_other_ways_of_judging_stand_beside(study: tuple[Made, Path, dict]) -> None:
    page = (study[1] / "index.html").read_text()
    assert "classes reweighed to be equal, threshold 0.5" in page
    assert "a Brier score of 0.200 (before: 0.250) and a calibration error of 0.062 (before: 0.125" in page
    assert "Calibration slope 0.91 (95 % interval 0.70 to 1.12); 1 is perfect." in page
    assert "thresholds tuned on validation children" not in page, "with two validation children none are"


def test_what_rules_measured_and_trees_lean_on_is_shown(study: tuple[Made, Path, dict]) -> None:
    page = (study[1] / "index.html").read_text()
    assert '<span title="typical from -0.50 to 15.50; 0013-0001_left_1-120, 1.03 s" class="out">21</span>' in page
    assert "own foot_pitch at contact 0.61" in page
    measured = pl.read_csv(study[1] / "tables" / "measured.csv").filter(pl.col("fold") == HOLDOUT)
    assert measured.select("code", "value", "frame").row(0) == ("KEX", 21.4, 31)
    assert "own foot_pitch at contact" in (study[1] / "tables" / "importance.csv").read_text()
    assert pl.read_csv(study[1] / "tables" / "strata.csv")["group"].unique().sort().to_list() == [
        "sex.female",
        "view.left",
    ]


def test_the_items_stand_in_both_orders_beside_the_published_rows(study: tuple[Made, Path, dict]) -> None:
    page = (study[1] / "index.html").read_text()
    blocks = re.findall(r"<table>.*?</table>", page, re.DOTALL)
    blocks = [block for block in blocks if "(published)</th>" in block and "<abbr" in block]
    orders = [re.findall(r'<abbr title="[^"]+">(\w+)</abbr>', block) for block in blocks]
    assert orders == [list(CODES), list(PUBLISHED_ORDER)]
    for block, codes in zip(blocks, orders, strict=True):
        row = re.search(r"ChildGait-Video, left \(published\)</th>(.*?)</tr>", block, re.DOTALL)
        assert row is not None
        mean, f1, *cells = re.findall(r"<td>([\d.]+)</td>", row[1])
        assert (mean, f1) == ("84", "0.83")
        assert [int(cell) for cell in cells] == [item_accuracy("ChildGait-Video", "left")[code] for code in codes]
    assert item_accuracy("ChildGait-Video", "left")["WAD"] == 70
    assert item_accuracy("ChildGait-Video", "left")["HVV"] == 88


def test_rows_of_two_splits_do_not_stand_in_one_table(tmp_path: Path) -> None:
    made = write_study(tmp_path / "data")
    path = next(path for path in made.metrics if "majority" in str(path))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"split_hash": "f" * 64}))
    with pytest.raises(StepError, match="majority, fold holdout, is of split ffffffffffff, but childgait_video of"):
        write(made, tmp_path / "reports")


def test_a_real_cohort_is_not_called_made_up(tmp_path: Path) -> None:
    made = write_study(tmp_path / "data")
    metrics = write(made, tmp_path / "reports", cohort={"root": "data/raw"})
    assert not any("are synthetic" in caveat for caveat in metrics["caveats"])


def test_the_flow_counts_and_says_why(tmp_path: Path) -> None:
    made = write_study(tmp_path / "data")
    excluded = {"0099-0001_left_1-120": "the family withdrew"}
    write(made, tmp_path / "reports", cohort={"exclude": excluded})
    flow = {row["step"].split(" (")[0]: row for row in pl.read_csv(tmp_path / "reports/tables/flow.csv").to_dicts()}
    assert (flow["recorded"]["children"], flow["recorded"]["videos"]) == (17, 33)
    assert flow["recorded"]["left_out"] == "0099-0001_left_1-120: the family withdrew"
    assert (flow["register"]["videos"], flow["register"]["frames"], flow["prepare_clips"]["frames"]) == (32, 7680, 3840)
    assert flow["build_labels"]["scores"] == 16 * 34 - 2
    assert flow["build_labels"]["left_out"] == "2 scores: the item has no score"
    assert flow["split_subjects, hold-out"]["children"] == 16


def test_the_same_study_gives_the_same_bytes(study: tuple[Made, Path, dict], tmp_path: Path) -> None:
    made, reports, _ = study
    write(made, tmp_path / "again")
    files = sorted(path.relative_to(reports) for path in reports.rglob("*") if path.is_file())
    assert len(files) == 3 + len(TABLES) + len(FIGURES)  # the page, the metrics and the headline
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (reports / file).read_bytes(), file


def test_pictures_carry_no_date(study: tuple[Made, Path, dict]) -> None:
    for name in FIGURES:
        data = (study[1] / "figures" / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert b"tEXt" not in data
        assert b"tIME" not in data


def test_without_predictions_of_the_headline_model_there_is_no_report(tmp_path: Path) -> None:
    made = write_study(tmp_path / "data")
    for path in made.predictions + made.models:
        if "childgait_video" in str(path):
            shutil.rmtree(path.parent)
    for paths in (made.predictions, made.models, made.metrics, made.histories):
        paths[:] = [path for path in paths if path.exists()]
    with pytest.raises(StepError, match=r"no predictions of childgait_video, the first of finetune\.models"):
        write(made, tmp_path / "reports")


def test_the_first_sentence_compares_with_the_majority() -> None:
    def model(name: str, accuracy: float, low: float) -> ScopeMetrics:
        cells = {"accuracy": Cell(value=accuracy), "balanced_accuracy": Cell(value=0.55, low=low, high=0.7)}
        return ScopeMetrics(name, 27, 54, 1, {}, {"overall": cells}, {}, {}, {})

    majority = model("majority", 0.71, 0.5)
    below = verdict(model("network", 0.58, 0.4), majority)
    assert below.startswith("On 27 test children network is less accurate than always predicting the majority (0.58")
    assert "not separate from chance" in below
    above = verdict(model("network", 0.8, 0.51), majority)
    assert "has an accuracy of 0.80, always predicting the majority 0.71" in above
    assert "chance is 0.50)." in above


def test_published_rows_stand_beside_balanced_accuracy(study: tuple[Made, Path, dict]) -> None:
    page = (study[1] / "index.html").read_text()
    assert "childgait_video: balanced accuracy, this study" in page
    assert "childgait_video, left: balanced accuracy" in page
    assert "25 to 28 per item and limb" in page
    assert "<h3>Evaluation</h3>" in page
    items = pl.read_csv(study[1] / "tables" / "models.csv").filter(pl.col("scope") == HOLDOUT)
    majority = items.row(by_predicate=pl.col("model") == "majority", named=True)
    assert (majority["auroc"], majority["balanced_accuracy"]) == (0.5, 0.5)


def test_totals_kappa_and_failures_have_tables(study: tuple[Made, Path, dict]) -> None:
    folder = study[1] / "tables"
    totals = pl.read_csv(folder / "totals.csv").filter(pl.col("scope") == HOLDOUT)
    assert totals.height == 2 * 3
    child = totals.filter((pl.col("model") == "childgait_video") & (pl.col("total") == "child"))
    assert child["limits_low"][0] < child["bias"][0] < child["limits_high"][0]
    assert "<h3>Total scores</h3>" in (study[1] / "index.html").read_text()
    kappa = pl.read_csv(folder / "kappa.csv")
    assert kappa["code"].to_list() == list(CODES)
    assert kappa["kappa"].mean() > 0.3, "the network's predictions agree with the labels"
    assert 0.2 < kappa["weighted_kappa"].mean() < 1
    failures = pl.read_csv(folder / "failures.csv")
    assert failures["share_wrong"].is_sorted(descending=True)
    assert failures["videos"].to_list() == [2] * 4
    assert failures["share_measured"].to_list() == [0.9] * 4, "the quality of the children's recordings"
    assert pl.read_csv(folder / "decision.csv")["threshold"][0] == 0.05
    assert pl.read_csv(folder / "repeatability.csv").height == 73  # 34 probabilities, 36 values, three totals
    assert pl.read_csv(folder / "sample_size.csv")["children"].unique().to_list() == [4]


def test_a_pretrained_row_is_explained_with_its_curve_and_windows(
    study: tuple[Made, Path, dict], tmp_path: Path
) -> None:
    assert 'id="pretraining"' not in (study[1] / "index.html").read_text()
    made = write_study(tmp_path / "data")
    summary = read_description(shipped_checkpoint("childgait_video")).summary()
    for path in made.metrics:
        run = json.loads(path.read_text())
        if run["model"] == "childgait_video":
            words = f"pre-trained on 4000 synthetic children ({summary['windows']} windows, seed 990001)"
            path.write_text(json.dumps(run | {"pretrained": summary, "weights_from": words}))
    write(made, tmp_path / "reports")
    page = (tmp_path / "reports" / "index.html").read_text()
    section = page[page.index('<section id="pretraining">') : page.index('<section id="items">')]
    for words in (f"{summary['windows']} windows", "What such a row shows", "What it does not show", "Painted windows"):
        assert words in section
    assert section.count("data:image/png;base64,") == 2
    assert section.count('<img src="data:') == 2


def test_cards_are_written_from_the_report(study: tuple[Made, Path, dict]) -> None:
    made, reports, metrics = study
    cards(reports, settings_of(made.folder))
    model, data = ((reports / name).read_text() for name in ("model_card.md", "data_card.md"))
    assert metrics["headline"]["verdict"] in model
    assert "Not for diagnosis" in model
    assert "| sex: female |" in model
    assert f"{metrics['headline']['accuracy']:.2f} (" in model
    assert "| register |" in data
    assert "| diagnosis | unknown | 16 |" in data
    assert re.search(r"\| sex \| female \| \d+ \|", data)
    assert "children needed" in data
    checklist = (reports / "tripod_ai.md").read_text()
    assert "| 17 Ethical approval | not answered by this software: authors |" in checklist
    for name in ("model_card.md", "data_card.md", "tripod_ai.md"):
        (reports / name).unlink()


def test_openings_of_the_vault_are_shown(study: tuple[Made, Path, dict]) -> None:
    _, reports, _ = study
    page = (reports / "index.html").read_text()
    assert "Openings of the vault" in page
    assert "v1.0" in page
    assert "c0ffeec0ffee<" in page
    assert "0.62<small>0.50 to 0.75</small>" in page
    assert "no result" in page


def test_external_predictions_are_a_marked_row(study: tuple[Made, Path, dict]) -> None:
    _, reports, _ = study
    table = pl.read_csv(reports / "tables" / "external.csv")
    assert table["model"].to_list() == ["everyone (external)"]
    assert table["labelled"][0] - table["unanswered"][0] <= 4
    assert "everyone (external)" in (reports / "index.html").read_text()
