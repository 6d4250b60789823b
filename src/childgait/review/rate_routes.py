"""Routes of the task Rate: the 17 items of both limbs, blinded to the model and to other raters; and the arbiter's."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from childgait.domain.evgs import BY_NUMBER, CODES, ITEMS, LIMBS, TARGETS, Limb
from childgait.domain.names import SUBJECT, VideoName
from childgait.errors import StepError
from childgait.review.access import Role, Session
from childgait.review.agreement import rater_agreement
from childgait.review.band_texts import BAND_TEXTS
from childgait.review.decisions import check_reviewer
from childgait.review.ratings import second_name
from childgait.review.second_reading import is_reading, second_items
from childgait.review.state import AppState, safe_json, session_of
from childgait.review.study import CLEAR, Evidence, Forbidden


class Rating(BaseModel):
    """One answer, and the answer that the page showed before."""

    model_config = ConfigDict(extra="forbid", strict=True)

    child: str
    session: str
    limb: Limb
    number: int
    score: int | str
    before: int | str
    arbiter: bool = False
    second: bool = False  # an answer of the second reading


class RoleMissing(Forbidden):
    """The error for a page of another role."""

    def __init__(self, roles: tuple[Role, ...]) -> None:
        super().__init__(
            f"this page is for the {' and the '.join(roles)} only", hint="start `childgait review --roles …`"
        )


def require(session: Session, *roles: Role) -> None:
    """Fail unless the session has one of the roles."""
    if session.role not in roles:
        raise RoleMissing(roles)


def add_routes(app: FastAPI, state: AppState) -> None:
    """Add the pages and their requests."""
    add_rating_pages(app, state)
    add_requests(app, state)


def add_rating_pages(app: FastAPI, state: AppState) -> None:
    """Add the pages of a first reading, a second reading and an arbitration."""

    @app.get("/rate/{child}")
    def show(request: Request, child: str, session: str = "") -> Response:
        person = check_reviewer(session_of(request).name)
        check_practice(state)
        check_blinded(state, child, person)
        sessions = sessions_of(state, child)
        own = state.ratings.session(child, person)
        chosen = own or session or next(iter(sessions))
        if chosen not in sessions:
            raise StepError(f"child {child} has no session {chosen}", hint=f"it has {', '.join(sessions)}")
        data = rating_data(state, child, chosen, sessions[chosen], person)
        return rate_page(state, request, list(sessions), data)

    @app.get("/reread/{child}")
    def read_again(request: Request, child: str) -> Response:
        """Show the items of the second reading without the scores of the first one."""
        person = check_reviewer(session_of(request).name)
        check_practice(state)
        sessions = sessions_of(state, child)
        targets = second_items(state.study, person).get(child)
        if not targets:
            raise StepError(
                f"child {child} has no item for a second reading by {person}", hint="open it from the queue"
            )
        chosen = state.ratings.session(child, person) or next(iter(sessions))
        if chosen not in sessions:
            raise StepError(f"child {child} has no session {chosen}", hint=f"it has {', '.join(sessions)}")
        data = rating_data(state, child, chosen, sessions[chosen], second_name(person))
        keys = {key_of(target) for target in targets}
        data |= {"second": True, "items": [item for item in data["items"] if item["key"] in keys]}
        data["answers"] = {key: value for key, value in data["answers"].items() if key in keys}
        return rate_page(state, request, [chosen], data)

    @app.get("/arbitrate/{child}")
    def arbitrate(request: Request, child: str) -> Response:
        """Show the items in which raters differ, with their scores in order of size and without names."""
        session = session_of(request)
        require(session, "arbiter", "coordinator")
        check_practice(state)
        sessions = sessions_of(state, child)
        chosen = next(iter(sessions))
        data = rating_data(state, child, chosen, sessions[chosen], session.name)
        targets = state.ratings.disputes(session.name).get(child, [])
        entries = state.ratings.entries()
        other_scores = {
            target.name: state.ratings.other_scores(entries, child, target.limb, target.code, session.name)
            for target in TARGETS
            if target.name in targets
        }
        data |= {"arbiter": True, "other_scores": {key_of(name): value for name, value in other_scores.items()}}
        return rate_page(state, request, [chosen], data)


def add_requests(app: FastAPI, state: AppState) -> None:
    """Add the request that keeps a score, and the coordinator's page of agreement."""

    @app.post("/api/rate")
    def rate(request: Request, body: Rating) -> dict[str, object]:
        session = session_of(request)
        check_practice(state)
        if body.session not in sessions_of(state, body.child):
            raise StepError(f"child {body.child} has no session {body.session}", hint="reload the page")
        if body.arbiter:
            require(session, "arbiter", "coordinator")
            state.ratings.adopt_agreement(body.child, session.name, body.session)
        if body.second:
            check_offered(state, body, session.name)
        else:
            check_blinded(state, body.child, session.name)
        state.ratings.rate(
            body.child, session.name, body.session, body.limb, body.number, body.score, body.before, body.second
        )
        name = second_name(session.name) if body.second else session.name
        return {"answered": state.ratings.answered(name).get(body.child, 0)}

    @app.get("/agreement")
    def agreement(request: Request) -> Response:
        require(session_of(request), "coordinator")
        pairs = rater_agreement(state.ratings.entries(), state.study.highest)
        return state.page(request, "agreement.html", pairs=pairs, items=ITEMS)


def check_practice(state: AppState) -> None:
    """Fail if the labels file is an output of `synthesize`, which a rating would contradict."""
    study = state.study
    if (study.cohort / "cohort.json").is_file() and study.labels.parent == study.cohort:
        raise StepError(
            f"{study.labels} is made by synthesize: the synthetic children have scores",
            hint="to practise on them, start `childgait review --labels logs/practice.json`",
        )


def rate_page(state: AppState, request: Request, sessions: list[str], data: dict[str, Any]) -> Response:
    """Render the page on which a child is rated."""
    chosen = {"child": data["child"], "chosen": data["session"], "second": data["second"]}
    return state.page(request, "rate.html", sessions=sessions, data=safe_json(data), **chosen)


def check_blinded(state: AppState, child: str, person: str) -> None:
    """Fail while this person's second reading of the child is under way: it must not see the first one."""
    if is_reading(state.study, child, person):
        raise Forbidden(
            f"your first scores of child {child} are hidden until your second reading is complete",
            hint=f"open /reread/{child} from the queue",
        )


def check_offered(state: AppState, body: Rating, person: str) -> None:
    """Fail unless the item is one of those offered to this person for a second reading."""
    offered = {key_of(target) for target in second_items(state.study, person).get(body.child, [])}
    if f"{body.limb} {body.number}" not in offered:
        raise StepError(
            f"item {body.number} of the {body.limb} limb is not offered for a second reading", hint="reload the page"
        )


def key_of(target: str) -> str:
    """Return the page's key of a target: `left 1` for L.IC."""
    limb, code = target.split(".")
    return f"{'left' if limb == 'L' else 'right'} {CODES.index(code) + 1}"


def sessions_of(state: AppState, child: str) -> dict[str, list[VideoName]]:
    """Map each session of a child to its recordings that may be seen: those that are covered or cleared."""
    sessions: dict[str, list[VideoName]] = {}
    if not SUBJECT.fullmatch(child):
        raise StepError("a child is named by its number", hint="open it from the queue")
    for name in state.study.recordings():
        if name.subject == child and state.study.evidence(str(name))["verdict"] in CLEAR:
            sessions.setdefault(name.session, []).append(name)
    if not sessions:
        raise StepError(f"child {child} has no video that is covered or cleared", hint="clear its held videos first")
    return sessions


def rating_data(state: AppState, child: str, session: str, names: list[VideoName], rater: str) -> dict[str, Any]:
    """Return what the page's script reads: the videos, the items in working order, and the person's own answers."""
    videos = []
    for name in names:
        evidence = state.study.evidence(str(name))
        videos.append({"video": str(name), "view": name.view, **picture_facts(evidence)})
    items = [
        {
            "key": f"{limb} {number}",
            "limb": limb,
            "number": number,
            "name": item.name,
            "plane": item.plane,
            "phase": item.phase,
            "bands": list(BAND_TEXTS[number][: state.study.highest + 1]),
        }
        for plane in ("sagittal", "coronal")
        for limb in LIMBS
        for number, item in BY_NUMBER.items()
        if item.plane == plane
    ]
    scores = state.ratings.scores(child, rater)
    answers = {f"{limb} {number}": scores[limb][str(number)] for limb in LIMBS for number in BY_NUMBER}
    return {
        "child": child,
        "session": session,
        "videos": videos,
        "items": items,
        "answers": answers,
        "highest": state.study.highest,
        "arbiter": False,
        "second": False,
        "other_scores": {},
    }


def picture_facts(evidence: Evidence) -> dict[str, float]:
    """Return the number of frames, the size in pixels and the length in seconds of a video."""
    return {
        "frames": evidence["frames"],
        "width": evidence["width"],
        "height": evidence["height"],
        "seconds": evidence["seconds"],
    }
