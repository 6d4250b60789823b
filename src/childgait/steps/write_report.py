"""The report: headline numbers with intervals, tables, figures and one page that a person opens, offline.

Reads the predictions of every run, labels, gates with their pooled tables, the study's checks and params.yaml. Yields
metrics.json (the headline model's numbers and the means of all), tables as CSV, figures as PNG, and index.html.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from childgait.engine.flags import Input, Output
from childgait.errors import StepError

METHODS = (
    "Metrics are means over the targets for which they are defined, with the child as the unit; intervals are the "
    "middle 95 % over draws of the test children with replacement."
)
STEPS = (
    "register",
    "deidentify",
    "segment",
    "estimate_pose",
    "refine_pose",
    "prepare_clips",
    "build_labels",
    "split_subjects",
    "pretrain",
    "finetune",
    "evaluate",
    "gate",
    "check_study",
    "write_report",
)

log = logging.getLogger("childgait")


def write_report(
    predictions: list[Input],
    histories: list[Input],
    metrics: list[Input],
    labels: Input,
    subjects: Input,
    agreement: Input,
    gates: list[Input],
    pooled: list[Input],
    checks: Input,
    settings: Input,
    metrics_out: Output,
    page: Output,
    tables: list[Output],
    figures: list[Output],
) -> None:
    import polars as pl

    from childgait.files.atomic import write_json
    from childgait.files.split import HOLDOUT
    from childgait.metrics import of_study as results
    from childgait.params import load_params, read_params
    from childgait.report import FIGURES, TABLES, flow, headline, methods
    from childgait.report import figures as drawing
    from childgait.report import page as paper

    load_params(settings)
    chosen = read_params(settings)
    draws, seed, bins = (chosen["evaluate"][key] for key in ("bootstrap", "seed", "bins"))
    judged = results.read_judgements(predictions)
    scopes = {
        scope: {name: results.measure_model(model, draws, seed, bins) for name, model in models.items()}
        for scope, models in judged.items()
    }
    scope, model = headline.headline_of(chosen, judged)
    shown, majority = scopes[scope][model], scopes[scope].get("majority")
    read = {path.stem: pl.read_parquet(path) for path in pooled}
    rows = [
        stage.row() for stage in flow.flow_of(read, chosen, shown.children, shown.videos, sum(shown.known.values()))
    ]
    doors = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(gates)]
    kept = json.loads(checks.read_text(encoding="utf-8"))
    told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(metrics)]
    told.sort(key=lambda run: (run["model"], run["fold"], run["seed"]))
    one_split(told)
    first = scope if scope == HOLDOUT else min(run["fold"] for run in told)
    own = next(run for run in told if (run["model"], run["fold"]) == (model, first))
    caveats = headline.caveats_of(chosen, shown, told)
    head = headline.headline_numbers(scope, shown, majority)

    behind = {
        name: results.gap_to_best(judged[name], found, draws, seed, headline.TOO_FEW) for name, found in scopes.items()
    }
    paper.write_tables(placed(tables, TABLES), scopes, behind, told, rows, doors)
    shots = placed(figures, FIGURES)
    drawing.draw_all(
        shots,
        judged[scope][model],
        shown,
        scopes[scope],
        bins,
        curves(histories),
        pl.read_parquet(subjects),
        flow.prevalence(pl.read_parquet(labels)),
    )
    write_json(metrics_out, headline.numbers_of(head, caveats, scopes, shown, rows))
    values: dict[str, Any] = {
        "head": head,
        "caveats": caveats,
        "settings": chosen,
        "settings_text": paper.settings_text(chosen),
        "version": own_version(),
        "versions": paper.versions(),
        "lock": lock(),
        "scopes": [
            {
                "title": paper.TITLES[name],
                "best": next((row.best for row in behind[name].values()), None),
                "models": paper.model_rows(found, behind[name], paper.by_model(told)),
            }
            for name, found in sorted(scopes.items(), key=lambda pair: pair[0] != scope)
        ],
        "importance": paper.importance_lists(told),
        "measured": paper.measured_grid(paper.measured_rows([run for run in told if run["fold"] == first])),
        "judged": paper.ways_of_judging(own),
        "calibration": paper.calibration_sentence(own),
        "subgroups": paper.subgroup_rows([own]),
        "published_models": paper.published_models(),
        "remarks": sorted({(t["model"], t["remark"]) for t in told}),
        "orders": paper.item_orders(shown, majority),
        "targets": paper.target_rows(shown),
        "metric_names": results.METRICS,
        **names_of_items(),
        "flow": rows,
        "gates": doors,
        "promises": kept["promises"],
        "oddities": paper.oddity_kinds(read["register"]),
        "agreement": paper.agreement_sentence(json.loads(agreement.read_text(encoding="utf-8"))),
        "methods": methods.methods(
            told_as_done(chosen, told), list(STEPS), video=chosen["cohort"]["modality"] == "video"
        ),
        "figures": {name: paper.data_uri(path) for name, path in shots.items()},
    }
    page.write_text(paper.render(values), encoding="utf-8")
    log.info(
        "report: %s, accuracy %s, balanced accuracy %s",
        model,
        paper.number(head["accuracy"]),
        paper.number(head["balanced_accuracy"]),
    )


def told_as_done(chosen: dict[str, Any], told: list[dict[str, Any]]) -> dict[str, Any]:
    """The params with what the networks of this report really learnt by: overrides and other studies' rows included."""
    ways: dict[str, list[str]] = {}
    for run in told:
        if run["trained"]:
            way = f"at most {run['trained']['epochs']} epochs on windows of {run['trained']['frames']} frames"
            ways.setdefault(way, []).append(run["model"])
    said = "; ".join(f"{way}: {', '.join(sorted(set(models)))}" for way, models in ways.items())
    fitted = sorted({run["model"] for run in told if not run["trained"]})
    seeds = sorted({run["seed"] for run in told})
    taught = sorted({f"{run['model']} ({run['weights_from']})" for run in told if run.get("pretrained")})
    chosen = chosen | {"pretrain": chosen["pretrain"] | {"networks": "; ".join(taught) or "none"}}
    return chosen | {"finetune": chosen["finetune"] | {"networks": said or "none", "fitted": fitted, "seeds": seeds}}


def one_split(told: list[dict[str, Any]]) -> None:
    """Rows of a table are judged on the same children of the same split, or not in one table."""
    of_fold: dict[str, dict[str, Any]] = {}
    for run in told:
        other = of_fold.setdefault(run["fold"], run)
        if run["split_hash"] != other["split_hash"]:
            raise StepError(
                f"{run['model']}, fold {run['fold']}, is of split {run['split_hash'][:12]}, but {other['model']} of"
                f" {other['split_hash'][:12]}",
                hint="run finetune and evaluate again for both: their children differ",
            )


def placed(paths: list[Path], names: tuple[str, ...]) -> dict[str, Path]:
    """Each output by its name; a missing one is a mistake in the rule."""
    found = {name: path for name in names for path in paths if path.name.endswith(name)}
    if missing := [name for name in names if name not in found]:
        raise StepError(f"no path is given for {', '.join(missing)}", hint=f"give all of {', '.join(names)}")
    return found


def curves(histories: list[Path]) -> dict[str, Any]:
    """The first run's learning curve of each model."""
    import polars as pl

    found: dict[str, Any] = {}
    for path in sorted(histories):
        if path.read_text(encoding="utf-8").strip():
            found.setdefault(path.parent.parent.name, pl.read_csv(path))
    return found


def names_of_items() -> dict[str, Any]:
    from childgait.domain.evgs import ITEMS

    return {"names": {i.code: i.name for i in ITEMS}, "numbers": {i.code: i.number for i in ITEMS}}


def lock() -> str | None:
    from childgait.engine.source_files import ROOT
    from childgait.files.hashes import sha256

    path = ROOT / "envs" / "requirements.lock"
    return sha256(path) if path.exists() else None


def own_version() -> str:
    import importlib.metadata

    return importlib.metadata.version("childgait")
