"""Routes of the task Choose: point at the child; mask and skeleton as they are now are drawn over the video."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from childgait.domain.names import parse_video_name
from childgait.review.checks import check_for
from childgait.review.state import AppState, Body, session_of
from childgait.review.study import Study


class Selection(Body):
    """The child at a point or in a box of one frame."""

    video: str
    frame: int
    box: tuple[float, float] | tuple[float, float, float, float]
    reason: str
    version: str


def add_routes(app: FastAPI, state: AppState) -> None:
    """Add the page and its request."""

    @app.get("/choose/{video}")
    def show(request: Request, video: str) -> Response:
        evidence = state.open_film(video)
        preview = state.previews.find(video, state.decisions.version("selections", video))
        shown = preview.study or state.study
        boxes, points = child_boxes(shown, video), skeletons(shown, video)
        data: dict[str, object] = {
            "boxes": boxes,
            "points": points,
            "bones": bones(),
            "preview": {"state": preview.state, "message": preview.message},
            "selections": [
                {key: row[key] for key in ("frame", "x0", "y0", "x1", "y1")}
                for row in state.decisions.rows("selections", video)
            ],
            "next": state.next_of(session_of(request), "gate", video),
        }
        doubtful = [frame for frame, box in enumerate(boxes) if not box["ok"]]
        return state.film_page(
            request, "choose.html", video, evidence, data, data_points=bool(points), doubtful=doubtful
        )

    @app.post("/api/choose")
    def choose(request: Request, body: Selection) -> dict[str, object]:
        session = session_of(request)
        corners = [round(float(value), 1) for value in body.box] + [""] * (4 - len(body.box))
        row = {"frame": body.frame} | dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))
        check = check_for("selections", body.video, state.study.evidence(body.video))
        state.decisions.add("selections", body.video, [row], session.name, body.reason, body.version, check)
        state.previews.start(body.video, state.decisions.version("selections", body.video))
        return {"next": f"/choose/{body.video}"}

    @app.get("/api/preview/{video}")
    def preview(video: str) -> dict[str, object]:
        """Return how far the preview is, and mask boxes and skeleton once it is done."""
        one = state.previews.find(str(parse_video_name(video)), state.decisions.version("selections", video))
        drawn = (
            {} if one.study is None else {"boxes": child_boxes(one.study, video), "points": skeletons(one.study, video)}
        )
        return {"state": one.state, "message": one.message, **drawn}


def child_boxes(study: Study, video: str) -> list[dict[str, Any]]:
    """Return per frame the box of the child's mask and whether it passes the gate; nothing before `segment` ran."""
    from childgait.files.masks import read_frame_rows

    if not study.has("segment", video, ".frames.parquet"):
        return []
    rows = read_frame_rows(study.file("segment", video, ".frames.parquet"))
    return [{"box": [row["x0"], row["y0"], row["x1"], row["y1"]], "ok": row["ok"]} for row in rows]


def skeletons(study: Study, video: str) -> list[list[float | None]]:
    """Return per frame x and y of every point of the refined skeleton; nothing before `refine_pose` ran."""
    import numpy as np

    from childgait.files.poses import read_poses

    if not study.has("refine_pose", video, ".poses.parquet"):
        return []
    poses = read_poses(study.file("refine_pose", video, ".poses.parquet"))
    return [[round(float(value), 1) if np.isfinite(value) else None for value in frame.ravel()] for frame in poses.xy]


def bones() -> list[tuple[int, int, str]]:
    """Return the limbs of the skeleton as pairs of points, with their side."""
    from childgait.domain.skeleton import BONES, INDEX, bone_side

    return [(INDEX[first], INDEX[second], bone_side((first, second))) for first, second in BONES]
