"""Windows of synthetic walks: picture, mask, keypoints and targets must agree, whoever loads them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from childgait.domain import evgs, skeleton
from childgait.domain.evgs import VIEWS
from childgait.domain.skeleton import INDEX
from childgait.models.tokens import Packing
from childgait.params import Drawing
from childgait.synthetic.motion import CURVES
from childgait.training import walk_windows
from childgait.training.augmentation import Augmentation
from childgait.training.walk_windows import (
    WalkTargets,
    WalkWindows,
    collate_walks,
    draw_strip,
    target_scale,
)
from childgait.training.windows import Loading, make_loader
from support.walk_stream import COHORT_ERRORS, stream_settings

SEED = 990001
T = 16
STYLE = Drawing(
    line_pixels=2, dot_pixels=2, min_score=0.3, left=(255, 64, 64), right=(64, 128, 255), middle=(64, 255, 64)
)
PACKED = Loading(T, frozenset({"frames"}), STYLE, Packing(2, 16, "mask", 0.1, 2, 8))
PLAIN = Loading(T, frozenset({"frames"}))
POINTS = Loading(T, frozenset({"points"}))
ALL = Loading(T, frozenset({"frames", "masks", "points"}))


def augment(flip: float, scale: float, shift: float, colour: float, time: float) -> Augmentation:
    return Augmentation(flip=flip, scale=scale, shift=shift, colour=colour, time=time)


STRONG = augment(0.5, 0.15, 0.05, 0.2, 0.1)
ERRORS = stream_settings(bystander=0.4, **COHORT_ERRORS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outlines")


def windows_of(loading: Loading, folder: Path, children: int = 3, settings=ERRORS, **options) -> WalkWindows:
    return WalkWindows(range(children), SEED, settings, loading, cache=folder, **options)


def equal(one: object, other: object) -> bool:
    """Whether two samples or two targets are the same, field by field."""
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
    return all(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f") for a, b in pairs if a is not None)


@pytest.mark.parametrize("loading", [PACKED, PLAIN, POINTS, ALL], ids=["packed", "plain", "points", "all"])
@pytest.mark.parametrize("place", range(4), ids=VIEWS)
def test_every_loading_gets_what_it_reads(folder: Path, loading: Loading, place: int) -> None:
    windows = windows_of(loading, folder, augmentation=STRONG)
    assert len(windows) == 12
    sample, targets = windows[2, 4 + place]
    assert sample.row == 1
    assert sample.features is None
    assert np.isnan(sample.labels).all()
    packed = loading.packing is not None
    assert (sample.patches is not None) == packed
    for part, shape in (("frames", (T, 64, 64, 3)), ("masks", (T, 64, 64)), ("points", (T, 23, 3))):
        value = getattr(sample, part)
        assert (value is not None) == (part in loading.inputs and not packed)
        if value is not None:
            assert value.shape == shape
            assert np.isfinite(value).all()
    if packed:
        assert sample.patches.shape == (len(sample.index), 2 * 16 * 16 * 3)
        assert 8 <= len(sample.index) < 8 * 16  # pruned
    n = T // 2
    shapes = {f.name: getattr(targets, f.name).shape for f in fields(targets)}
    assert shapes == {
        "curves": (n, 28), "phases": (n, 4), "points": (n, 23, 2), "measures": (34,), "visible": (34,)
    }  # fmt: skip
    assert all(getattr(targets, f.name).dtype == np.float32 for f in fields(targets) if f.name != "visible")
    assert targets.visible.dtype == bool


@pytest.mark.parametrize("place", range(4), ids=VIEWS)
def test_a_flip_mirrors_everything_together(folder: Path, place: int) -> None:
    never, always = (augment(flip, 0.0, 0.0, 0.0, 0.1) for flip in (0.0, 1.0))
    for epoch in range(3):
        (plain, known), (flipped, mirrored) = (
            windows_of(ALL, folder, augmentation=how)[epoch, place] for how in (never, always)
        )
        assert (flipped.frames == plain.frames[:, :, ::-1]).all()
        assert (flipped.masks == plain.masks[:, :, ::-1]).all()
        swapped = plain.points[:, skeleton.MIRRORED]
        seen = swapped[..., 2] > 0
        assert (flipped.points[..., 2] == swapped[..., 2]).all()
        assert flipped.points[seen][:, 0] == pytest.approx(63 - swapped[seen][:, 0], abs=1e-3)
        assert (flipped.points[seen][:, 1] == swapped[seen][:, 1]).all()
        points = known.points[:, skeleton.MIRRORED]
        assert mirrored.points[..., 0] == pytest.approx(1 - points[..., 0], abs=1e-5)
        assert mirrored.points[..., 1] == pytest.approx(points[..., 1], abs=1e-5)
        assert (mirrored.curves == np.concatenate([known.curves[:, 14:], known.curves[:, :14]], axis=1)).all()
        assert mirrored.phases == pytest.approx(known.phases[:, [2, 3, 0, 1]], abs=1e-5)
        assert (mirrored.measures == known.measures[list(evgs.MIRRORED)]).all()
        assert (mirrored.visible == known.visible[list(evgs.MIRRORED)]).all()
        assert not (mirrored.measures == known.measures).all()


def knee_angle(points: np.ndarray, limb: str, direction: float) -> np.ndarray:
    """Knee flexion in the picture, degrees; `direction` is +1 where the child walks to the picture's right."""
    hip, knee, ankle = (points[:, INDEX[f"{limb}_{name}"]] for name in ("hip", "knee", "ankle"))

    def lean(along: np.ndarray) -> np.ndarray:
        return np.degrees(np.arctan2(direction * along[:, 0], along[:, 1]))

    return lean(knee - hip) - lean(ankle - knee)


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("view", ["left", "right"])
def test_curves_belong_to_the_limb_that_the_points_name(folder: Path, view: str, flip: float) -> None:
    windows = windows_of(POINTS, folder, 6, augmentation=augment(flip, 0.15, 0.05, 0.2, 0.1))
    shown, description = {"left": [], "right": []}, {"left": [], "right": []}
    direction = (-1 if view == "left" else 1) * (-1 if flip else 1)
    for child in range(6):
        _, targets = windows[0, 4 * child + VIEWS.index(view)]
        for number, limb in enumerate(("left", "right")):
            shown[limb].append(knee_angle(targets.points, limb, direction))
            description[limb].append(targets.curves[:, 14 * number + CURVES.index("knee")])
    for limb, other in (("left", "right"), ("right", "left")):
        angle = np.concatenate(shown[limb])
        right, wrong = (np.abs(angle - np.concatenate(description[side])).mean() for side in (limb, other))
        assert right < 9
        assert wrong > 1.5 * right


def test_drawn_points_are_the_targets_but_for_errors(folder: Path) -> None:
    windows = windows_of(POINTS, folder, augmentation=STRONG)
    for index in range(12):
        sample, targets = windows[1, index]
        known = (sample.points[..., 2] > 0).reshape(8, 2, 23).all(axis=1)
        mean = sample.points[..., :2].reshape(8, 2, 23, 2).mean(axis=1)
        away = np.linalg.norm((mean + 0.5) / 64 - targets.points, axis=2)[known]
        assert np.median(away) < 0.01
        assert np.percentile(away, 95) < 0.05


def test_phases_go_round_with_the_stride(folder: Path) -> None:
    _, targets = windows_of(POINTS, folder)[0, 0]
    left, right = (
        np.arctan2(targets.phases[:, 1], targets.phases[:, 0]),
        np.arctan2(targets.phases[:, 3], targets.phases[:, 2]),
    )
    assert targets.phases[:, 0] ** 2 + targets.phases[:, 1] ** 2 == pytest.approx(1, abs=1e-5)
    steps = np.diff(np.unwrap(left)) / (2 * np.pi)  # of two frames at 15 per second
    assert np.ptp(steps) < 1e-3
    assert 0.5 < 2 / 15 / steps[0] < 2.0  # seconds per stride
    lag = ((left - right) / (2 * np.pi)) % 1
    assert lag == pytest.approx(lag[0], abs=1e-3)
    assert lag[0] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("loading", [PACKED, POINTS], ids=["packed", "points"])
def test_a_visit_is_the_same_twice_and_another_differs(folder: Path, loading: Loading) -> None:
    first, again = (windows_of(loading, folder, augmentation=STRONG) for _ in range(2))
    again[7, 3]  # other visits before it
    for index in (0, 5):
        (sample, targets), (same, same_targets) = first[1, index], again[1, index]
        assert equal(sample, same)
        assert equal(targets, same_targets)
        other, other_targets = first[2, index]
        assert not equal(targets, other_targets)
        assert loading is POINTS or len(other.index) != len(sample.index) or not equal(sample, other)


def batches(folder: Path, workers: int) -> list[bytes]:
    windows = windows_of(PACKED, folder, 2, augmentation=STRONG)
    loader, visits = make_loader(
        windows, batch_size=3, workers=workers, shuffle=True, drop_last=True, collate_fn=collate_walks
    )
    visits.epoch = 4
    result = []
    for batch, targets in loader:
        parts = [batch.packed.patches, batch.packed.index, batch.rows, batch.windows]
        parts += [getattr(targets, f.name) for f in fields(targets)]
        result.append(b"".join(part.numpy().tobytes() for part in parts))
    return result


def test_batches_do_not_depend_on_the_number_of_workers(folder: Path, tmp_path: Path) -> None:
    alone = batches(folder, 0)
    assert len(alone) == 2
    assert batches(folder, 1) == alone
    assert batches(tmp_path, 2) == alone  # the workers make the outlines, too


def test_outlines_are_kept_and_the_same_from_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = WalkWindows(range(2), SEED, ERRORS, ALL, augmentation=STRONG)
    stored = WalkWindows(range(2), SEED, ERRORS, ALL, augmentation=STRONG, cache=tmp_path)
    visits = [(0, index) for index in range(8)]
    first = [in_memory[visit] for visit in visits]
    for _ in range(2):
        for visit, (sample, targets) in zip(visits, first, strict=True):
            assert equal(stored[visit][0], sample)
            assert equal(stored[visit][1], targets)
    assert len(list(tmp_path.iterdir())) == 2
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3e6

    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(walk_windows, "outline_child", refuse)
    assert equal(in_memory[1, 3][1], stored[1, 3][1])
    fresh = WalkWindows(range(2), SEED, ERRORS, ALL, cache=tmp_path)
    fresh[1, 3]
    of_window = replace(ERRORS, pixels=48, frame_step=1, mask_error=0.0)  # these change no walk
    WalkWindows(range(2), SEED, of_window, ALL, cache=tmp_path)[0, 0]
    with pytest.raises(AssertionError, match="made again"):
        WalkWindows(range(2), SEED + 1, ERRORS, ALL, cache=tmp_path)[0, 0]
    with pytest.raises(AssertionError, match="made again"):
        WalkWindows(range(2), SEED, stream_settings(), ALL, cache=tmp_path)[0, 0]


def test_validation_windows_are_fixed_and_spread(folder: Path) -> None:
    windows = windows_of(PACKED, folder, 2, windows=3)
    assert len(windows) == 2 * 4 * 3
    for index in (0, 4, 23):
        (early, one), (late, other) = windows[0, index], windows[9, index]
        assert equal(early, late)
        assert equal(one, other)
    starts = [windows[0, index][0].start for index in range(3)]
    assert starts == [0, 8, 17]
    with pytest.raises(AssertionError):
        windows_of(PACKED, folder, windows=3, augmentation=STRONG)


def test_children_of_a_later_range_are_others(folder: Path) -> None:
    first = WalkWindows(range(2), SEED, ERRORS, POINTS, cache=folder)
    held_out = WalkWindows(range(2, 4), SEED, ERRORS, POINTS, cache=folder)
    assert not np.allclose(first[0, 0][1].measures, held_out[0, 0][1].measures)
    assert (held_out[0, 0][1].measures == windows_of(POINTS, folder)[0, 8][1].measures).all()


def test_features_are_refused(folder: Path) -> None:
    with pytest.raises(AssertionError, match="features"):
        windows_of(Loading(T, frozenset({"features"})), folder)


def test_a_batch_stacks_targets(folder: Path) -> None:
    windows = windows_of(PACKED, folder)
    items = [windows[0, index] for index in range(3)]
    batch, targets = collate_walks(items)
    assert batch.size == 3
    assert targets.curves.shape == (3, 8, 28)
    assert targets.visible.dtype == torch.bool
    for row, (_, single) in enumerate(items):
        assert equal(WalkTargets(**{f.name: getattr(targets, f.name)[row].numpy() for f in fields(single)}), single)
    assert targets.to("cpu").points.shape == (3, 8, 23, 2)


def test_scale_is_the_same_for_both_limbs_and_fits_the_targets(folder: Path) -> None:
    scale = target_scale(SEED, ERRORS, range(40))
    for name in ("curve_mean", "curve_deviation", "measure_mean", "measure_deviation", "measure_low", "measure_high"):
        left, right = np.split(getattr(scale, name), 2)
        assert (left == right).all()
    assert (scale.measure_low < scale.measure_mean).all()
    assert (scale.measure_mean < scale.measure_high).all()
    windows = windows_of(POINTS, folder, 6)
    curves = np.concatenate([windows[0, index][1].curves for index in range(len(windows))])
    standard = (curves - scale.curve_mean) / scale.curve_deviation
    assert np.abs(standard.mean(axis=0)).max() < 1.5
    assert 0.2 < standard.std() < 2.0


def test_a_strip_shows_a_row_per_view() -> None:
    strip = draw_strip(range(1), SEED, stream_settings(), STYLE, columns=4, enlarge=2)
    assert strip.shape == (4 * 64 * 2, 4 * 64 * 2, 3)
    assert strip.dtype == np.uint8
    assert (strip == STYLE.left).all(axis=2).any()
    assert (strip == STYLE.right).all(axis=2).any()
