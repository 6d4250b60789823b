"""What the routes of the review app share: the study, its manual files, the films, and the templates."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from childgait.review.access import Role, Session
from childgait.review.decisions import Decision, Decisions
from childgait.review.film import FilmStore
from childgait.review.preview import Previews
from childgait.review.queue import Entry, Kind, make_queue
from childgait.review.ratings import Ratings
from childgait.review.study import Evidence, Study

if TYPE_CHECKING:
    import jinja2

PAGE_OF: dict[Kind, str] = {
    "clear": "clear",
    "choose": "choose",
    "gate": "choose",
    "legs": "correct",
    "rate": "rate",
    "reread": "reread",
    "arbitrate": "arbitrate",
}


class Body(BaseModel):
    """Base of the JSON bodies: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass
class AppState:
    """The shared state of one server."""

    study: Study
    films: FilmStore = field(default_factory=FilmStore)

    def __post_init__(self) -> None:
        self.decisions = Decisions(self.study.annotations, self.study.logs)
        self.ratings = Ratings(self.study.labels, self.study.annotations, self.study.highest)
        self.previews = Previews(self.study)
        self.templates = _environment()

    def page(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """Render a page for the session of a request."""
        session = session_of(request)
        text = self.templates.get_template(template).render(session=session, page_of=PAGE_OF, **values)
        return HTMLResponse(text, status)

    def queue(self, session: Session) -> list[Entry]:
        """List what waits for the session's person."""
        return make_queue(self.study, self.decisions, session.name or None, session.role != "rater")

    def next_of(self, session: Session, kind: Kind, after: str) -> str | None:
        """Return the name of the next waiting entry of a kind, in the order of the queue; None at its end."""
        names = [one.name for one in self.queue(session) if one.kind == kind and one.state == "waits"]
        later = [name for name in names if name > after]
        rest = [name for name in names if name < after]
        return next(iter(later + rest), None)

    def versions(self, video: str) -> dict[str, str]:
        """Return the versions of a recording's rows in every table."""
        return {
            table: self.decisions.version(table, video) for table in ("regions", "cleared", "selections", "corrections")
        }

    def open_film(self, video: str) -> Evidence:
        """Start to decode a de-identified recording before its page is sent; returns its evidence."""
        evidence = self.study.evidence(video)
        self.films.open(self.study.covered_video(video))
        return evidence

    def film_page(
        self, request: Request, template: str, video: str, evidence: Evidence, data: dict[str, object], **values: object
    ) -> HTMLResponse:
        """Render the page of one recording; `data` is what its script reads beside the facts of the video."""
        facts: dict[str, object] = {
            "video": video,
            "frames": evidence["frames"],
            "width": evidence["width"],
            "height": evidence["height"],
            "seconds": evidence["seconds"],
            "versions": self.versions(video),
        }
        text, history = safe_json(facts | data), self.history(video)
        return self.page(request, template, 200, video=video, evidence=evidence, data=text, history=history, **values)

    def history(self, video: str | None = None, limit: int = 20) -> list[Decision]:
        """List the newest decisions."""
        return self.decisions.decisions(video)[:limit]


def safe_json(value: object) -> str:
    """Return JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def session_of(request: Request) -> Session:
    """Return the session of a request, which the gate has found."""
    session = request.scope["session"]
    assert isinstance(session, Session)
    return session


def has_role(session: Session, *roles: Role) -> bool:
    return session.role in roles
