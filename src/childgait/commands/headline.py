"""Print the headline numbers of the last report, and where to read it."""

from __future__ import annotations

import json
from pathlib import Path

from childgait.errors import StepError


def headline(metrics: Path = Path("reports/metrics.json"), page: Path = Path("reports/index.html")) -> None:
    """A line a number, from reports/metrics.json."""
    if not metrics.exists():
        raise StepError(f"there is no {metrics}", hint="`make run` makes it")
    found = json.loads(metrics.read_text(encoding="utf-8"))
    head = found["headline"]
    print(f"{head['model']}, {head['part']} children: {head['children']}, evaluated on {head['videos']} videos")
    for key, words in (("accuracy", "accuracy"), ("balanced_accuracy", "balanced accuracy"), ("f1", "F1")):
        low, high = head[f"{key}_low"], head[f"{key}_high"]
        interval = "" if low is None else f"  (95 % interval {low:.3f} to {high:.3f})"
        print(f"  {words:<18} {'unknown' if head[key] is None else format(head[key], '.3f')}{interval}")
    print(f"  {'always the majority':<18} {head['majority_accuracy']:.3f}")
    for line in found["caveats"]:
        print(f"  note: {line}")
    print(f"report: {page}")
