"""Who gets in, and what is never served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from childgait.errors import StepError
from childgait.review.access import Sessions
from childgait.review.app import create_app
from childgait.review.serve import HOST, bind, check_roles
from childgait.review.study import Study
from support.review_study import HELD, write_study

BASE = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def client(study: Study, sessions: Sessions) -> Iterator[TestClient]:
    """A browser that no link has opened."""
    with TestClient(create_app(study, sessions, 8765), base_url=BASE, raise_server_exceptions=False) as one:
        yield one


@pytest.fixture
def opened(client: TestClient, sessions: Sessions) -> TestClient:
    client.get(f"/?token={sessions.new_link('rater')}")
    return client


def test_without_the_link_nothing_is_served(client: TestClient) -> None:
    for path in ("/", "/static/review.css", f"/film/{HELD[0]}", f"/frame/{HELD[0]}/0.jpg", "/?token=guess"):
        assert client.get(path).status_code == 403, path


def test_a_link_opens_one_browser_once(study: Study, sessions: Sessions) -> None:
    used: list[str] = []
    app = create_app(study, sessions, 8765, used.append)
    token = sessions.new_link("rater")
    first, second = (TestClient(app, base_url=BASE) for _ in range(2))
    assert first.get(f"/?token={token}").status_code == 200
    assert used == ["rater"]
    assert second.get(f"/?token={token}").status_code == 403
    cookie = first.get(f"/?token={sessions.new_link('rater')}", follow_redirects=False).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8765", "10.0.0.1:8765", "[::1].x", ""])
def test_another_host_is_refused(opened: TestClient, host: str) -> None:
    assert opened.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8765"])
def test_a_tunnel_may_begin_at_another_port(opened: TestClient, host: str) -> None:
    assert opened.get("/static/review.css", headers={"host": host}).status_code in (200, 403)  # a cookie has one host
    assert opened.get("/static/review.css", headers={"host": host}).status_code != 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"origin": BASE, "sec-fetch-site": "cross-site"},
        {},
    ],
)
def test_a_post_from_another_page_is_refused(opened: TestClient, headers: dict[str, str]) -> None:
    assert opened.post("/api/name", json={"name": "AB"}, headers=headers).status_code == 403
    assert opened.post("/api/name", json={"name": "AB"}, headers={"origin": BASE}).status_code == 200


def test_every_answer_has_the_strict_policy(opened: TestClient) -> None:
    for path in ("/", "/static/player.js", "/nowhere"):
        headers = opened.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        f"/raw/dataset/0001/{HELD[0]}.mp4",
        "/data/raw/labels.json",
        "/annotations/cleared.csv",
        f"/static/../../raw/dataset/0001/{HELD[0]}.mp4",
        f"/static/%2e%2e/%2e%2e/raw/dataset/0001/{HELD[0]}.mp4",
        f"/static/%252e%252e/raw/dataset/0001/{HELD[0]}.mp4",
        f"/film/..%2f..%2fraw%2fdataset%2f0001%2f{HELD[0]}",
        f"/film/..\\..\\{HELD[0]}",
        "/static//etc/passwd",
        "/etc/passwd",
    ],
)
def test_raw_files_and_other_paths_are_forbidden(opened: TestClient, path: str) -> None:
    answer = opened.get(path)
    assert answer.status_code == 403
    assert b"ftyp" not in answer.content


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_raw_recording_in_the_place_of_a_covered_one_is_forbidden(tmp_path: Path, how: str) -> None:
    study, sessions = write_study(tmp_path), Sessions()
    raw = study.cohort / "dataset" / "0001" / f"{HELD[0]}.mp4"
    covered = study.file("deidentify", HELD[0], ".mp4")
    covered.unlink()
    if how == "copy":
        shutil.copy(raw, covered)
    else:
        covered.symlink_to(raw)
    client = TestClient(create_app(study, sessions, 8765), base_url=BASE)
    client.get(f"/?token={sessions.new_link('rater')}")
    for path in (f"/film/{HELD[0]}", f"/frame/{HELD[0]}/0.jpg", f"/clear/{HELD[0]}", f"/api/film/{HELD[0]}"):
        assert client.get(path).status_code == 403, path


def test_a_name_of_another_form_is_a_sentence(opened: TestClient) -> None:
    answer = opened.get("/film/someone")
    assert answer.status_code == 400
    assert "is not of the form PATIENT-SESSION_VIEW_START-END" in answer.json()["error"]


def test_a_used_port_is_a_sentence() -> None:
    with bind(0) as listener:
        assert listener.getsockname()[0] == HOST == "127.0.0.1"
        with pytest.raises(StepError, match=r"cannot be opened .another program uses it"):
            bind(listener.getsockname()[1])
    with pytest.raises(StepError, match="there is no role 'admin'"):
        check_roles(["admin"])
