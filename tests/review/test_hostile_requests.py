"""Whatever an opened browser sends, the answer is a page, a refusal or a sentence, and no table changes by accident."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from childgait.review.study import Study
from support.review_study import COVERED, HELD

BASE = "http://127.0.0.1:8765"
PATHS = (
    *("/", "/agreement", "/leave", "/clear/{}", "/choose/{}", "/correct/{}", "/rate/{}", "/reread/{}", "/arbitrate/{}"),
    *(
        "/film/{}",
        "/api/film/{}",
        "/api/preview/{}",
        "/sheet/{}.jpg",
        "/frame/{}/0.jpg",
        "/frame/{}/99999999999999999999.jpg",
        "/rate/{}?session=x",
    ),
)
NAMES = (
    *(HELD[0], COVERED[0], "0001", "0002", "9999", "", "²", "%00", "%2e%2e%2fparams.yaml", "..%5c..%5cx", "%E2%80%AE"),
    *("0001-0001_left_1-" + "9" * 5000, "9" * 300, "%ff", "$(id)", "{x}", "0001-0001_left_1-24.mp4", "0001%0a"),
)
EDIT = [{"frame": 1, "joint": "nose", "x": 1, "y": 1}]
BODIES: dict[str, dict[str, object]] = {
    "/api/name": {"name": "AB"},
    "/api/undo": {"table": "regions", "video": HELD[0], "reviewer": "AB", "time": "x", "version": "x"},
    "/api/accept": {
        "video": HELD[0],
        "heads_covered": True,
        "child_visible": True,
        "reason": "r",
        "version": "x",
        "sha256": "x",
    },
    "/api/hold": {"video": HELD[0], "reason": "r", "version": "x"},
    "/api/covers": {
        "video": HELD[0],
        "rows": [{"region": "a", "frame": 1, "box": [1, 1, 2, 2], "action": "cover"}],
        "reason": "r",
        "version": "x",
    },
    "/api/choose": {"video": COVERED[0], "frame": 1, "box": [1, 1], "reason": "r", "version": "x"},
    "/api/correct/preview": {"video": COVERED[0], "edits": EDIT},
    "/api/correct": {"video": COVERED[0], "edits": EDIT, "reason": "r", "version": "x"},
    "/api/rate": {
        "child": "0002",
        "session": "0001",
        "limb": "left",
        "number": 1,
        "score": 0,
        "before": "",
        "arbiter": True,
    },
}
VALUES = (
    *("null", "true", "-1", "1e308", "NaN", "Infinity", "1" + "0" * 400, "[]", "{}", '""', '"\\ud800"', '"\\u0000"'),
    *('"=1+1"', '"../../x"', '"' + "x" * 20_000 + '"', "[" * 500 + "]" * 500, '"a\\nb"', "[1e308, 1e308]", '"²"'),
)


@pytest.mark.parametrize("path", PATHS)
def test_pages(browser: Callable[..., Any], path: str) -> None:
    client = browser(role="coordinator").client
    for name in NAMES:
        answer = client.get(path.format(name), follow_redirects=False)
        assert answer.status_code < 500, (path, name[:30])


def bodies_with_gap(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the body with one of its values, or one of its first row's, replaced by `@`."""
    for key, value in body.items():
        yield body | {key: "@"}
        if isinstance(value, list) and isinstance(value[0], dict):
            yield from (body | {key: [value[0] | {name: "@"}]} for name in value[0])


@pytest.mark.parametrize("path", BODIES)
def test_bodies(browser: Callable[..., Any], study: Study, path: str) -> None:
    """Replace each value of a valid body; the versions are wrong, so that no row may be written."""
    chance = random.Random(path)
    client = browser(role="coordinator").client
    before = {table: table.read_bytes() for table in study.annotations.glob("*.csv")}
    headers = {"origin": BASE, "content-type": "application/json"}
    for body in bodies_with_gap(BODIES[path]):
        for value in chance.sample(VALUES, 8):
            text = json.dumps(body).replace('"@"', value)
            answer = client.post(path, content=text.encode(), headers=headers)
            assert answer.status_code < 500, text[:200]
    for content in (b"", b"[", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"null"):
        assert client.post(path, content=content, headers=headers).status_code < 500
    assert {table: table.read_bytes() for table in study.annotations.glob("*.csv")} == before


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://["},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:99999999"},
        {"host": "["},
        {"host": "127.0.0.1:x"},
        {"host": "127.0.0.1:²"},
        {"cookie": "childgait_review_8765"},
        {"cookie": "a=\\"},
        {"accept": "text/html", "sec-fetch-site": "cross-site"},
    ],
)
def test_headers(browser: Callable[..., Any], headers: dict[str, str]) -> None:
    client = browser().client
    client.cookies.clear()
    encoded = {name.encode(): value.encode() for name, value in headers.items()}
    for method in ("GET", "POST"):
        assert client.request(method, "/api/name", headers=encoded).status_code in (403, 421)
