"""The application of the review app: common routes, and one module of routes per task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from childgait.errors import StepError
from childgait.review import choose_routes, clear_routes, correct_routes, rate_routes
from childgait.review.access import FORBIDDEN, Gate, Role, Sessions, refusal, wants_page
from childgait.review.checks import check_for
from childgait.review.decisions import COLUMNS, Changed, check_reviewer
from childgait.review.queue import progress
from childgait.review.state import AppState, Body, session_of
from childgait.review.study import MAKE_AGAIN, Forbidden, Gone, Study


class Name(Body):
    """The name that a person works by."""

    name: str


class Undo(Body):
    """The decision that is taken back, and the version of the rows that the page shows."""

    table: str
    video: str
    reviewer: str
    time: str
    version: str


def create_app(
    study: Study, sessions: Sessions, port: int, on_link: Callable[[Role], None] = lambda _: None
) -> FastAPI:
    """Make the application of a study; `on_link` is called with the role of a link that was used."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    state = app.state.review = AppState(study)
    app.add_middleware(Gate, sessions=sessions, cookie=f"childgait_review_{port}", on_link=on_link)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    _add_errors(app, state)
    _add_common(app, state)
    _add_films(app, state)
    for routes in (clear_routes, choose_routes, correct_routes, rate_routes):
        routes.add_routes(app, state)

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST"])
    def refuse(request: Request, path: str) -> Response:
        """Refuse every other path: no file is ever served by its path."""
        return refusal(FORBIDDEN, page=wants_page(request.headers))

    return app


def _add_errors(app: FastAPI, state: AppState) -> None:
    @app.exception_handler(StepError)
    def explain(request: Request, error: StepError) -> Response:
        """Answer with the sentence of the error, as JSON to scripts and as a page to a person."""
        status = 409 if isinstance(error, Changed) else 403 if isinstance(error, Forbidden) else 400
        status = 410 if isinstance(error, Gone) else status
        if "text/html" in request.headers.get("accept", ""):
            return state.page(request, "error.html", status, message=error.message, hint=error.hint)
        return JSONResponse({"error": error.message, "hint": error.hint}, status)

    @app.exception_handler(RequestValidationError)
    def refuse_body(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{where}: {first['msg']}", "hint": "reload the page"}, 422)


def _add_common(app: FastAPI, state: AppState) -> None:
    @app.get("/")
    def show_queue(request: Request) -> Response:
        session = session_of(request)
        if not session.name:
            return state.page(request, "name.html")
        entries = state.queue(session)
        return state.page(
            request,
            "queue.html",
            entries=entries,
            progress=progress(state.study, entries),
            history=state.history(),
            covered=state.study.with_keypoints(),
            versions={one.video: state.versions(one.video) for one in state.history()},
        )

    @app.post("/api/name")
    def set_name(request: Request, body: Name) -> dict[str, str]:
        session = session_of(request)
        session.name = check_reviewer(body.name)
        return {"next": "/"}

    @app.get("/leave")
    def leave(request: Request) -> Response:
        """Ask for a name again: somebody else works in this browser."""
        session_of(request).name = ""
        return RedirectResponse("/", 303)

    @app.post("/api/undo")
    def undo(request: Request, body: Undo) -> dict[str, object]:
        if body.table not in COLUMNS:
            raise StepError(f"there is no table {body.table!r}", hint=f"there are {', '.join(COLUMNS)}")
        check = check_for(body.table, body.video, state.study.evidence(body.video))
        done = state.decisions.undo(body.table, body.video, body.reviewer, body.time, body.version, check)
        return {"removed": done.rows, "versions": state.versions(body.video)}


def _add_films(app: FastAPI, state: AppState) -> None:
    @app.get("/film/{video}")
    def stream_film(video: str) -> Response:
        """Stream every frame, each behind its length in four bytes."""
        film = state.films.open(state.study.covered_video(video))
        return StreamingResponse(film.stream(), media_type="application/octet-stream")

    @app.get("/frame/{video}/{index}.jpg")
    def show_frame(video: str, index: int) -> Response:
        film = state.films.open(state.study.covered_video(video))
        return Response(film.frame(index), media_type="image/jpeg")

    @app.get("/sheet/{video}.jpg")
    def show_sheet(video: str) -> Response:
        path = state.study.strip(video)
        if not path.is_file():
            raise Gone(f"the review sheet {path} is gone", hint=MAKE_AGAIN)
        return Response(path.read_bytes(), media_type="image/jpeg")

    @app.get("/api/film/{video}")
    def film_state(video: str) -> dict[str, object]:
        """Return how far a film is decoded; starts the decoding of the next video in the queue."""
        film = state.films.open(state.study.covered_video(video))
        error = None if film.error is None else str(film.error)
        return {"frames": len(film.frames), "complete": film.complete, "error": error}
