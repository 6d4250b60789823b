"""Detections are linked both ways; every head box is covered; unknown heads are covered as whole persons."""

from __future__ import annotations

import numpy as np

from childgait.vision import tracks
from childgait.vision.heads import face_of_head
from childgait.vision.tracks import HeadTrack

TIMES = np.arange(120) / 60.0
SIZE = (640, 360)


def head(x: float, y: float = 100.0, side: float = 30.0) -> np.ndarray:
    return np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2])


def detections(frames: dict[int, tuple[float, float]]) -> dict[int, np.ndarray]:
    """Return detections of one head from (x, score) by frame; every sixth frame without an entry has none."""
    frames_with_detector = range(0, 120, 6)
    return {
        f: np.array([[*head(frames[f][0]), frames[f][1]]]) if f in frames else np.zeros((0, 5))
        for f in frames_with_detector
    }


def track_of(first: int, last: int, source: str = "detected", x: float = 200.0, speed: float = 0.0) -> HeadTrack:
    track = tracks.empty_track(120)
    for frame in range(first, last + 1):
        track.box[frame], track.source[frame], track.score[frame] = head(x + speed * frame), source, 0.9
    return track


def test_one_sure_sighting_draws_weak_ones_before_and_after_it_into_a_track() -> None:
    heads = detections({6: (106, 0.2), 12: (112, 0.25), 18: (118, 0.9), 24: (124, 0.2), 30: (130, 0.15)})
    (track,) = tracks.link_heads(heads, TIMES, "detected", birth=0.5, keep=0.2, bridge=0.5)
    assert np.flatnonzero(track.present).tolist() == [6, 12, 18, 24]  # the last one is too weak


def test_weak_sightings_alone_are_no_track() -> None:
    assert tracks.link_heads(detections({6: (100, 0.4)}), TIMES, "detected", birth=0.5, keep=0.2, bridge=0.5) == []


def test_a_sighting_out_of_reach_is_another_track() -> None:
    heads = detections({6: (100, 0.9), 12: (300, 0.9)})
    assert len(tracks.link_heads(heads, TIMES, "detected", birth=0.5, keep=0.2, bridge=0.5)) == 2


def test_short_gaps_are_bridged_and_ends_extended_where_the_head_was_and_where_it_goes() -> None:
    track = tracks.empty_track(120)
    for frame in (30, 36, 42):
        track.box[frame], track.source[frame] = head(100 + frame), "detected"
    full = tracks.complete(track, TIMES, bridge=0.5, extend=0.201)
    np.testing.assert_allclose(full.box[33], head(133))
    assert full.source[33] == "bridged"
    assert np.flatnonzero(full.present).tolist() == list(range(18, 55))
    assert head(142)[0] - 3 < full.box[54, 0] < head(142)[0]  # it may have stopped
    assert head(154)[2] < full.box[54, 2] < head(154)[2] + 3  # or gone on
    assert full.source[54] == "extended"


def test_a_gap_is_followed_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    patch = rng.integers(0, 255, (30, 30)).astype(np.uint8)
    way = [50 + (8 if 5 <= frame <= 15 else 0) for frame in range(21)]  # a bob that a straight line misses
    small = []
    for x in way:
        frame = np.full((90, 160), 90, np.uint8)
        frame[30:60, x : x + 30] = patch
        small.append(frame)
    track = tracks.empty_track(21)
    for frame in (0, 20):
        track.box[frame], track.source[frame] = np.array([50.0, 30.0, 80.0, 60.0]), "detected"
    times = np.arange(21) / 60
    full = tracks.complete(track, times, bridge=0.5, extend=0.0, tracker=tracks.PatchTracker(small, 1.0))
    np.testing.assert_allclose(full.box[10], [58, 30, 88, 60], atol=1.0)


def test_a_long_gap_is_a_hole_and_the_whole_person_is_covered() -> None:
    track = track_of(0, 20)
    track.box[80:], track.source[80:] = head(210), ["detected"] * 40
    full = tracks.complete(track, TIMES, bridge=0.5, extend=0.101)
    (hole,) = tracks.holes(full, TIMES, SIZE, 0.3)
    assert hole == (27, 73)
    boxes = tracks.person_boxes(full, hole, TIMES)
    assert boxes.shape == (47, 4)
    assert (boxes[:, 3] - boxes[:, 1]).min() > 6 * 30  # the body below the head too
    assert boxes[23, 2] - boxes[23, 0] > boxes[0, 2] - boxes[0, 0]  # half-way the person may be anywhere between


def test_a_head_lost_inside_the_picture_is_a_hole_until_the_end_but_not_at_the_edge() -> None:
    assert tracks.holes(track_of(0, 60), TIMES, SIZE, 0.3) == [(61, 119)]
    assert tracks.holes(track_of(0, 60, x=620.0), TIMES, SIZE, 0.3) == []
    assert tracks.holes(track_of(40, 119), TIMES, SIZE, 0.3) == [(0, 39)]


def test_a_glimpse_is_covered_but_proves_no_person() -> None:
    assert tracks.holes(track_of(40, 50), TIMES, SIZE, 0.3) == []


def test_two_parts_of_one_person_become_one_track_with_a_hole() -> None:
    joined = tracks.join_over_holes([track_of(0, 30), track_of(90, 119, x=250.0)], TIMES, SIZE)
    assert len(joined) == 1
    assert tracks.holes(joined[0], TIMES, SIZE, 0.3) == [(31, 89)]
    far = tracks.join_over_holes([track_of(0, 30), track_of(40, 119, x=500.0)], TIMES, SIZE)
    assert len(far) == 2


def test_sources_that_see_one_head_are_united_and_nothing_is_lost() -> None:
    a, b = track_of(0, 80, "detected"), track_of(40, 119, "sam3", x=205.0)
    (united,) = tracks.merge([a, b], 5)
    assert united.present.all()
    assert united.source[60] == "detected+sam3"
    assert united.box[60, 0] == a.box[60, 0]
    assert united.box[60, 2] == b.box[60, 2]


def test_a_face_widens_the_head_that_keypoints_tell_by_a_tenth_at_most() -> None:
    a, b = track_of(0, 80, "keypoints"), track_of(40, 119, "detected", x=205.0)
    (united,) = tracks.merge([a, b], 5)
    assert united.source[60] == "detected+keypoints"
    assert united.box[60].tolist() == (a.box[60] + [0, 0, 3, 0]).tolist()
    assert united.box[100].tolist() == b.box[100].tolist()


def test_a_face_adds_no_profile_to_a_head_that_the_embedded_model_shows() -> None:
    face, head_of_model = track_of(0, 80), track_of(40, 119, "blazepose")
    face.box[:81] = head(200, side=40)
    face.box[60] = head(208, side=40)  # still the same head
    face.box[61] = head(212, side=40)  # as far away as somebody else's
    face.box[62] = head(200, side=60)  # as large as somebody else's
    face.box[63] = head(200, y=107, side=40)  # as far below
    narrow = tracks.narrow_face(face, [track_of(0, 119, "blazepose", x=400.0), head_of_model])
    assert narrow.box[20].tolist() == face.box[20].tolist()  # no such head is known there
    assert narrow.box[50].tolist() == head_of_model.box[50].tolist()
    (inner,) = face_of_head(face.box[60:61])
    assert narrow.box[60, :2].tolist() == [face.box[60, 0], head_of_model.box[60, 1]]
    assert narrow.box[60, 2] == inner[2] > head_of_model.box[60, 2]  # the face itself stays
    assert narrow.box[61:64].tolist() == face.box[61:64].tolist()
    assert narrow.source == face.source
    assert face.box[50].tolist() == head(200, side=40).tolist()


def test_a_raised_arm_stays_covered_beside_the_head() -> None:
    main, top = track_of(0, 119, "keypoints"), track_of(0, 119, "silhouette")
    top.box[50:60] = head(200, y=30)  # the silhouette's top is a hand for a while
    merged = tracks.merge([main, top], 5)
    assert len(merged) == 2
    arm = next(track for track in merged if "keypoints" not in track.source)
    assert np.flatnonzero(arm.present).tolist() == list(range(50, 60))


def test_what_moves_below_a_known_head_is_its_body_and_what_moves_elsewhere_stays() -> None:
    body = np.tile([170.0, 85.0, 230.0, 300.0], (120, 1))
    leg, stranger = track_of(0, 119, "silhouette"), track_of(0, 119, "silhouette", x=400.0)
    leg.box[:] = head(210, y=250)
    kept = tracks.without_bodies([leg, stranger], [body], [track_of(0, 119, "keypoints")], 18)
    assert len(kept) == 1
    assert kept[0].box[0, 0] == stranger.box[0, 0]


def test_a_cover_is_of_constant_size_on_even_pixels_and_holds_every_box() -> None:
    rng = np.random.default_rng(1)
    box = np.array([head(100 + 1.7 * f, 100 + 5 * np.sin(f / 7)) for f in range(120)]) + rng.normal(0, 1, (120, 4))
    cover = tracks.cover_boxes(box, TIMES, sigma=0.1, reach=0.25, growth=1.5, margin=np.full(len(box), 0.04))
    assert (cover % 2 == 0).all()
    assert (cover[:, :2] <= box[:, :2]).all()
    assert (cover[:, 2:] >= box[:, 2:]).all()
    assert len(np.unique(cover[:, 2:] - cover[:, :2], axis=0)) == 1


def test_a_head_that_grows_gets_a_few_sizes_and_not_the_largest_from_the_start() -> None:
    box = np.array([head(300, 150, 20 * 4 ** (f / 119)) for f in range(120)])
    cover = tracks.cover_boxes(box, TIMES, sigma=0.1, reach=0.1, growth=1.3, margin=np.zeros(len(box)))
    sizes = cover[:, 2] - cover[:, 0]
    assert 3 <= len(np.unique(sizes)) <= 12
    assert sizes[0] < 40
    assert (cover[:, :2] <= box[:, :2]).all()
    assert (cover[:, 2:] >= box[:, 2:]).all()
