"""Check a submission file of the keypoint challenge, and score it where the labels are known."""

from __future__ import annotations

from pathlib import Path


def check_submission(submission: Path, lists: Path = Path("annotations/split.csv"), labels: Path | None = None) -> None:
    """Its form, and that it answers for the listed test children; with --labels labels.json also the challenge's score."""
    import numpy as np

    from childgait.domain.evgs import TARGETS
    from childgait.files.labels import read_sheets
    from childgait.files.split_list import read_split_list
    from childgait.files.submission import ITEMS, read_submission
    from childgait.metrics.scores import challenge_score

    asked = {child for child, part in read_split_list(lists).items() if part == "test"} if lists.exists() else set()
    answers = read_submission(submission, asked or None)
    print(f"{submission}: {len(answers)} children, {len(ITEMS)} answers each; nothing to mend")
    if not asked:
        print(f"  {lists} lists no test child, so it was not checked for whom it must answer")
    if labels is None:
        return
    scored = {sheet.subject: sheet.scores for sheet in read_sheets(labels, highest=2)}
    both = [child for child in answers if child in scored]
    known = [[scored[child][t.limb][t.code] for t in TARGETS] for child in both]
    truth = [[np.nan if score is None else score > 0 for score in row] for row in known]
    found = challenge_score(
        np.array([answers[c] for c in both], float).reshape(-1, 34), np.array(truth, float).reshape(-1, 34)
    )
    if found["value"] is None:
        print(f"  no score: {found['reason']}")
        return
    print(
        f"  score {found['value']:.4f} = ½ (accuracy {found['accuracy']:.4f} + 1 − RMSE of totals"
        f" {found['rmse_of_total']:.3f} / 34), over {found['children']} of them with labels"
    )
