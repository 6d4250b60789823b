"""The report's page: one HTML file with everything in it, and the rows of its tables.

Nothing is loaded from anywhere: figures are data URIs, styles are inline, there is no script.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from childgait.domain.evgs import BY_CODE, CODES, LIMBS, PUBLISHED_ORDER, TARGET_NAMES, Target
from childgait.libraries import LIBRARIES
from childgait.metrics.of_study import Cell, GapToBest, Measured
from childgait.metrics.scores import METRICS
from childgait.report.published import AVERAGES, ITEM_ACCURACY, item_accuracy

BEHIND = ("best", "difference", "low", "high", "p", "p_holm")
SUBGROUP_METRICS = ("accuracy", "balanced_accuracy", "f1")
TITLES = {"holdout": "Hold-out", "folds": "Cross-validation"}
SPOKEN = {
    "f1": "F1",
    "f1_both": "F1, both classes",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ppv": "PPV",
    "npv": "NPV",
    "brier": "Brier score",
    "ece": "calibration error",
}


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def spoken(metric: str) -> str:
    return SPOKEN.get(metric, metric.replace("_", " "))


def count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}".replace(",", " ")  # a thin space


def reading(value: float) -> str:
    """Degrees in whole numbers, smaller ones with as many figures as tell them from a band's edge."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def size_of(value: float | None) -> str:
    """Three figures, with k, M or G."""
    for unit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value is not None and value >= unit:
            return f"{value / unit:.3g}{letter}"
    return "–" if value is None else str(value)


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def render(values: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "number": number,
        "signed": signed,
        "count": count,
        "size": size_of,
        "reading": reading,
        "spoken": spoken,
    }
    environment.filters.update(filters)
    return environment.get_template("report.html").render(**values)


def versions() -> list[tuple[str, str]]:
    found = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}
    return [(name, found[name]) for name in LIBRARIES.values() if name in found]


def item_orders(shown: Measured, majority: Measured | None) -> list[dict[str, Any]]:
    """The per-item table in both column orders in circulation, the published rows beside our own."""
    return [
        {"title": "official order, items 1 to 17", "codes": CODES, "rows": _item_rows(CODES, shown, majority)},
        {
            "title": "column order of the published tables",
            "codes": PUBLISHED_ORDER,
            "rows": _item_rows(PUBLISHED_ORDER, shown, majority),
        },
    ]


def _item_rows(codes: tuple[str, ...], shown: Measured, majority: Measured | None) -> list[dict[str, Any]]:
    rows = []
    for limb in LIMBS:
        for measured in (shown, majority):
            if measured is not None:
                cells = [_percent(measured.targets[Target(limb, code).name]["accuracy"]) for code in codes]
                own = measured.groups[f"limb.{limb}"]
                rows.append(
                    {
                        "name": f"{measured.model}, {limb}",
                        "cells": cells,
                        "published": False,
                        "mean": _percent(own["accuracy"]),
                        "f1": number(own["f1"]["value"]),
                        "chosen": measured is shown,
                    }
                )
        for name, side in ITEM_ACCURACY:
            if side == limb:
                said = item_accuracy(name, limb)
                whole = next(row for row in AVERAGES if row.name == name)
                mean, f1 = (whole.left, whole.right)[LIMBS.index(limb)], whole.f1 and whole.f1[LIMBS.index(limb)]
                rows.append(
                    {
                        "name": f"{name}, {limb} (published)",
                        "cells": [str(said[code]) for code in codes],
                        "mean": f"{mean:.0f}",
                        "f1": number(f1),
                        "published": True,
                        "chosen": False,
                    }
                )
    return rows


def _percent(cell: Cell) -> str:
    return "–" if cell["value"] is None else f"{100 * cell['value']:.0f}"


def target_rows(shown: Measured) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "known": shown.known[name],
            "atypical": shown.atypical[name],
            "cells": [shown.targets[name][metric] for metric in METRICS],
        }
        for name in TARGET_NAMES
    ]


def published_models() -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "left": row.left / 100,
            "right": row.right / 100,
            "f1": None if row.f1 is None else sum(row.f1) / 2,
        }
        for row in AVERAGES
    ]


def model_rows(
    measured: dict[str, Measured], behind: dict[str, GapToBest], told: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The best row first; the rows that need no learning last among equals."""
    rows = []
    for name, model in measured.items():
        over = model.groups["overall"]
        rows.append(
            {
                "name": name,
                "children": model.children,
                "seeds": model.seeds,
                "left": model.groups["limb.left"]["accuracy"],
                "right": model.groups["limb.right"]["accuracy"],
                "accuracy": over["accuracy"],
                "balanced_accuracy": over["balanced_accuracy"],
                "f1": over["f1"],
                "f1_both": over["f1_both"],
                "auroc": over["auroc"],
                "balanced": model.balanced["overall"]["accuracy"],
                "behind": behind.get(name),
                "inputs": ", ".join(told[name]["inputs"]) or "nothing",
                "parameters": told[name]["parameters"],
                "operations": told[name]["operations"],
                "weights_from": told[name]["weights_from"],
            }
        )
    return sorted(rows, key=lambda row: (-(row["balanced_accuracy"]["value"] or 0.0), row["name"]))


def ways_of_judging(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The same answers of one run as they are, with equal classes, and cut where validation was best."""
    words = {
        "natural": "as the children are, cut at 0.5",
        "balanced": "classes reweighed to be equal, cut at 0.5",
        "tuned": "as the children are, cut where validation is best",
    }
    return [
        {"name": name, "cells": [run[key]["groups"]["overall"][metric] for metric in METRICS]}
        for key, name in words.items()
    ]


def calibration_sentence(run: dict[str, Any]) -> str:
    """What temperature scaling did, over all answers of one run together."""
    before, after = run["calibration"]["before"], run["calibration"]["after"]
    if after["brier"] is None:
        return "No answer of a test child is known, so nothing is said of calibration."
    return (
        f"Divided by a temperature of {run['temperature']:.2f}, fitted on validation children, the logits of all answers"
        f" together have a Brier score of {after['brier']:.3f} (before: {before['brier']:.3f}) and an expected calibration"
        f" error of {after['ece']:.3f} (before: {before['ece']:.3f})."
    )


def subgroup_rows(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By run: mean metrics of some of the children, or from some of the views."""
    return [
        {
            "model": run["model"],
            "fold": run["fold"],
            "seed": run["seed"],
            "group": group,
            "children": cells["children"],
            "answers": cells["cells"],
            **{metric: cells[metric]["value"] for metric in SUBGROUP_METRICS},
        }
        for run in told
        for group, cells in run["subgroups"].items()
    ]


def importance_rows(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"model": run["model"], "fold": run["fold"], "seed": run["seed"], "item": code, "number": name, "share": share}
        for run in told
        for code, shares in run.get("importance", {}).items()
        for name, share in shares.items()
    ]


def importance_lists(told: list[dict[str, Any]]) -> dict[str, list[tuple[str, list[tuple[str, float]]]]]:
    """By model its first run's items in order, each with its numbers, the heaviest first."""
    return {
        name: [(code, sorted(run["importance"].get(code, {}).items(), key=lambda pair: -pair[1])) for code in CODES]
        for name, run in by_model([run for run in told if "importance" in run]).items()
    }


def measured_rows(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the rules measured on the test children; the same for each seed, so the first one's of each fold."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in told:
        found.setdefault((run["model"], run["fold"]), run.get("measured", []))
    return [{"fold": fold, **row} for (_, fold), rows in sorted(found.items()) for row in rows]


def measured_grid(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A child and limb a row, an item a column: the value, whether it lies in the band, and where it was read."""
    codes = [code for code in CODES if any(row["code"] == code for row in rows)]
    by = {(row["subject"], row["limb"], row["code"]): row for row in rows}
    lines = [
        {"name": f"{subject}, {limb}", "cells": [by.get((subject, limb, code)) for code in codes]}
        for subject in sorted({row["subject"] for row in rows})
        for limb in LIMBS
    ]
    return {"codes": codes, "lines": lines}


def oddity_kinds(register: pl.DataFrame) -> list[tuple[str, int]]:
    """The recordings' oddities, alike but for their numbers counted together; the most frequent first."""
    kinds: Counter[str] = Counter()
    for oddities in register["oddities"].to_list():
        kinds.update({re.sub(r"\d+(\.\d+)?", "…", words) for words in oddities or []})
    return sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))


def agreement_sentence(agreement: dict[str, Any]) -> str:
    """How far raters agree, in a sentence; empty where one rater scored."""
    parts = []
    for pair in agreement.get("pairs", []):
        kappas = [found.get("value") for found in pair["weighted_kappa"].values()]
        known = sorted(value for value in kappas if value is not None and value == value)
        if known:
            parts.append(
                f"Raters {' and '.join(name or 'unnamed' for name in pair['raters'])} both scored {pair['children']} "
                f"children; weighted kappa of the items lies between {known[0]:.2f} and {known[-1]:.2f} "
                f"(median {known[len(known) // 2]:.2f})."
            )
    return " ".join(parts)


# --- tables as files


def write_tables(
    folder: dict[str, Path],
    scopes: dict[str, dict[str, Measured]],
    behind: dict[str, dict[str, GapToBest]],
    told: list[dict[str, Any]],
    flow: list[dict[str, Any]],
    gates: list[dict[str, Any]],
) -> None:
    """CSV beside the page. Cells that are not defined are empty, with the reason in a column of its own."""
    items, groups = [], []
    for scope, measured in scopes.items():
        for name, model in measured.items():
            head = {"scope": scope, "model": name}
            for target in TARGET_NAMES:
                which = {
                    "target": target,
                    "item": BY_CODE[target[2:]].number,
                    "children": model.known[target],
                    "atypical": model.atypical[target],
                }
                items.append(head | which | _spread(model.targets[target], METRICS))
            for group, cells in model.groups.items():
                groups.append(head | {"group": group} | _spread(cells, METRICS))
    checks = [
        {
            "step": gate["step"],
            "rows": gate["rows"],
            **{key: check[key] for key in ("expects", "columns", "needs", "severity", "success", "unexpected", "why")},
        }
        for gate in gates
        for check in gate["checks"]
    ]
    tables = {
        "models.csv": table_of_models(scopes, behind, told),
        "items.csv": items,
        "groups.csv": groups,
        "flow.csv": flow,
        "gates.csv": checks,
        "strata.csv": subgroup_rows(told),
        "importance.csv": importance_rows(told),
        "measured.csv": measured_rows(told),
    }
    for name, rows in tables.items():
        pl.DataFrame(rows, infer_schema_length=None).write_csv(folder[name])


def table_of_models(
    scopes: dict[str, dict[str, Measured]], behind: dict[str, dict[str, GapToBest]], told: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Means over the targets, what the row needs and costs, and how far it is behind the best row of its scope."""
    rows, about = [], by_model(told)
    for scope, measured in scopes.items():
        for name, model in measured.items():
            away, run = behind[scope].get(name), about[name]
            rows.append(
                {
                    "scope": scope,
                    "model": name,
                    "children": model.children,
                    "videos": model.videos,
                    "seeds": model.seeds,
                    **_spread(model.groups["overall"], METRICS),
                    "inputs": " ".join(run["inputs"]),
                    **{key: run[key] for key in ("parameters", "operations", "weights_from")},
                    **{f"behind_{key}": getattr(away, key, None) for key in BEHIND},
                }
            )
    return rows


def by_model(told: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the first run of each model says of it."""
    found: dict[str, dict[str, Any]] = {}
    for run in told:
        found.setdefault(run["model"], run)
    return found


def _spread(cells: dict[str, Cell], metrics: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for metric in metrics:
        cell = cells[metric]
        row |= {metric: cell["value"], f"{metric}_low": cell["low"], f"{metric}_high": cell["high"]}
    reasons = sorted({f"{metric}: {cells[metric]['reason']}" for metric in metrics if cells[metric]["value"] is None})
    return row | {"not_defined": "; ".join(reasons)}


def settings_text(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False)
