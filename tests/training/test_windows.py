"""Windows of clips: frames, masks, points and labels must agree through everything that training does to them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from childgait.domain import evgs, skeleton
from childgait.errors import StepError
from childgait.files.clips import create_array, open_clip, pack_bits
from childgait.models.tokens import Packing
from childgait.params import Augmentation, Drawing
from childgait.training.augmentation import Window, change, draw_changes, flip
from childgait.training.windows import (
    Loading,
    Windows,
    WindowSets,
    collate_sets,
    make_loader,
    nearest_usable,
    spread,
    starts_of,
    window_frames,
)

SIZE = 64
STRONG = Augmentation(flip=0.5, scale=0.25, shift=0.1, colour=0.3, time=0.15)
STYLE = Drawing(
    line_pixels=2, dot_pixels=2, min_score=0.3, left=(0, 114, 255), right=(255, 120, 0), middle=(255, 255, 255)
)
PACKING = Packing(2, 16, "mask", 0.1, 2, 4)


def paint(length, seed=0):
    """A clip whose frames say everything else: a red square at a left point, blue at a right one, green in the mask."""
    rng = np.random.default_rng(seed)
    frames = np.full((length, SIZE, SIZE, 3), 20, np.uint8)
    masks = np.zeros((length, SIZE, SIZE), bool)
    points = np.full((length, 23, 3), np.nan, np.float32)
    points[..., 2] = 0
    for t in range(length):
        x, y = rng.integers(24, 40, 2)
        masks[t, y - 8 : y + 9, x - 8 : x + 9] = True
        frames[t, masks[t], 1] = 220
        for name, channel, dx in (("left_ankle", 0, -4), ("right_ankle", 2, 4)):
            points[t, skeleton.INDEX[name]] = (x + dx, y, 0.9)
            frames[t, y - 2 : y + 3, x + dx - 2 : x + dx + 3, channel] = 220
    return frames, masks, points


def write_clip(folder, video, length, view="left", events=()):
    frames, masks, points = paint(length, seed=length)
    create_array(folder / f"{video}.frames.npy", frames.shape, np.uint8)[:] = frames
    create_array(folder / f"{video}.masks.npy", (length, SIZE, SIZE // 8), np.uint8)[:] = pack_bits(masks)
    np.save(folder / f"{video}.points.npy", points)
    facts = {"video": video, "view": view, "frames": length, "size": SIZE, "rate": 30.0, "events": list(events)}
    (folder / f"{video}.clip.json").write_text(json.dumps(facts))
    return open_clip(folder / f"{video}.clip.json")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    contacts = ["left contact 10 0.333333", "right foot_off 14 0.466667", "right contact 25 0.833333"]
    return [
        write_clip(folder, "a", 40, events=contacts),
        write_clip(folder, "b", 11, view="forward"),
        write_clip(folder, "c", 23, view="right"),
    ]


LABELS = np.arange(3 * 34, dtype=np.float32).reshape(3, 34)


def middle(picture):
    ys, xs = np.nonzero(picture)
    return np.array([xs.mean(), ys.mean()])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pixels_mask_points_and_labels_agree_after_any_change(seed):
    frames, masks, points = paint(4)
    labels = np.arange(34, dtype=np.float32)
    draw = draw_changes(
        Augmentation(flip=0.5, scale=0.25, shift=0.1, colour=0.0, time=0.0), np.random.default_rng(seed)
    )
    out = change(Window(frames, masks, points, labels, "left", SIZE), draw)
    left, right = ("right_ankle", "left_ankle") if draw.flip else ("left_ankle", "right_ankle")
    for picture, mask, places in zip(out.frames.astype(int), out.masks, out.points, strict=True):
        green = picture[..., 1] > 120
        assert (green & mask).sum() / (green | mask).sum() > 0.85
        assert middle(green) == pytest.approx(middle(mask), abs=0.6)
        # What was painted red stays where the point is that now carries the other side's name, if mirrored.
        assert middle(picture[..., 0] > 115) == pytest.approx(places[skeleton.INDEX[left], :2], abs=0.6)
        assert middle(picture[..., 2] > 115) == pytest.approx(places[skeleton.INDEX[right], :2], abs=0.6)
    assert out.near == ("right" if draw.flip else "left")
    swapped = [evgs.TARGETS[int(value)] for value in out.labels]
    for target, came_from in zip(evgs.TARGETS, swapped, strict=True):
        assert target.code == came_from.code
        assert (target.limb != came_from.limb) == draw.flip


def test_two_flips_are_none():
    frames, masks, points = paint(2)
    window = Window(frames, masks, points, np.arange(34, dtype=np.float32), "right", SIZE)
    back = flip(flip(window))
    assert (back.frames == frames).all()
    assert (back.masks == masks).all()
    assert np.array_equal(back.points, points, equal_nan=True)
    assert (back.labels == window.labels).all()
    assert back.near == "right"


def test_colour_changes_pixels_and_nothing_else():
    frames, masks, points = paint(2)
    draw = draw_changes(Augmentation(flip=0.0, scale=0.0, shift=0.0, colour=0.4, time=0.0), np.random.default_rng(3))
    out = change(Window(frames, masks, points, np.zeros(34, np.float32), "left", SIZE), draw)
    assert (out.frames != frames).any()
    assert (out.masks == masks).all()
    assert np.array_equal(out.points, points, equal_nan=True)
    grey = np.full((1, SIZE, SIZE, 3), 100, np.uint8)  # grey stays grey, whatever the saturation
    turned = change(Window(grey, None, None, np.zeros(34, np.float32), "left", SIZE), draw).frames
    assert np.ptp(turned.reshape(-1, 3), axis=1).max() <= 1


def test_no_change_is_no_change():
    frames, masks, points = paint(2)
    draw = draw_changes(Augmentation(flip=0.0, scale=0.0, shift=0.0, colour=0.0, time=0.0), np.random.default_rng(0))
    out = change(Window(frames, masks, points, np.zeros(34, np.float32), "left", SIZE), draw)
    assert out.frames is frames
    assert out.masks is masks
    assert out.points is points


def test_views_are_spread_over_the_clip_and_a_short_clip_repeats_its_last_frame(clips):
    assert spread(starts_of(clips[0], 16, "none"), 4).tolist() == [0, 8, 16, 24]
    assert spread(starts_of(clips[0], 16, "none"), 1).tolist() == [12]
    assert spread(starts_of(clips[1], 16, "none"), 3).tolist() == [0, 0, 0]
    assert window_frames(0, 16, 11).tolist() == [*range(11), *[10] * 5]
    assert window_frames(24, 16, 40)[-1] == 39


def test_no_window_shows_frames_in_which_covers_hide_the_child(clips):
    clip = replace(clips[0], covered=("10-19",))
    assert starts_of(clip, 16, "none").tolist() == [20, 21, 22, 23, 24]
    clip = replace(clips[0], covered=("20-21", "26"))
    assert starts_of(clip, 16, "none").tolist() == [0, 1, 2, 3, 4]
    assert nearest_usable(np.array([18, 19, 20, 21, 22, 26]), clip).tolist() == [18, 19, 19, 22, 22, 25]
    hidden = replace(clips[0], covered=(f"0-{clip.length - 1}",))  # nothing to choose from; the gate stops the study
    assert nearest_usable(np.array([3]), hidden).tolist() == [3]


def test_anchored_windows_stand_around_foot_contacts(clips, caplog):
    assert starts_of(clips[0], 16, "contact").tolist() == [2, 17]
    assert starts_of(clips[2], 16, "contact").tolist() == list(range(8))
    Windows(clips, LABELS, Loading(16, frozenset({"points"})), anchor="contact")
    assert "2 of 3 clips have no foot contact" in caplog.text


def test_judging_takes_the_views_in_order_and_says_which(clips):
    windows = Windows(clips, LABELS, Loading(16, frozenset({"points"})), windows_per_video=2)
    loader, _ = make_loader(windows, batch_size=4, workers=0, shuffle=False)
    batches = list(loader)
    assert torch.cat([batch.rows for batch in batches]).tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.cat([batch.windows for batch in batches]).tolist() == [0, 24, 0, 0, 0, 7]
    assert (torch.cat([batch.labels for batch in batches]).numpy() == LABELS.repeat(2, axis=0)).all()
    assert batches[0].frames is None
    assert batches[0].points.isfinite().all()


def test_batches_are_the_same_whoever_makes_them(clips):
    loading = Loading(8, frozenset({"frames", "points", "masks"}), STYLE, PACKING)

    def batches(workers, epoch):
        windows = Windows(clips * 3, np.tile(LABELS, (3, 1)), loading, seed=5, augmentation=STRONG)
        loader, visits = make_loader(windows, batch_size=2, workers=workers, shuffle=True)
        visits.epoch = epoch
        return list(loader)

    here, there, later = batches(0, 1), batches(2, 1), batches(0, 2)
    for one, other in zip(here, there, strict=True):
        assert one.packed.lengths == other.packed.lengths
        for field in ("patches", "index", "clip", "offsets"):
            assert torch.equal(getattr(one.packed, field), getattr(other.packed, field))
        assert torch.equal(one.rows, other.rows)
        assert torch.equal(one.labels, other.labels)
    assert torch.cat([b.rows for b in here]).tolist() != torch.cat([b.rows for b in later]).tolist()


def test_the_skeleton_is_on_the_patches_that_the_network_gets(clips):
    drawn = Windows(clips, LABELS, Loading(8, frozenset({"frames"}), STYLE, PACKING), windows_per_video=1)[0, 0]
    plain = Windows(clips, LABELS, Loading(8, frozenset({"frames"}), None, PACKING), windows_per_video=1)[0, 0]
    assert drawn.frames is None
    assert (drawn.index == plain.index).all()
    assert 0 < (drawn.patches != plain.patches).mean() < 0.2
    left = (drawn.patches.reshape(-1, 3) == STYLE.left).all(axis=1)
    assert left.any()


def test_without_packing_a_model_gets_whole_frames(clips):
    windows = Windows(clips, LABELS, Loading(8, frozenset({"frames", "masks"})), windows_per_video=1)
    loader, _ = make_loader(windows, batch_size=3, workers=0, shuffle=False)
    batch = next(iter(loader))
    assert batch.frames.shape == (3, 8, SIZE, SIZE, 3)
    assert batch.masks.dtype == torch.bool
    assert batch.points is None
    assert batch.packed is None


def test_a_damaged_clip_is_named(tmp_path):
    clip = write_clip(tmp_path, "d", 20)
    clip.path("frames").write_bytes(clip.path("frames").read_bytes()[:1000])
    with pytest.raises(StepError, match=r"d\.frames\.npy cannot be read"):
        clip.frames(np.arange(3))
    np.save(clip.path("points"), np.zeros((7, 23, 3), np.float32))
    with pytest.raises(StepError, match=r"contains 7 frames, but d\.clip\.json has 20"):
        clip.points(np.arange(3))


def test_several_windows_of_a_clip_share_their_labels_and_begin_with_the_single_one(clips):
    windows = Windows(clips, LABELS, Loading(8, frozenset({"points"})), seed=3, augmentation=STRONG)
    sets = WindowSets(windows, 6)
    flips = set()
    for epoch in range(4):
        single, samples = windows[epoch, 0], sets[epoch, 0]
        assert len(samples) == 6
        assert single.start == samples[0].start
        assert (single.points == samples[0].points).all()
        assert len({sample.start for sample in samples}) > 1
        assert all((sample.labels == single.labels).all() for sample in samples)
        flips.add(bool((single.labels == LABELS[0]).all()))
    assert flips == {True, False}
    batch = collate_sets([sets[0, 0], sets[0, 2]])
    assert batch.size == 12
    assert batch.rows.tolist() == [0] * 6 + [2] * 6
