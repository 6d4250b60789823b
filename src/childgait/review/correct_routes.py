"""Routes of the task Correct: move joints, mark them as unseen, exchange left and right over a range of frames."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import Field

from childgait.review.checks import check_for
from childgait.review.choose_routes import bones
from childgait.review.correcting import EstimatedWalk, describe_walk, read_estimate, refine_with
from childgait.review.state import AppState, Body, session_of

REASON = "the joint, by sight"  # of an unsaved row, which has none yet


class Edit(Body):
    """One row of corrections.csv."""

    frame: int
    last: int | None = None
    joint: str
    action: str = ""
    x: float | None = None
    y: float | None = None


class Draft(Body):
    """Corrections that are not saved yet."""

    video: str
    edits: list[Edit] = Field(max_length=5000)


class Corrections(Draft):
    """Corrections to be saved."""

    edits: list[Edit] = Field(min_length=1, max_length=5000)
    reason: str
    version: str


def add_routes(app: FastAPI, state: AppState) -> None:
    """Add the page and its requests."""

    @app.get("/correct/{video}")
    def show(request: Request, video: str) -> Response:
        from childgait.domain.skeleton import POINTS

        evidence = state.open_film(video)
        estimate = read_estimate(state.study, video)
        data: dict[str, object] = {
            "times": [round(float(at), 6) for at in estimate.poses.seconds],
            "joints": POINTS,
            "bones": bones(),
            "next": state.next_of(session_of(request), "legs", video),
        }
        return state.film_page(request, "correct.html", video, evidence, data, joints=POINTS)

    @app.post("/api/correct/preview")
    def preview(body: Draft) -> dict[str, object]:
        """Refine with the unsaved corrections, none as the page opens; nothing is written.

        Returns also the version of the saved rows. The page requests it once it is painted, because refinement
        takes longer than a first paint may.
        """
        version = state.decisions.version("corrections", body.video)
        walk = _walk_with(state, read_estimate(state.study, body.video), [row_of(edit) for edit in body.edits])
        return {"walk": walk, "version": version}

    @app.post("/api/correct")
    def correct(request: Request, body: Corrections) -> dict[str, object]:
        session = session_of(request)
        check = check_for("corrections", body.video, state.study.evidence(body.video))
        rows = [row_of(edit) for edit in body.edits]
        state.decisions.add("corrections", body.video, rows, session.name, body.reason, body.version, check)
        return {"next": state.next_of(session, "legs", body.video)}


def _walk_with(state: AppState, estimate: EstimatedWalk, draft: list[dict[str, str]]) -> dict[str, object]:
    rows = [row | {"reason": REASON} for row in draft]
    return describe_walk(estimate, refine_with(state.study, estimate, state.decisions.path("corrections"), rows))


def row_of(edit: Edit) -> dict[str, str]:
    """Return the fields of one row of corrections.csv, places to a hundredth of a pixel."""
    values = {"frame": edit.frame, "last": edit.last, "joint": edit.joint, "action": edit.action}
    places = {axis: None if value is None else f"{value:.2f}" for axis, value in (("x", edit.x), ("y", edit.y))}
    return {key: "" if value is None else str(value) for key, value in (values | places).items()}
