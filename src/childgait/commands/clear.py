"""Clear one held video from the terminal, after its review sheet and the video were looked at.

childgait clear 0007-0001_left_1-240 --reviewer AB
childgait clear 0007-0001_left_1-240 --reviewer AB --reason "watched twice"
"""

from __future__ import annotations

from pathlib import Path


def clear(
    video: str,
    reviewer: str | None = None,
    reason: str = "",
    yes: bool = False,
    data: Path = Path("data"),
    params: Path = Path("params.yaml"),
) -> int:
    """Write the video's row of cleared.csv after both questions were answered with yes (`yes` answers them)."""
    from childgait.errors import StepError
    from childgait.review.clearing import accept
    from childgait.review.decisions import Decisions, check_reviewer
    from childgait.review.film import Film
    from childgait.review.study import open_study

    if reviewer is None:
        raise StepError("nobody clears the video", hint="add --reviewer with initials or a pseudonym")
    check_reviewer(reviewer)
    study = open_study(params, None, data)
    decisions = Decisions(study.annotations, study.logs)
    version = decisions.version("cleared", video)
    evidence = study.evidence(video)
    film = Film(study.covered_video(video))
    print(f"{video}: {evidence['verdict']}; {'; '.join(evidence['reasons'])}")
    print(f"watch {film.path} and {study.strip(video)}")
    if not yes and not all(ask(question) for question in ("Is every head covered", "Can the child still be seen")):
        print("nothing was written; draw, end or remove covers with `childgait review`")
        return 1
    decision = accept(study, decisions, film, video, reviewer, reason, version, evidence["decoded_sha256"])
    print(f"{decisions.path('cleared')}: {video} is cleared by {decision.reviewer}; `make run` takes it in")
    return 0


def ask(question: str) -> bool:
    """Return whether the answer on the terminal is yes."""
    try:
        return input(f"{question}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
