"""prepare_clips: a painted child crosses the picture; frames, mask and points of the crop must show it alike."""

import json
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

from childgait.domain.poses import make_poses
from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.hashes import sha256
from childgait.files.masks import FRAMES, write_masks
from childgait.files.poses import read_poses, write_poses
from childgait.files.regions import REGIONS
from childgait.files.tables import write_table
from childgait.files.video import read_frames, write_video
from childgait.gait.events import EVENTS
from childgait.params import PrepareClips
from childgait.steps.prepare_clips import prepare_clips
from childgait.vision.crop import Square, cut, local_lines, square_path, to_crop

NAME = "0001-0001_left_1-40"
WIDTH, HEIGHT, COUNT, RATE = 320, 180, 40, Fraction(60000, 1001)
SETTINGS = PrepareClips(size=64, rate=30.0, margin=0.2, smoothing_seconds=0.25, min_inside=0.5, most_covered=0.3)


def box_at(frame):
    left = 20 + 5 * frame
    return left, 40, left + 40, 140


def frame_table(boxes):
    """segment's rows: what it knows besides the box does not matter here."""
    rows = [
        {"frame": number, "seconds": float(number / RATE), "area": 1, "border": False, "pieces": 1, "ok": True}
        | dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
        for number, box in enumerate(boxes)
    ]
    return pl.DataFrame(rows, schema=FRAMES.schema())


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A green rectangle walks to the right; four points stand on its corners; it is not found in three frames."""
    folder = tmp_path_factory.mktemp("scene")
    seconds = [frame / RATE for frame in range(COUNT)]
    pictures, masks, boxes, xy = [], [], [], np.full((COUNT, 23, 2), np.nan, np.float32)
    for frame in range(COUNT):
        x0, y0, x1, y1 = box_at(frame)
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        picture[y0:y1, x0:x1] = (40, 200, 60)
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y0:y1, x0:x1] = True
        pictures.append(picture)
        masks.append(mask)
        boxes.append((None,) * 4 if frame in (0, 20, 21) else (x0, y0, x1, y1))
        xy[frame, :4] = [(x0, y0), (x1 - 1, y0), (x0, y1 - 1), (x1 - 1, y1 - 1)]
    write_video(folder / "video.mp4", pictures, seconds)
    write_masks(folder / "video.masks", masks)
    write_masks(folder / "empty.masks", [np.zeros_like(mask) for mask in masks])
    write_table(folder / "boxes.parquet", frame_table(boxes), FRAMES)
    write_table(folder / "nobody.parquet", frame_table([(None,) * 4] * COUNT), FRAMES)
    times = np.array([float(moment) for moment in seconds])
    write_poses(folder / "poses.parquet", make_poses(times, xy, np.full((COUNT, 23), 0.9, np.float32)))
    write_poses(folder / "elsewhere.parquet", make_poses(times, xy * 0 + 300, np.full((COUNT, 23), 0.9, np.float32)))
    write_poses(folder / "short.parquet", make_poses(times[:30], xy[:30], np.full((30, 23), 0.9, np.float32)))
    events = {
        "limb": ["left", "right"],
        "kind": ["contact", "foot_off"],
        "seconds": [0.3, 99.0],
        "frame": [18, 99],
        "method": ["standing"] * 2,
    }
    write_table(folder / "events.parquet", pl.DataFrame(events, schema=EVENTS.schema()), EVENTS)
    return folder


def run(scene, out, **changed):
    given = {
        "poses": scene / "poses.parquet",
        "video": scene / "video.mp4",
        "masks": scene / "video.masks",
        "boxes": scene / "boxes.parquet",
        "events": scene / "events.parquet",
        "points": out / f"{NAME}.points.npy",
        "clip": out / f"{NAME}.clip.json",
        "frames": out / f"{NAME}.frames.npy",
        "mask_bits": out / f"{NAME}.masks.npy",
    }
    prepare_clips(NAME, params=SETTINGS, **(given | changed))
    return open_clip(out / f"{NAME}.clip.json")


def test_frames_masks_and_points_show_the_same_child(scene, tmp_path):
    clip = run(scene, tmp_path)
    index = np.arange(clip.length)
    frames, masks, points = clip.frames(index), clip.masks(index), clip.points(index)
    assert frames.shape == (clip.length, 64, 64, 3)
    green = (frames[..., 1].astype(int) - frames[..., 0]) > 80
    for seen, mask, corners in zip(green, masks, points[:, :4, :2], strict=True):
        assert (seen & mask).sum() / (seen | mask).sum() > 0.93
        ys, xs = np.nonzero(mask)
        edges = [xs.min(), ys.min(), xs.max(), ys.max()]
        assert np.abs(np.array([*corners.min(axis=0), *corners.max(axis=0)]) - edges).max() < 1.0
    assert np.isnan(points[:, 4:, :2]).all()
    assert (points[:, 4:, 2] == 0).all()


def test_the_clip_is_30_frames_a_second_from_first_to_last_sight(scene, tmp_path):
    clip = run(scene, tmp_path)
    facts = json.loads(clip.facts_path.read_text())
    assert facts["start_seconds"] == pytest.approx(1001 / 60000, abs=1e-6)  # the first frame has no box
    assert clip.length == 1 + int((38 * 1001 / 60000) * 30)
    assert facts["repeated_frames"] == 0
    assert (facts["video"], facts["subject"], facts["session"], facts["view"]) == (NAME, "0001", "0001", "left")
    assert facts["events"] == [
        "left contact 8 0.300000"
    ]  # 0.3 s is 0.283 s after the clip's first frame; the other is outside
    assert clip.events[0].frame == 8


def test_the_child_stays_in_the_middle_at_a_steady_size(scene, tmp_path):
    clip = run(scene, tmp_path)
    middles = [np.argwhere(mask).mean(axis=0) for mask in clip.masks(np.arange(clip.length))]
    assert np.abs(np.array(middles) - 31.5).max() < 1.0  # also at the ends and in the gap: no lag
    share = clip.masks(np.arange(clip.length)).mean()
    assert share == pytest.approx(100 * 40 / 120**2, rel=0.06)  # border pixels are child or not, never in part


def test_points_find_their_way_back_to_pixels_and_seconds_of_the_video(scene, tmp_path):
    clip = run(scene, tmp_path)
    given, back = read_poses(scene / "poses.parquet"), clip.poses()
    nearest = np.abs(given.seconds[:, None] - back.seconds).argmin(axis=0)
    assert np.abs(given.seconds[nearest] - back.seconds).max() < 0.01
    assert np.nanmax(np.abs(given.xy[nearest] - back.xy)[:, :4]) < 1.1  # the child moves a pixel a frame
    assert np.array_equal(back.seen, given.seen[nearest])
    facts = json.loads(clip.facts_path.read_text()) | {"crops": []}
    clip.facts_path.write_text(json.dumps(facts))
    with pytest.raises(StepError, match=r"has the crops of 0 of .* frames"):
        open_clip(clip.facts_path).poses()


def test_keypoints_alone_make_a_clip_of_points(scene, tmp_path):
    none = dict.fromkeys(("video", "masks", "boxes", "frames", "mask_bits"))
    clip = run(scene, tmp_path, **none)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{NAME}.clip.json", f"{NAME}.points.npy"]
    corners = clip.points(np.arange(clip.length))[:, :4, :2]
    assert np.abs((corners.min(axis=1) + corners.max(axis=1)) / 2 - 31.5).max() < 1.0


def test_the_same_input_gives_the_same_bytes(scene, tmp_path):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        run(scene, tmp_path / part)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_another_pixel_is_another_clip_for_whoever_reads_it(scene, tmp_path):
    """Models are handed the .clip.json alone: a head or a chart that is covered later must reach them."""
    covered = []
    for frame in read_frames(scene / "video.mp4"):
        pixels = frame.pixels.copy()
        x0, y0, _, _ = box_at(frame.index)
        pixels[y0 : y0 + 8, x0 : x0 + 8] = 0
        covered.append(pixels)
    write_video(tmp_path / "covered.mp4", covered, [frame.seconds for frame in read_frames(scene / "video.mp4")])
    result = []
    for name, video in (("a", scene / "video.mp4"), ("b", tmp_path / "covered.mp4")):
        (tmp_path / name).mkdir()
        run(scene, tmp_path / name, video=video)
        result.append(json.loads((tmp_path / name / f"{NAME}.clip.json").read_text()))
        for part in ("frames", "masks", "points"):
            assert result[-1][f"{part}_sha256"] == sha256(tmp_path / name / f"{NAME}.{part}.npy")
    assert {key for key in result[0] if result[0][key] != result[1][key]} == {"frames_sha256"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"masks": "empty.masks"}, "the child's mask is empty in every frame"),
        ({"boxes": "nobody.parquet"}, "the child is found in none of the 40 frames"),
        ({"poses": "elsewhere.parquet"}, "0% of the keypoints are inside the child's crop, expected 50% or more"),
        ({"poses": "short.parquet"}, "has boxes for 40 frames, but the keypoints have 30"),
        ({"poses": "short.parquet", "boxes": None}, "has 40 frames, its keypoints 30"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(scene, tmp_path, changed, message):
    with pytest.raises(StepError, match=message) as error:
        run(scene, tmp_path, **{key: value and scene / value for key, value in changed.items()})
    assert error.value.hint


def test_a_square_beyond_the_picture_is_black_there():
    picture = np.full((10, 10, 3), 200, np.uint8)
    crop = cut(picture, Square(-5, -5, 10), 10)
    assert (crop[:5] == 0).all()
    assert (crop[:, :5] == 0).all()
    assert (crop[5:, 5:] == 200).all()
    assert (cut(picture, Square(50, 50, 10), 10) == 0).all()


def test_points_move_as_pixels_do():
    picture = np.zeros((200, 200), np.uint8)
    picture[100:104, 60:64] = 255  # its middle is at 61.5, 101.5
    square = Square(40, 80, 64)
    crop = cut(picture, square, 32).astype(float)
    ys, xs = np.mgrid[:32, :32]
    middle = np.array([(xs * crop).sum(), (ys * crop).sum()]) / crop.sum()
    assert to_crop(np.array([[61.5, 101.5]], np.float32), square, 32)[0] == pytest.approx(middle, abs=1e-4)


def test_a_steady_walk_is_followed_without_lag_and_a_shaking_box_is_not_followed():
    seconds = np.arange(60) / 30
    line = np.column_stack([seconds * 100, 50 - seconds * 10])
    line[20:40] = np.nan
    assert np.abs(local_lines(seconds, line, 0.1) - np.column_stack([seconds * 100, 50 - seconds * 10])).max() < 1e-6
    shaking = np.tile([100.0, 100, 140, 200], (60, 1))
    shaking[::2, [0, 2]] += 8
    lefts = [square.left for square in square_path(seconds, shaking, margin=0, smoothing_seconds=0.25)]
    assert max(lefts) - min(lefts) <= 2


def covers_table(folder, boxes):
    """deidentify's table of regions: one cover per frame of `boxes`."""
    keys = ("x0", "y0", "x1", "y1")
    rows = [
        {"frame": frame, "seconds": 0.0, "region": 0, "whole": True, "source": "hole", "score": 0.0, "area": 1}
        | dict(zip(keys, map(int, box), strict=True))
        for frame, box in boxes.items()
    ]
    write_table(folder / "regions.parquet", pl.DataFrame(rows, schema=REGIONS.schema()), REGIONS)
    return folder / "regions.parquet"


def test_frames_in_which_a_cover_hides_the_child_are_listed(scene, tmp_path):
    hidden = {frame: box_at(frame) for frame in range(24, COUNT)}
    clip = run(scene, tmp_path, regions=covers_table(tmp_path, {2: (0, 0, 10, 10)} | hidden))
    facts = json.loads(clip.facts_path.read_text())
    assert facts["covered_video_frames"] == ["24-39"]
    assert facts["covered_share"] == pytest.approx(16 / 40, abs=1e-4)
    assert facts["largest_covered_share"] == 1
    assert not clip.usable()[-8:].any()
    assert clip.usable()[:10].all()


def test_a_cover_beside_the_child_hides_nothing(scene, tmp_path):
    clip = run(scene, tmp_path, regions=covers_table(tmp_path, {2: (0, 0, 10, 10)}))
    facts = json.loads(clip.facts_path.read_text())
    assert (facts["covered_frames"], facts["covered_share"]) == ([], 0.0)
    assert clip.usable().all()
