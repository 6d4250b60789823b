"""The parts that the classical segmentation is made of: each does what the whole relies on."""

import numpy as np
import pytest

from childgait.domain.poses import make_poses
from childgait.domain.skeleton import INDEX
from childgait.files.video import from_rgb
from childgait.vision.background import Samples, Shadow, estimate_background, masked_median
from childgait.vision.camera import camera_shift
from childgait.vision.capsules import body_of, draw, without_joints
from childgait.vision.motion_regions import MotionTrack, Region, link_regions, select_track, stacked
from childgait.vision.silhouettes import working
from support.walk_scene import Scene


def test_samples_stay_bounded_and_even() -> None:
    samples = Samples(16)
    for frame in range(1000):
        samples.offer(frame, np.full((2, 2, 3), frame % 256, np.uint8))
    assert samples.frame_count == 1000
    assert 8 <= len(samples.frames) <= 16
    assert set(np.diff(samples.frames)) == {samples.step}
    assert samples.frames[-1] > 900


def test_masked_median_is_the_median_of_what_is_free() -> None:
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 256, (21, 5, 6, 3)).astype(np.uint8)
    free = rng.random((21, 5, 6, 1)) < 0.7
    free[:, 0, 0] = True
    value = masked_median(stack, free)
    for y in range(5):
        for x in range(6):
            for c in range(3):
                seen = np.sort(stack[free[:, y, x, 0], y, x, c])
                assert value[y, x, c] == seen[(len(seen) - 1) // 2]


def test_a_background_knows_where_it_is_known() -> None:
    samples = Samples(20)
    rng = np.random.default_rng(1)
    for frame in range(20):
        picture = rng.normal(120, 2, (40, 60, 3)).round().astype(np.uint8)
        picture[10:30, 20:40] = 30  # somebody stands here nearly always
        samples.offer(frame, picture)
    free = np.ones((20, 40, 60), bool)
    free[:, 10:30, 20:40] = False
    free[:2, 10:30, 20:40] = True
    background = estimate_background(samples, free, free_share=0.2)
    assert not background.known[10:30, 20:40].any()
    assert background.known[:10].all()
    assert abs(background.picture[:10].astype(int) - 120).mean() < 2


def test_a_shadow_is_darker_and_of_the_same_colour() -> None:
    samples = Samples(4)
    for frame in range(4):
        samples.offer(frame, np.full((20, 30, 3), (150, 128, 128), np.uint8))
    background = estimate_background(samples, np.ones((4, 20, 30), bool), free_share=0.2)
    picture = np.full((20, 30, 3), (150, 128, 128), np.uint8)
    picture[:, 10:20] = (100, 128, 129)  # shade
    picture[:, 20:] = (100, 150, 120)  # trousers
    result = Shadow().where(picture, background, (0, 0, 30, 20))
    assert result[:, 10:20].all()
    assert not result[:, :10].any()
    assert not result[:, 20:].any()


@pytest.mark.parametrize(("pan", "low", "high"), [(0.0, 0, 0.3), (1.0, 3, 40)])
def test_the_camera_is_judged_by_the_room(pan: float, low: float, high: float) -> None:
    pictures = [working(from_rgb(pixels), (180, 320)) for pixels, _ in Scene(frames=48, pan=pan).film()][::4]
    shift = camera_shift([np.ascontiguousarray(picture[..., 0]) for picture in pictures], None)
    assert shift is not None
    assert low <= shift <= high


def test_a_plain_room_says_nothing_of_the_camera() -> None:
    assert camera_shift([np.full((90, 160), 100, np.uint8)] * 5, None) is None


def test_outliers_and_gaps_of_keypoints_are_bridged() -> None:
    scene = Scene(frames=60)
    poses = scene.poses(noise=0.5)
    knee = INDEX["left_knee"]
    poses.xy[20:24, knee] += 70  # far off, with a good score
    poses.score[35:41, knee] = 0.1  # dropped out, at another place
    poses.xy[35:41, knee] -= 80
    poses.xy[10:13, INDEX["left_hip"]] += 150  # an outlier of the trunk must not move the whole body
    body = body_of(poses, min_score=0.3, scale=1.0)
    true = np.stack([scene.points(frame) for frame in range(60)])
    off = np.linalg.norm(body.xy - true, axis=2)
    assert off[:, knee].max() < 12
    assert np.median(off) < 1.5
    assert off[10:13].max() < 12
    assert not body.trusted[20:24, knee].any()


def test_half_the_size_is_half_the_body() -> None:
    poses = Scene(frames=30).poses(noise=0)
    whole, half = (body_of(poses, min_score=0.3, scale=scale) for scale in (1.0, 0.5))
    np.testing.assert_allclose(half.height, whole.height / 2, rtol=1e-4)
    np.testing.assert_allclose(half.xy, (whole.xy + 0.5) / 2 - 0.5, atol=1e-3)


def test_a_walker_who_leaves_goes_on_for_a_moment() -> None:
    scene = Scene(frames=60)
    poses = scene.poses(noise=0)
    poses.xy[50:], poses.score[50:] = np.nan, 0
    body = body_of(make_poses(poses.seconds, poses.xy, poses.score), min_score=0.3, scale=1.0)
    hip = INDEX["left_hip"]
    true = np.array([scene.points(frame)[hip, 0] for frame in range(60)])
    assert np.abs(body.xy[50:60, hip, 0] - true[50:60]).max() < 4


def test_capsules_cover_the_limbs_and_can_leave_some_out() -> None:
    scene = Scene()
    points = scene.points(20)
    canvas = draw(points, 126.0, (0, 0, 320, 180))
    for point in points:
        assert canvas[round(float(point[1])), round(float(point[0]))]
    less = draw(points, 126.0, (0, 0, 320, 180), thick=0.5)
    assert 0.2 * (canvas > 0).sum() < (less > 0).sum() < 0.7 * (canvas > 0).sum()
    gone = np.zeros(23, bool)
    gone[[INDEX["left_knee"], INDEX["right_wrist"]]] = True
    left = without_joints(points, gone)
    middle = (points[INDEX["left_hip"]] + points[INDEX["left_ankle"]]) / 2
    np.testing.assert_allclose(left[INDEX["left_knee"]], middle)
    assert np.isnan(left[INDEX["right_wrist"]]).all()


def test_the_one_who_walks_is_chosen_and_a_person_may_overrule() -> None:
    samples = Samples(48)
    scene = Scene(frames=90, bystander=True)
    for frame, (pixels, _) in enumerate(scene.film()):
        samples.offer(frame, working(from_rgb(pixels), (180, 320)))
    tracks = link_regions(samples)
    walker = select_track(tracks, [])
    assert walker is not None
    centre = (walker.boxes[:, 0] + walker.boxes[:, 2]) / 2
    assert centre[-1] - centre[0] > 150
    x, y = scene.points(10)[INDEX["left_hip"]]
    assert select_track(tracks, [(10, (x, y, x, y))]) is walker
    assert select_track(tracks, [(10, (3.0, 3.0, 3.0, 3.0))]) is None
    assert select_track([], []) is None


def test_who_grows_walks_at_the_lens() -> None:
    def track(heights: list[float], way: float) -> MotionTrack:
        regions = [
            Region((100 + way * i, 100 - h, 100 + way * i + h / 3, 100.0), np.zeros((0, 1, 2), np.int32), h * h / 3)
            for i, h in enumerate(heights)
        ]
        return MotionTrack(list(range(0, 4 * len(heights), 4)), regions)

    comes, sways = track([40 + 3 * i for i in range(20)], 0), track([90.0] * 20, 0.5)
    assert select_track([sways, comes], []) is comes


def test_pieces_above_each_other_are_one_person() -> None:
    def region(x0: float, y0: float, x1: float, y1: float) -> Region:
        corners = np.array([[[x0, y0]], [[x1, y0]], [[x1, y1]], [[x0, y1]]], np.int32)
        return Region((x0, y0, x1, y1), corners, (x1 - x0) * (y1 - y0))

    head, legs, beside = region(50, 10, 60, 22), region(45, 60, 65, 100), region(80, 5, 100, 100)
    joined = stacked([legs, beside, head])
    assert sorted(one.box for one in joined) == [(45, 10, 65, 100), (80, 5, 100, 100)]
