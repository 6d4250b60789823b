"""The child's mask by the embedded model: which network's result is taken, and the covered head. No network runs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from childgait.domain.skeleton import POINTS
from childgait.files.video import write_video
from childgait.vision.blazepose import BlazePose, Look, Square
from childgait.vision.capsules import head_of
from childgait.vision.drawn_heads import find_head, include_head
from childgait.vision.segment_blazepose import _look, _masks

PICTURE = np.zeros((256, 256, 3), np.uint8)
BOX = np.array([100.0, 40, 160, 240])


def make_look(presence: float, x: float = 130) -> Look:
    points = np.full((len(POINTS), 3), 0.9, np.float32)
    points[:, 0] = np.linspace(x - 30, x + 29, len(POINTS))
    points[:, 1] = np.linspace(55, 239, len(POINTS))
    return Look(points, points[:, 0], presence, Square(0, 0, 256), np.zeros((256, 256), np.float32))


class Network:
    def __init__(self, look: Look | None) -> None:
        self.look, self.calls = look, 0

    def look_at_boxes(self, frame: np.ndarray, boxes: np.ndarray) -> list[Look | None]:
        self.calls += 1
        return [self.look] * np.atleast_2d(boxes).shape[0]


def squeezed(presence: float) -> Look:
    look = make_look(presence)
    look.points[:, 1] = np.linspace(120, 239, len(POINTS))
    return look


@pytest.mark.parametrize(
    ("quick", "exact", "taken", "sure"),
    [
        (make_look(0.95), make_look(1.0), "quick", True),
        (make_look(0.6), make_look(1.0), "exact", True),
        (squeezed(1.0), make_look(1.0), "exact", True),
        (make_look(0.3), make_look(1.0), "exact", True),  # nobody, for the quick one
        (make_look(1.0, x=30), make_look(1.0), "exact", True),  # somebody else was more prominent
        (make_look(0.6), make_look(1.0, x=30), "quick", True),  # the exact one sees somebody else
        (make_look(0.6), make_look(0.7), "quick", True),  # neither is certain
        (make_look(1.0, x=30), make_look(0.4), "quick", False),
    ],
)
def test_the_exact_network_runs_where_the_quick_one_is_not_certain(
    quick: Look, exact: Look, taken: str, sure: bool
) -> None:
    networks = Network(quick), Network(exact)
    look, at_place = _look(PICTURE, BOX, None, [], cast("tuple[BlazePose, BlazePose]", networks))
    assert look is {"quick": quick, "exact": exact}[taken]
    assert at_place is sure
    assert networks[1].calls == (0 if quick.presence == 0.95 else 1)


def test_a_second_fit_of_the_child_does_not_keep_the_exact_network_away() -> None:
    """Where the quick network misses the head, what is left of the child may be taken for somebody else."""
    quick, exact = squeezed(1.0), make_look(1.0)
    networks = cast("tuple[BlazePose, BlazePose]", (Network(quick), Network(exact)))
    assert _look(PICTURE, BOX, None, [BOX + [0, -5, 0, -140]], networks) == (exact, True)


def test_a_skeleton_that_fits_somebody_elses_box_better_is_not_the_childs() -> None:
    quick, exact = make_look(0.6), make_look(1.0, x=142)
    networks = cast("tuple[BlazePose, BlazePose]", (Network(quick), Network(exact)))
    assert _look(PICTURE, BOX, None, [], networks) == (exact, True)
    assert _look(PICTURE, BOX, None, [exact.box()], networks) == (quick, True)


def test_the_head_under_the_cover_is_the_childs(tmp_path: Path) -> None:
    """In the first frame no cover lies on the head; in the second one does, and one lies on somebody else's."""
    video = tmp_path / "v.mp4"
    write_video(video, [PICTURE + 120] * 2, [Fraction(n, 30) for n in range(2)])
    look = make_look(1.0)
    x, y = head_of(look.points[:, :2]).astype(np.float64)
    covers = {1: np.array([[x - 25, y - 30, x + 25, y + 30], [200, 20, 250, 80]])}
    film: Any = SimpleNamespace(path=video, size=(256, 256), scale=1.0, samples=SimpleNamespace(step=1))
    child: Any = SimpleNamespace(box_at=lambda frame, reach: BOX)
    networks = cast("tuple[BlazePose, BlazePose]", (Network(look), Network(None)))
    doubtful: set[int] = set()
    before, after = _masks(film, child, [], networks, covers, doubtful)
    assert not before.any()
    head = find_head(covers[1], np.array([x, y]), (256, 256))
    assert head.any()
    assert np.array_equal(after, head)
    assert not doubtful


def test_the_square_of_a_person_contains_the_covered_head(tmp_path: Path) -> None:
    """Else a skeleton that took the shoulders for the head squeezes the next one."""
    video = tmp_path / "v.mp4"
    write_video(video, [PICTURE + 120], [Fraction(0)])
    squares: list[np.ndarray] = []

    class Watched(Network):
        def look_at_boxes(self, frame: np.ndarray, boxes: np.ndarray) -> list[Look | None]:
            squares.append(np.atleast_2d(boxes)[0])
            return super().look_at_boxes(frame, boxes)

    covers = {0: np.array([[105.0, 10, 155, 70]])}
    film: Any = SimpleNamespace(path=video, size=(256, 256), scale=1.0, samples=SimpleNamespace(step=1))
    child: Any = SimpleNamespace(box_at=lambda frame, reach: BOX + [0, 10, 0, 0])
    networks = cast("tuple[BlazePose, BlazePose]", (Watched(make_look(1.0)), Network(None)))
    list(_masks(film, child, [], networks, covers, set()))
    assert squares[0].tolist() == include_head(BOX + [0, 10, 0, 0], covers[0]).tolist()
    assert squares[0][1] < 30
