"""The review app in a real browser, by keyboard and mouse; the files are checked afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from childgait.domain.skeleton import INDEX
from childgait.files.corrections import read_corrections, read_side_corrections
from childgait.files.labels import read_sheets
from childgait.files.regions import cleared_by, read_cover_changes, read_regions
from childgait.files.selections import read_selections
from childgait.review.access import Sessions
from childgait.review.app import create_app
from childgait.review.decisions import Decisions
from childgait.review.study import Study
from support.chromium import CHROMIUM, Page, chromium, served
from support.review_study import COUNT, COVERED, HEIGHT, HELD, WIDTH

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]
FIRST, SECOND = sorted(HELD)
KNEE = INDEX["left_knee"]
SETTLED = (  # every video is loaded and, on the page of joints, the skeleton refined and its curves offered
    "[...document.querySelectorAll('[data-at=load]')].every(one => one.textContent === '')"
    " && !(document.querySelector('#state')?.textContent ?? '').endsWith('refined …')"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests."""
    with chromium(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture
def address(study: Study) -> Iterator[str]:
    sessions = Sessions()
    app = create_app(study, sessions, 1)
    with served(app) as base:
        yield f"{base}/?token={sessions.new_link('rater')}"
    app.state.review.previews.close()


def enter(page: Page, address: str, path: str, name: str = "AB") -> None:
    """Use the link, give a name, and open a page."""
    page.go(address)
    page.wait("document.readyState === 'complete' && !!document.querySelector('#name')")
    page.click("#name")
    page.type(name)
    page.key("Enter")
    page.wait("document.title.startsWith('Queue')")
    page.go(address.split("/?")[0] + path)


def wait_for_video(page: Page) -> None:
    """Wait until the video is loaded and a frame of it is on the screen: without one, keys that mark do nothing."""
    page.wait("document.querySelector('[data-at=time]').textContent.includes(',')")  # it has a time: frame 0, 0.000 s
    page.wait("document.querySelector('[data-at=load]').textContent === ''")


def test_two_held_videos_are_cleared_with_three_keys_each(study: Study, page: Page, address: str) -> None:
    enter(page, address, f"/clear/{FIRST}")
    for video in (FIRST, SECOND):
        page.wait(f"document.title.startsWith('Clear {video}')")
        wait_for_video(page)
        for key in ("1", "2", "Enter"):
            page.key(key)
    page.wait("document.title.startsWith('Queue')")
    table = study.annotations / "cleared.csv"
    for video in (FIRST, SECOND):
        assert cleared_by(table, video, study.evidence(video)["decoded_sha256"]), video


def test_covers_are_drawn_with_the_mouse_and_ended_by_a_key(study: Study, page: Page, address: str) -> None:
    enter(page, address, f"/clear/{FIRST}")
    wait_for_video(page)
    page.key("d")
    page.key("Home")  # the video plays from the start as the page opens
    page.wait("document.querySelector('[data-at=time]').textContent.startsWith('frame 0,')")
    page.drag(page.on_canvas(80, 20), page.on_canvas(100, 40))
    page.key("End")
    page.wait(f"document.querySelector('[data-at=time]').textContent.startsWith('frame {COUNT - 1}')")
    page.drag(page.on_canvas(90, 22), page.on_canvas(110, 42))
    page.key("s")
    page.wait("document.body.innerText.includes('a head is not covered')")
    table = study.annotations / "regions.csv"
    found = {region.frame: region.box for region in read_regions(table, FIRST, COUNT)}
    assert sorted(frame for frame in found if frame is not None) == [0, COUNT - 1]
    assert found[0] == pytest.approx((80, 20, 100, 40), abs=1)
    assert found[COUNT - 1] == pytest.approx((90, 22, 110, 42), abs=1)
    wait_for_video(page)
    page.key("Home")
    page.wait("document.querySelector('[data-at=time]').textContent.startsWith('frame 0,')")
    for n in range(3):
        page.key("ArrowRight")
        page.wait(f"document.querySelector('[data-at=time]').textContent.startsWith('frame {n + 1},')")
    page.drag(page.on_canvas(35, 25))
    page.key("e")
    page.wait("document.body.innerText.includes('nobody is under the cover from here on')")
    (change,) = read_cover_changes(table, FIRST, COUNT)
    assert (change.action, change.frame, change.reviewer) == ("end", 3, "AB")
    wait_for_video(page)
    page.click("[data-undo]")
    page.wait("document.querySelectorAll('[data-undo]').length === 1")
    assert read_cover_changes(table, FIRST, COUNT) == []


def test_a_second_window_shows_the_sentence_and_writes_nothing(study: Study, page: Page, address: str) -> None:
    enter(page, address, f"/clear/{FIRST}")
    wait_for_video(page)
    decisions = Decisions(study.annotations)
    decisions.add("cleared", FIRST, [{"sha256": ""}], "CD", "look again", decisions.version("cleared", FIRST), str)
    for key in ("1", "2", "Enter"):
        page.key(key)
    page.wait("!document.querySelector('#message').hidden")
    assert "was changed for" in page.text()
    assert len(decisions.rows("cleared")) == 1


def test_the_child_is_chosen_by_a_click(study: Study, page: Page, address: str) -> None:
    video = COVERED[0]
    enter(page, address, f"/choose/{video}")
    wait_for_video(page)
    for n in range(2):
        page.key("ArrowRight")
        page.wait(f"document.querySelector('[data-at=time]').textContent.startsWith('frame {n + 1},')")
    page.drag(page.on_canvas(36, 50))
    page.key("Enter")
    page.wait("document.body.innerText.includes('the child, by sight')")
    (row,) = read_selections(study.annotations / "selections.csv", video, COUNT, (HEIGHT, WIDTH))
    assert row.frame == 2
    assert row.is_point
    assert row.box[:2] == pytest.approx((36, 50), abs=1)


def test_joints_are_corrected_by_mouse_and_keys(study: Study, page: Page, address: str) -> None:
    video = COVERED[0]
    enter(page, address, f"/correct/{video}")
    wait_for_video(page)
    page.wait("document.querySelector('[data-at=time]').textContent.startsWith('frame 0,')")
    page.wait("document.querySelector('#state').textContent === 'Nothing is changed.'")  # the skeleton is refined
    at = page.run(f"review.place(0, {KNEE})")
    page.drag(page.on_canvas(*at), page.on_canvas(at[0] + 10, at[1] + 5))
    page.wait("document.querySelector('#state').textContent === 'Not saved: 1 moved.'")
    page.key("d")  # one pixel to the right: the same correction
    page.wait(f"document.querySelector('#values').textContent.includes('{at[0] + 11:.0f}.')")
    for n in range(3):
        page.key("ArrowRight")
        page.wait(f"document.querySelector('[data-at=time]').textContent.startsWith('frame {n + 1},')")
    page.key("u")
    page.wait("document.querySelector('#state').textContent === 'Not saved: 1 moved, 1 unseen.'")
    page.key("b")
    for n in range(3, 6):
        page.key("ArrowRight")
        page.wait(f"document.querySelector('[data-at=time]').textContent.startsWith('frame {n + 1},')")
    page.key("x")
    page.wait("document.querySelector('#state').textContent.endsWith('1 ranges exchanged.')")
    page.key("Enter")
    page.wait("document.body.innerText.includes('3 rows: the joint, by sight')")
    moved, unseen = read_corrections(study.annotations / "corrections.csv", video, COUNT)
    assert (moved.frame, moved.point) == (0, KNEE)
    assert (moved.x, moved.y) == pytest.approx((at[0] + 11, at[1] + 5), abs=1)
    assert (unseen.frame, unseen.point, unseen.seen) == (3, KNEE, False)
    (sides,) = read_side_corrections(study.annotations / "corrections.csv", video, COUNT)
    assert (sides.limbs, sides.first, sides.last, sides.exchanged) == ("legs", 3, 6, True)


def test_unsaved_corrections_survive_a_second_window(study: Study, page: Page, address: str) -> None:
    video = COVERED[0]
    enter(page, address, f"/correct/{video}")
    wait_for_video(page)
    page.wait("document.querySelector('#state').textContent === 'Nothing is changed.'")  # the skeleton is refined
    page.key("u")
    page.wait("document.querySelector('#state').textContent === 'Not saved: 1 unseen.'")
    decisions = Decisions(study.annotations)
    row = {"frame": 3, "joint": "nose", "x": 9, "y": 9}
    decisions.add("corrections", video, [row], "CD", "mine", decisions.version("corrections", video), str)
    page.key("Enter")
    page.wait("!document.querySelector('#message').hidden")
    assert "was changed for" in page.text()
    assert "Not saved: 1 unseen." in page.text()
    assert "knee" in page.run("[...document.querySelector('#curve').options].map(one => one.value)")
    page.wait("document.querySelector('#message').textContent.includes('save again')")
    assert len(decisions.rows("corrections")) == 1
    page.key("Enter")
    page.wait("document.body.innerText.includes('the joint, by sight')")
    assert [row["reviewer"] for row in decisions.rows("corrections")] == ["CD", "AB"]


def test_a_child_is_rated_by_keys_and_resumed(study: Study, page: Page, address: str) -> None:
    enter(page, address, "/rate/0002")
    page.wait("document.querySelector('#item').textContent === '1 initial contact: left leg'")
    for key in ("2", "n", "1", "0", "Backspace"):
        page.key(key)
    page.key("ArrowUp")
    page.key("0")  # corrects the answer before
    page.wait("document.querySelector('#count').textContent === '4 of 34 answered, saved'")
    page.go(address.split("/?")[0] + "/rate/0002")
    page.wait("document.querySelector('#item').textContent === '7 maximum ankle dorsiflexion in swing: left leg'")
    (sheet,) = read_sheets(study.labels, highest=2)
    given = {code: score for code, score in sheet.scores["left"].items() if score is not None}
    assert (sheet.rater, given) == ("AB", {"IC": 2, "SAD": 1, "FCL": 0})
    page.wait("[...document.querySelectorAll('[data-at=load]')].every(one => one.textContent === '')")
    page.key("ArrowRight")
    shown = "[...document.querySelectorAll('[data-at=time]')].every(one => one.textContent.startsWith('frame 1,'))"
    page.wait(shown)  # both videos show the same moment
    page.key("g")
    for x, y in ((60, 20), (60, 60), (100, 60)):
        page.drag(page.on_canvas(x, y, "#side canvas"))
    assert "Angle 90°" in page.text()


def test_every_control_has_a_name_and_text_is_readable(study: Study, page: Page, address: str) -> None:
    enter(page, address, "/")
    for path in ("/", f"/clear/{FIRST}", f"/choose/{COVERED[0]}", f"/correct/{COVERED[0]}", "/rate/0002", "/none"):
        page.go(address.split("/?")[0] + path)
        page.wait(SETTLED)
        page.run("new Promise(done => setTimeout(done, 300))")  # scripts of the page have added its controls
        assert page.run(ACCESSIBILITY) == [], path
        assert tab_stops(page) == page.run(FOCUSABLE), path


def tab_stops(page: Page) -> list[str]:
    """Press Tab through the page: which element has the focus after each."""
    page.run("document.activeElement.blur()")
    stops: list[str] = []
    while len(stops) < 200:
        page.key("Tab")
        stop = page.run(f"document.activeElement === document.body ? '' : {TAG_OF}(document.activeElement)")
        if not stop or (stops and stop == stops[0]):
            break
        stops.append(stop)
    return stops


# The opening tag alone: what a button says changes while a video plays.
TAG_OF = "(one => one.cloneNode(false).outerHTML)"

# Everything that can be used, in the order of the page: Tab must reach it in this order.
FOCUSABLE = f"""[...document.querySelectorAll(
    "a[href], button:enabled, input:enabled, select:enabled, summary, [tabindex='0']")]
  .filter(one => one.checkVisibility()).map({TAG_OF})"""


# Finds controls without a name, text of less than 4.5:1 contrast, images without a text, positive tabindexes, skipped
# heading levels and ids that occur twice: the serious rules of WCAG that a script can check.
ACCESSIBILITY = (Path(__file__).parent / "accessibility.js").read_text()
