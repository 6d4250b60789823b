"""Routes of the task Clear: watch a held video, accept it, put it aside, or change its covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import Field

from childgait.errors import StepError
from childgait.review.checks import check_for
from childgait.review.clearing import accept, hold
from childgait.review.state import AppState, Body, session_of

if TYPE_CHECKING:
    import polars as pl


class Clearance(Body):
    """The answers to the two questions about a video."""

    video: str
    heads_covered: bool
    child_visible: bool
    reason: str = ""
    version: str
    sha256: str  # of the pixels that the page showed


class Hold(Body):
    """A video that is put aside, and why."""

    video: str
    reason: str
    version: str


class CoverRow(Body):
    """One row of regions.csv; no frame means all frames."""

    region: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9 _-]{0,39}$")
    frame: int | None
    box: tuple[float, float, float, float]
    action: str


class Covers(Body):
    """New boxes to cover, and covers that end or are removed."""

    video: str
    rows: list[CoverRow] = Field(min_length=1, max_length=500)
    reason: str
    version: str


def add_routes(app: FastAPI, state: AppState) -> None:
    """Add the page and its requests."""

    @app.get("/clear/{video}")
    def show(request: Request, video: str) -> Response:
        evidence = state.open_film(video)
        table = read_covers(state, video)
        data: dict[str, object] = {
            "risky": risky_frames(table, evidence["frames"]),
            "covers": by_frame(table),
            "next": state.next_of(session_of(request), "clear", video),
            "sha256": evidence["decoded_sha256"],
            "regions": sorted({row["region"] for row in state.decisions.rows("regions", video)}),
        }
        return state.film_page(request, "clear.html", video, evidence, data)

    @app.post("/api/accept")
    def accept_video(request: Request, body: Clearance) -> dict[str, object]:
        if not (body.heads_covered and body.child_visible):
            raise StepError(
                "a video is accepted only if every head is covered and the child can be seen",
                hint="draw, end or remove a cover, or put the video aside",
            )
        session = session_of(request)
        film = state.films.open(state.study.covered_video(body.video))
        accept(state.study, state.decisions, film, body.video, session.name, body.reason, body.version, body.sha256)
        return {"next": state.next_of(session, "clear", body.video)}

    @app.post("/api/hold")
    def hold_video(request: Request, body: Hold) -> dict[str, object]:
        session = session_of(request)
        hold(state.study, state.decisions, body.video, session.name, body.reason, body.version)
        return {"next": state.next_of(session, "clear", body.video)}

    @app.post("/api/covers")
    def change_covers(request: Request, body: Covers) -> dict[str, object]:
        session = session_of(request)
        check = check_for("regions", body.video, state.study.evidence(body.video))
        rows = [region_row(row) for row in body.rows]
        state.decisions.add("regions", body.video, rows, session.name, body.reason, body.version, check)
        return {"next": state.next_of(session, "clear", body.video)}


def region_row(row: CoverRow) -> dict[str, object]:
    """Return the fields of one row of regions.csv, in whole pixels."""
    x0, y0, x1, y1 = (round(edge) for edge in row.box)
    frame = "" if row.frame is None else row.frame
    action = "" if row.action == "cover" else row.action
    return {"region": row.region, "frame": frame, "x0": x0, "y0": y0, "x1": x1, "y1": y1, "action": action}


def read_covers(state: AppState, video: str) -> pl.DataFrame:
    """Read the table of what is covered in a video."""
    from childgait.files.regions import REGIONS
    from childgait.files.tables import read_table

    return read_table(state.study.file("deidentify", video, ".regions.parquet"), REGIONS)


def risky_frames(table: pl.DataFrame, frames: int) -> list[int]:
    """Return the frames in question: the riskiest ones and some evenly spread, as on the review sheet."""
    from childgait.vision.head_sheet import riskiest_frames

    return riskiest_frames(table, frames)


def by_frame(table: pl.DataFrame) -> dict[int, list[list[int]]]:
    """Return by frame the covers as region, x0, y0, x1, y1 and whether a whole person is covered."""
    covers: dict[int, list[list[int]]] = {}
    columns = table.select("frame", "region", "x0", "y0", "x1", "y1", "whole")
    for frame, *cover in columns.iter_rows():
        covers.setdefault(frame, []).append([int(value) for value in cover])
    return covers
