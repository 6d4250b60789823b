"""How the report writes numbers and names."""

from __future__ import annotations

import base64
from pathlib import Path

METRIC_NAMES = {
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
    """Write a number with fixed digits; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """Write a number with its sign; a dash for None."""
    return "–" if value is None else f"{value:+.2f}"


def percent(value: float | None) -> str:
    """Write a share in whole percent, without the sign; a dash for None."""
    return "–" if value is None else f"{100 * value:.0f}"


def count(value: int | None) -> str:
    """Write a count with thin spaces between thousands; a dash for None."""
    return "–" if value is None else f"{value:,}".replace(",", "\u2009")


def reading(value: float) -> str:
    """Write a measured value: degrees in whole numbers, smaller values with enough digits to compare with a band."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def size_of(value: float | None) -> str:
    """Write a large number with three digits and k, M or G; a dash for None."""
    for unit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value is not None and value >= unit:
            return f"{value / unit:.3g}{letter}"
    return "–" if value is None else str(value)


def metric_name(metric: str) -> str:
    """Write a metric's name for a reader."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def data_uri(path: Path) -> str:
    """Encode a PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
