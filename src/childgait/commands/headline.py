"""Print the headline numbers of the last report, and the path of its page."""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError


def headline(metrics: Path = Path("reports/metrics.json"), page: Path = Path("reports/index.html")) -> None:
    """Print one line per number of reports/metrics.json."""
    from childgait.report.formats import metric_name, number
    from childgait.report.headline import read_study_metrics

    if not metrics.exists():
        raise StepError(f"there is no {metrics}", hint="`make run` makes it")
    study = read_study_metrics(metrics)
    head = study.headline
    if head.verdict:
        print(head.verdict)
    print(f"{head.model}, {head.part} children: {head.children}, evaluated on {head.videos} videos")
    for metric in ("accuracy", "balanced_accuracy", "f1"):
        value, low, high = head.interval(metric)
        interval = "" if low is None else f"  (95 % interval {number(low, 3)} to {number(high, 3)})"
        print(f"  {metric_name(metric):<18} {'unknown' if value is None else number(value, 3)}{interval}")
    print(f"  {'always the majority':<18} {number(head.majority_accuracy, 3)}")
    for line in study.caveats:
        print(f"  note: {line}")
    print(f"report: {page}")
