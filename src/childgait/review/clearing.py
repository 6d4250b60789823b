"""Accepting and holding a de-identified video: the rows of cleared.csv, for the page and for the terminal."""

from __future__ import annotations

from childgait.errors import StepError
from childgait.review.checks import check_for
from childgait.review.decisions import Changed, Decision, Decisions
from childgait.review.film import Film
from childgait.review.study import Study

ACCEPTED = "every head is covered and the child can be seen"


def accept(
    study: Study,
    decisions: Decisions,
    film: Film,
    video: str,
    reviewer: str,
    reason: str,
    version: str,
    watched: str,
) -> Decision:
    """Clear a held video by `watched`, the hash of the pixels that the reviewer saw.

    Refused for a video that waits for nobody, and for one that was made again after it was opened.
    """
    evidence = study.evidence(video)
    if evidence["verdict"] != "held":
        raise StepError(f"{video} is {evidence['verdict']}, not held", hint="nothing is to be accepted")
    film.wait()
    if film.sha256 != evidence["decoded_sha256"]:
        raise StepError(
            f"{film.path} has other pixels than its evidence states; nothing was written",
            hint="run `make run` and look at the video again",
        )
    if watched != film.sha256:
        raise Changed(f"{video} was made again after it was opened", hint="nothing was written: watch it again")
    row = {"sha256": film.sha256}
    check = check_for("cleared", video, evidence)
    return decisions.add("cleared", video, [row], reviewer, reason.strip() or ACCEPTED, version, check)


def hold(study: Study, decisions: Decisions, video: str, reviewer: str, reason: str, version: str) -> Decision:
    """Put a held video aside for somebody else: a row of cleared.csv without a hash, which clears nothing."""
    check = check_for("cleared", video, study.evidence(video))
    return decisions.add("cleared", video, [{"sha256": ""}], reviewer, reason, version, check)
