"""A study and an opened browser for the tests of the review app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from childgait.review.access import Role, Sessions
from childgait.review.app import create_app
from childgait.review.study import Study
from support.review_study import write_study

BASE = "http://127.0.0.1:8765"
HTML = {"accept": "text/html"}


class Browser:
    """A client whose link was used and whose person has a name; posts carry the page's Origin."""

    def __init__(self, app: Any, sessions: Sessions, name: str, role: Role) -> None:
        self.client = TestClient(app, base_url=BASE, raise_server_exceptions=True)
        self.client.get(f"/?token={sessions.new_link(role)}")
        self.post("/api/name", name=name)

    def get(self, path: str) -> Any:
        return self.client.get(path, headers=HTML)

    def post(self, path: str, **body: object) -> Any:
        return self.client.post(path, json=body, headers={"origin": BASE})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path)


@pytest.fixture
def browser(study: Study) -> Iterator[Callable[..., Browser]]:
    """Open a browser of the study: `browser("AB", "rater")`."""
    sessions = Sessions()
    app = create_app(study, sessions, 8765)
    yield lambda name="AB", role="rater": Browser(app, sessions, name, role)
    app.state.review.previews.close()
