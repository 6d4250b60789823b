"""Check a submission file of the keypoint challenge, and score it where the labels are known."""

from __future__ import annotations

from pathlib import Path


def check_submission(submission: Path, lists: Path = Path("annotations/split.csv"), labels: Path | None = None) -> None:
    """Check the file's form and that it covers the listed test children; with --labels labels.json also score it."""
    import numpy as np

    from childgait.domain.evgs import TARGETS
    from childgait.files.labels import read_sheets
    from childgait.files.split_list import read_split_list
    from childgait.files.submission import ITEMS, read_submission
    from childgait.metrics.challenge import challenge_score

    listed = {child for child, part in read_split_list(lists).items() if part == "test"} if lists.exists() else set()
    predictions = read_submission(submission, listed or None)
    print(f"{submission}: {len(predictions)} children, {len(ITEMS)} predictions each; no problem found")
    if not listed:
        print(f"  {lists} lists no test child, so it was not checked which children must be covered")
    if labels is None:
        return
    labelled = {sheet.subject: sheet.scores for sheet in read_sheets(labels, highest=2)}
    children = [child for child in predictions if child in labelled]
    scores = [[labelled[child][t.limb][t.code] for t in TARGETS] for child in children]
    truth = [[np.nan if score is None else score > 0 for score in row] for row in scores]
    probability = np.array([predictions[child] for child in children], float).reshape(-1, len(TARGETS))
    result = challenge_score(probability, np.array(truth, float).reshape(-1, len(TARGETS)))
    if result.value is None:
        print(f"  no score: {result.reason}")
        return
    print(
        f"  score {result.value:.4f} = ½ (accuracy {result.accuracy:.4f} + 1 − RMSE of totals"
        f" {result.rmse_of_total:.3f} / 34), over {result.children} of them with labels"
    )
