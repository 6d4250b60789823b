"""Covers: few cells, one texture, fixed to the box, nothing changed outside; and an attack on them."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.files.video import Colour, from_rgb, to_rgb
from childgait.vision import mosaic
from support.attack import attack, framewise_mosaic
from support.portrait_scene import Scene

CELLS = 6


def covers_of(scene: Scene, seed: int = 1) -> tuple[list[mosaic.Cover], list[mosaic.Planes]]:
    """Return covers slightly larger than the true head of a scene, and the raw planes."""
    planes = [from_rgb(picture) for picture in scene.filmed()]
    boxes = {}
    for frame in range(scene.frames):
        x0, y0, x1, y1 = scene.head(frame)
        low = np.floor(np.array([x0 - 3, y0 - 3]) / 2) * 2
        boxes[frame] = np.concatenate([low, low + np.ceil((np.array([x1 - x0, y1 - y0]) + 8) / 2) * 2]).astype(np.int64)
    samples = [mosaic.sample(frame, planes[frame]) for frame in range(0, scene.frames, 4)]
    return [mosaic.Cover(mosaic.texture(boxes, samples, CELLS, [seed, 0, 0]), boxes)], planes


def test_a_cover_shows_few_quantised_cells_the_same_in_every_frame() -> None:
    scene = Scene(frames=12, zoom=1.5)
    covers, planes = covers_of(scene)
    rows, columns = covers[0].texture.shape[:2]
    assert min(rows, columns) <= CELLS
    assert len(np.unique(covers[0].texture.reshape(-1, 3), axis=0)) <= rows * columns
    assert set(np.unique(covers[0].texture % mosaic.LEVELS)) == {mosaic.LEVELS // 2}
    for frame in range(12):
        mosaic.draw(planes[frame], frame, covers)
        x0, y0, x1, y1 = covers[0].boxes[frame]
        inside = planes[frame].y[y0:y1, x0:x1]
        down = (np.arange(rows) * 2 + 1) * (y1 - y0) // (2 * rows)
        across = (np.arange(columns) * 2 + 1) * (x1 - x0) // (2 * columns)
        np.testing.assert_array_equal(inside[down[:, None], across], covers[0].texture[..., 0])
        assert len(np.unique(inside)) <= rows * columns


def test_nothing_outside_the_box_is_touched_and_boxes_may_leave_the_picture() -> None:
    rng = np.random.default_rng(0)
    planes = from_rgb(rng.integers(0, 255, (60, 80, 3)).astype(np.uint8))
    before = planes.copy()
    texture = np.full((2, 2, 3), 77, np.uint8)
    boxes = np.array([[-10, -20, 20, 30], [60, 40, 100, 90]])
    covers = [mosaic.Cover(texture, {0: box}) for box in boxes]
    mosaic.draw(planes, 0, covers)
    mask = mosaic.covered_mask(0, covers, 80, 60)
    assert mask.sum() == 20 * 30 + 20 * 20
    assert (planes.y[mask] == 77).all()
    np.testing.assert_array_equal(planes.y[~mask], before.y[~mask])
    np.testing.assert_array_equal(planes.u[~mask[::2, ::2]], before.u[~mask[::2, ::2]])
    assert (planes.u[mask[::2, ::2]] == 77).all()


def test_one_uncovered_pixel_is_noticed() -> None:
    scene = Scene(frames=4)
    covers, planes = covers_of(scene)
    mosaic.draw(planes[2], 2, covers)
    assert mosaic.is_covered(planes[2], 2, covers, 0)
    x0, y0 = covers[0].boxes[2][:2]
    planes[2].y[y0 + 3, x0 + 3] += 1
    assert not mosaic.is_covered(planes[2], 2, covers, 0)
    assert mosaic.is_covered(planes[2], 2, covers, 6)  # what a lossy copy may do
    assert not mosaic.is_covered(planes[3], 3, covers, 6)  # a frame that was not covered


def test_solid_says_nothing() -> None:
    planes = from_rgb(next(iter(Scene(frames=2).filmed())))
    mosaic.draw(planes, 0, [mosaic.Cover(mosaic.solid(), {0: np.array([100, 50, 200, 150])})])
    assert len(np.unique(planes.y[50:150, 100:200])) == 1


def test_the_face_does_not_come_back_where_it_does_from_a_mosaic_drawn_anew_for_every_frame() -> None:
    scene = Scene(frames=60, size=(270, 480), head_pixels=110, zoom=1.6, walk=0.2, rate=60)
    matrices = [scene.matrix(frame) for frame in range(scene.frames)]
    raw = list(scene.filmed())
    naive = attack([framewise_mosaic(p, scene.head(f), cells=16) for f, p in enumerate(raw)], matrices)
    assert max(naive["average"], naive["deconvolved"]) > 0.9
    covers, planes = covers_of(scene)
    for frame, picture in enumerate(planes):
        mosaic.draw(picture, frame, covers)
    ours = attack([to_rgb(picture, Colour()) for picture in planes], matrices)
    assert max(ours.values()) < 0.2, ours


@pytest.mark.parametrize("seed", range(5))
def test_the_cells_are_dealt_out_anew(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ramp = np.repeat(np.linspace(40, 220, 42).reshape(7, 6)[..., None], 3, axis=2)
    cells = (ramp + rng.normal(0, 5, ramp.shape)).astype(np.uint8)
    permuted = mosaic._permute(cells, [seed])
    assert sorted(permuted.reshape(-1, 3).tolist()) == sorted(cells.reshape(-1, 3).tolist())
    assert abs(np.corrcoef(permuted[..., 0].ravel(), cells[..., 0].ravel())[0, 1]) < 0.2
