"""Check the submission files of the keypoint challenge, and score them where the labels are known.

    childgait check-submission data/write_submission/submission.csv --labels labels.json
    childgait check-submission submission.csv --second data/write_subtypes/subtypes.csv --labels labels.json \\
        --types subjects.csv --joined upload.csv    # both tracks: S = (S1 + S2) / 2, and one file with all rows
"""

from __future__ import annotations

from pathlib import Path


def check_submission(
    submission: Path,
    lists: Path = Path("annotations/split.csv"),
    labels: Path | None = None,
    second: Path | None = None,
    types: Path | None = None,
    joined: Path | None = None,
) -> None:
    """Check the form and that all listed test children are covered; --labels and --types also score the files."""
    from childgait.files.split_list import read_split_list
    from childgait.files.submission import ITEMS, join_submissions, read_submission, read_subtypes
    from childgait.metrics.challenge import whole_score

    listed = {child for child, part in read_split_list(lists).items() if part == "test"} if lists.exists() else set()
    predictions = read_submission(submission, listed or None)
    print(f"{submission}: {len(predictions)} children, {len(ITEMS)} predictions each; no problem found")
    if not listed:
        print(f"  {lists} lists no test child, so it was not checked which children must be covered")
    first = _score_items(predictions, labels) if labels is not None else None
    if second is None:
        return
    subtypes = read_subtypes(second, listed or None)
    print(f"{second}: {len(subtypes)} children, the gait types of both limbs; no problem found")
    other = _score_types(subtypes, types) if types is not None else None
    if first is not None and other is not None:
        print(f"S = ½ (S1 {first:.4f} + S2 {other:.4f}) = {whole_score(first, other):.4f}")
    if joined is not None:
        join_submissions(submission, second, joined)
        print(f"written: {joined}, the rows of both tracks")


def _score_items(predictions: dict[str, list[int]], labels: Path) -> float | None:
    """Print the score of the items, S1, over the children with labels; return it."""
    import numpy as np

    from childgait.domain.evgs import TARGETS
    from childgait.files.labels import read_sheets
    from childgait.metrics.challenge import challenge_score

    labelled = {sheet.subject: sheet.scores for sheet in read_sheets(labels, highest=2)}
    children = [child for child in predictions if child in labelled]
    scores = [[labelled[child][t.limb][t.code] for t in TARGETS] for child in children]
    truth = [[np.nan if score is None else score > 0 for score in row] for row in scores]
    probability = np.array([predictions[child] for child in children], float).reshape(-1, len(TARGETS))
    result = challenge_score(probability, np.array(truth, float).reshape(-1, len(TARGETS)))
    if result.value is None:
        print(f"  no score: {result.reason}")
        return None
    print(
        f"  score {result.value:.4f} = ½ (accuracy {result.accuracy:.4f} + 1 − RMSE of totals"
        f" {result.rmse_of_total:.3f} / 34), over {result.children} of them with labels"
    )
    return result.value


def _score_types(predictions: dict[str, list[str]], types: Path) -> float | None:
    """Print the score of the gait types, S2, over the limbs whose type subjects.csv states; return it."""
    from childgait.domain.tasks import TASKS
    from childgait.files.labels import read_children
    from childgait.metrics.challenge import subtype_score
    from childgait.training.classes import UNKNOWN, classes_of_children

    task = TASKS["gait_type"]
    known = classes_of_children(read_children(types), task)
    pairs = [
        (predicted, task.classes[true])
        for child, of_limbs in predictions.items()
        for predicted, true in zip(of_limbs, known.get(child, ()), strict=False)
        if true != UNKNOWN
    ]
    if not pairs:
        print(f"  no score: {types} states the gait type of none of them")
        return None
    value = subtype_score([predicted for predicted, _ in pairs], [true for _, true in pairs])
    print(f"  score {value:.4f} = ½ (accuracy + macro F1), over {len(pairs)} limbs with a type")
    return value
