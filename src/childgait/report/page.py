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

from childgait.gait.evgs import BY_CODE, CODES, LIMBS, PUBLISHED_ORDER, TARGET_NAMES
from childgait.gait.published import AVERAGES, ITEM_ACCURACY, item_accuracy
from childgait.report.headline import TOO_FEW
from childgait.report.results import Cell, Measured
from childgait.training.metrics import METRICS

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "polars", "scikit-learn", "av", "opencv-python-headless",
             "onnxruntime", "great-expectations", "snakemake", "dvc", "mlflow", "matplotlib")  # fmt: skip
TITLES = {"holdout": "Hold-out", "folds": "Cross-validation"}


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}".replace(",", " ")  # a thin space


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def render(values: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=False, keep_trailing_newline=True,
    )  # fmt: skip
    filters: dict[str, Callable[..., str]] = {"number": number, "signed": signed, "count": count}
    environment.filters.update(filters)
    return environment.get_template("report.html").render(**values)


def versions() -> list[tuple[str, str]]:
    found = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}
    return [(name, found[name]) for name in LIBRARIES if name in found]


def item_orders(shown: Measured, majority: Measured | None) -> list[dict[str, Any]]:
    """The per-item table in both column orders in circulation, the published rows beside our own."""
    return [
        {"title": "official order, items 1 to 17", "codes": CODES, "rows": _item_rows(CODES, shown, majority)},
        {"title": "column order of the published tables", "codes": PUBLISHED_ORDER,
         "rows": _item_rows(PUBLISHED_ORDER, shown, majority)},
    ]  # fmt: skip


def _item_rows(codes: tuple[str, ...], shown: Measured, majority: Measured | None) -> list[dict[str, Any]]:
    rows = []
    for limb in LIMBS:
        for measured in (shown, majority):
            if measured is not None:
                cells = [_percent(measured.targets[f"{limb[0].upper()}.{code}"]["accuracy"]) for code in codes]
                rows.append({"name": f"{measured.model}, {limb}", "cells": cells, "published": False,
                             "chosen": measured is shown})  # fmt: skip
        for name, side in ITEM_ACCURACY:
            if side == limb:
                said = item_accuracy(name, limb)
                rows.append({"name": f"{name}, {limb} (published)", "cells": [str(said[code]) for code in codes],
                             "published": True, "chosen": False})  # fmt: skip
    return rows


def _percent(cell: Cell) -> str:
    return "–" if cell["value"] is None else f"{100 * cell['value']:.0f}"


def target_rows(shown: Measured) -> list[dict[str, Any]]:
    return [
        {"name": name, "known": shown.known[name], "atypical": shown.atypical[name],
         "cells": [shown.targets[name][metric] for metric in METRICS]}
        for name in TARGET_NAMES
    ]  # fmt: skip


def published_models() -> list[dict[str, Any]]:
    return [
        {"name": row.name, "left": row.left / 100, "right": row.right / 100,
         "f1": None if row.f1 is None else sum(row.f1) / 2}
        for row in AVERAGES
    ]  # fmt: skip


def model_rows(measured: dict[str, Measured], against: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, model in measured.items():
        ahead = against.get(name)
        if ahead and ahead["children"] < TOO_FEW:
            ahead = ahead | {"p": None}
        over = model.groups["overall"]
        rows.append({
            "name": name, "children": model.children, "seeds": model.seeds, "left": model.groups["limb.left"]["accuracy"],
            "right": model.groups["limb.right"]["accuracy"], "accuracy": over["accuracy"],
            "balanced_accuracy": over["balanced_accuracy"], "f1": over["f1"], "auroc": over["auroc"],
            "balanced": model.balanced["overall"]["accuracy"], "against": ahead,
        })  # fmt: skip
    return rows


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


def write_tables(folder: dict[str, Path], scopes: dict[str, dict[str, Measured]], flow: list[dict[str, Any]],
                 gates: list[dict[str, Any]]) -> None:  # fmt: skip
    """CSV beside the page. Cells that are not defined are empty, with the reason in a column of its own."""
    models, items, groups = [], [], []
    for scope, measured in scopes.items():
        for name, model in measured.items():
            head = {"scope": scope, "model": name}
            models.append(head | {"children": model.children, "videos": model.videos, "seeds": model.seeds}
                          | _spread(model.groups["overall"], ("accuracy", "balanced_accuracy", "f1", "auroc")))  # fmt: skip
            for target in TARGET_NAMES:
                about = {"target": target, "item": BY_CODE[target[2:]].number, "children": model.known[target],
                         "atypical": model.atypical[target]}  # fmt: skip
                items.append(head | about | _spread(model.targets[target], METRICS))
            for group, cells in model.groups.items():
                groups.append(head | {"group": group} | _spread(cells, METRICS))
    checks = [
        {"step": gate["step"], "rows": gate["rows"], **{key: check[key] for key in (
            "expects", "columns", "needs", "severity", "success", "unexpected", "why")}}
        for gate in gates for check in gate["checks"]
    ]  # fmt: skip
    for name, rows in (("models.csv", models), ("items.csv", items), ("groups.csv", groups), ("flow.csv", flow),
                       ("gates.csv", checks)):  # fmt: skip
        pl.DataFrame(rows, infer_schema_length=None).write_csv(folder[name])


def _spread(cells: dict[str, Cell], metrics: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for metric in metrics:
        cell = cells[metric]
        row |= {metric: cell["value"], f"{metric}_low": cell["low"], f"{metric}_high": cell["high"]}
    reasons = sorted({f"{metric}: {cells[metric]['reason']}" for metric in metrics if cells[metric]["value"] is None})
    return row | {"not_defined": "; ".join(reasons)}


def settings_text(settings: dict[str, Any]) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False)
