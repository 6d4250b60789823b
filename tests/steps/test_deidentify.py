"""The whole step on small videos: heads are covered in the decoded output, metadata is dropped, bad input named."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest

from childgait.errors import StepError
from childgait.files.poses import read_poses
from childgait.files.video import probe, read_frames, write_video
from childgait.gait.delivered_keypoints import frame_record, write_frame
from childgait.params import Deidentify, load_section
from childgait.steps.deidentify import deidentify
from childgait.vision.mosaic import covered_mask
from support.portrait_scene import HEAD, Scene

NAME = "0001-0001_left_1-60"
PARAMS = load_section(Path(__file__).parents[2] / "params.yaml", Deidentify)


class Done:
    """The outputs of one run."""

    def __init__(self, folder: Path) -> None:
        self.video = folder / f"{NAME}.mp4"
        self.regions = pl.read_parquet(folder / f"{NAME}.regions.parquet") if self.video.exists() else None
        self.poses = read_poses(folder / f"{NAME}.poses.parquet")
        self.evidence = json.loads((folder / f"{NAME}.evidence.json").read_text())

    def mask(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        mask = np.zeros(size, bool)
        assert self.regions is not None
        for row in self.regions.filter(pl.col("frame") == frame).iter_rows(named=True):
            x0, y0, x1, y1 = (max(row[key], 0) for key in ("x0", "y0", "x1", "y1"))
            mask[y0:y1, x0:x1] = True
        return mask


def run(
    folder: Path,
    video: Path | None,
    poses: Path | None = None,
    regions: Path | None = None,
    cleared: Path | None = None,
    **changes: Any,
) -> Done:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    register = folder / "register.json"
    register.write_text(json.dumps({"pose_layout": "coco17"}))
    covered = None if video is None else out / f"{NAME}.mp4"
    table = None if video is None else out / f"{NAME}.regions.parquet"
    heads = None if video is None else out / f"{NAME}.heads.jpg"
    deidentify(
        video,
        poses,
        register,
        regions,
        cleared,
        NAME,
        covered,
        table,
        heads,
        out / f"{NAME}.poses.parquet",
        out / f"{NAME}.evidence.json",
        PARAMS.model_copy(update=changes),
    )
    return Done(out)


def covered_everywhere(done: Done, scene: Scene) -> list[int]:
    """Return the frames in which a pixel of the true head is not covered in the decoded output."""
    missed = []
    for frame in range(scene.frames):
        x0, y0 = np.floor(scene.head(frame)[:2]).astype(int).clip(0)
        x1, y1 = np.ceil(scene.head(frame)[2:]).astype(int)
        if not done.mask(frame, scene.size)[y0:y1, x0:x1].all():
            missed.append(frame)
    return missed


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, Path, Done]:
    folder = tmp_path_factory.mktemp("walk")
    scene = Scene(frames=40, away=range(26, 40))  # turns away and stays so
    return scene, folder, run(folder, scene.write(folder / "raw.mp4"))


def test_every_head_is_covered_also_when_it_turns_away(walk: tuple[Scene, Path, Done]) -> None:
    scene, _, done = walk
    assert covered_everywhere(done, scene) == []
    assert done.evidence["verdict"] == "held"  # without keypoints a review is needed
    assert done.evidence["frames_covered"] == 40
    assert done.evidence["share_detected"] > 0
    assert done.evidence["share_silhouette"] > 0


def test_the_decoded_output_is_the_input_outside_the_covers_and_flat_cells_inside(
    walk: tuple[Scene, Path, Done],
) -> None:
    scene, folder, done = walk
    for raw, out in zip(read_frames(folder / "raw.mp4"), read_frames(done.video), strict=True):
        mask = done.mask(raw.index, scene.size)
        np.testing.assert_array_equal(out.planes.y[~mask], raw.planes.y[~mask])
        x0, y0, x1, y1 = (int(v) for v in scene.head(raw.index))
        assert len(np.unique(out.planes.y[y0:y1, x0:x1])) <= 42  # cells, not pixels
        assert len(np.unique(raw.planes.y[y0:y1, x0:x1])) > 100
    assert done.evidence["decoded_sha256"] == probe(done.video).sha256


def test_evidence_has_a_row_for_each_frame_and_region(walk: tuple[Scene, Path, Done]) -> None:
    _, _, done = walk
    assert done.regions is not None
    assert done.regions["frame"].n_unique() == 40
    names = {name for source in done.regions["source"] for name in source.split("+")}
    assert names <= {"detected", "bridged", "extended", "silhouette", "hole"}
    assert (done.regions["area"] > 0).all()
    assert set(done.evidence) >= {"video", "subject", "view", "verdict", "frames_without_head", "share_of_picture"}
    assert all(not isinstance(value, dict) for value in done.evidence.values())  # flat


def test_only_the_owner_and_the_group_may_read(walk: tuple[Scene, Path, Done]) -> None:
    _, _, done = walk
    for path in (done.video, done.video.with_suffix(".heads.jpg")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(done.video.parent.stat().st_mode) == 0o750


def test_the_same_input_gives_the_same_bytes_with_more_threads(
    tmp_path: Path, walk: tuple[Scene, Path, Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, done = walk
    monkeypatch.setenv("CHILDGAIT_THREADS", "2")
    again = run(tmp_path, folder / "raw.mp4")
    assert again.video.read_bytes() == done.video.read_bytes()
    assert again.evidence == done.evidence


def leaky(source: Path, target: Path) -> Path:
    """Write the video with all that a phone adds: sound, subtitles, chapters, data, dates, place, device, cover."""
    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", format="matroska" if target.suffix == ".mkv" else "mp4") as new,
    ):
        new.metadata.update(
            {"title": "Anna Example", "creation_time": "2024-05-05T10:00:00Z", "location": "+47.1+008.2/"}
        )
        new.set_chapters(
            [{"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "Anna walks"}}]
        )
        video = new.add_stream_from_template(old.streams.video[0])
        video.metadata["comment"] = "iPhone of Dr. Example"
        sound = new.add_stream("aac", rate=16000, layout="mono")
        text = new.add_mux_stream("subrip" if target.suffix == ".mkv" else "mov_text")
        if target.suffix == ".mkv":
            new.add_attachment("Anna.jpg", "image/jpeg", b"Anna's portrait")
        else:
            place = new.add_data_stream("bin_data")
            cover = new.add_stream("mjpeg")
            cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
        packets = [packet for packet in old.demux(video=0) if packet.dts is not None]
        noise = np.random.default_rng(0).normal(0, 0.1, (1, 1024)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
        frame.rate = 16000
        new.mux(sound.encode(frame))
        new.mux(sound.encode(None))
        for packet in packets:
            packet.stream = video
            new.mux(packet)
        payloads = {text: b"Anna, walk on!" if target.suffix == ".mkv" else b"\x00\x0eAnna, walk on!"}
        if target.suffix == ".mp4":
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")
            new.mux(cover.encode(picture.reformat(format="yuvj420p")) + cover.encode(None))
            payloads[place] = b"Anna at +47.1+008.2"
        for stream, data in payloads.items():
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = (
                stream,
                Fraction(1, 1000),
                0,
                0,
                100,
            )
            new.mux(packet)
    return target


@pytest.mark.parametrize(
    ("ending", "kinds"), [(".mkv", {"audio", "subtitle"}), (".mp4", {"audio", "subtitle", "data", "video"})]
)
def test_nothing_but_the_picture_gets_through(tmp_path: Path, ending: str, kinds: set[str]) -> None:
    scene = Scene(frames=12)
    raw = leaky(scene.write(tmp_path / "plain.mp4"), tmp_path / f"Anna Example{ending}")
    os.utime(raw, (1_000_000_000, 1_000_000_000))  # the day it was filmed
    before = probe(raw)
    with av.open(str(raw)) as container:
        assert container.chapters()
    assert kinds <= set(before.other_streams)
    assert "creation_time" in {key.lower() for key in before.metadata}
    done = run(tmp_path, raw)
    after = probe(done.video)
    assert after.other_streams == ()
    with av.open(str(done.video)) as container:
        assert not container.chapters()
    assert not {"title", "comment", "creation_time", "location", "encoder"} & {key.lower() for key in after.metadata}
    data = done.video.read_bytes()
    for secret in (b"Anna", b"iPhone", b"2024", b"+47.1", b"Lavf"):
        assert secret not in data
    for made in done.video.parent.iterdir():
        assert made.stat().st_mtime > 1_700_000_000  # written now, whatever the date of filming
        assert "Anna" not in made.name
    assert (after.frames, after.width, after.height, after.seconds) == (12, 480, 270, before.seconds)


def pictures_of_a_torn_file(torn: Path, whole: Path) -> list[np.ndarray]:
    """Decode the packets of a partly written mp4 with the parameter sets of a complete one; return their luma."""
    data = torn.read_bytes()
    at = data.index(b"mdat") + 4
    with av.open(str(whole)) as container:
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = container.streams.video[0].codec_context.extradata
    units, unit = [], b""
    while at + 4 < len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4] & 31
        if length == 0 or at + 4 + length > len(data):
            break
        unit += data[at : at + 4 + length]
        at += 4 + length
        if kind in (1, 5):  # the slice that ends a picture
            units.append(unit)
            unit = b""
    pictures = [frame for unit in units for frame in decoder.decode(av.Packet(unit))] + decoder.decode(None)
    return [frame.to_ndarray()[: frame.height, : frame.width] for frame in pictures]


def test_a_killed_job_leaves_no_raw_pixel_anywhere(tmp_path: Path, walk: tuple[Scene, Path, Done]) -> None:
    """A job killed while writing leaves only a partial file of covered pictures beside the raw video."""
    scene = Scene(frames=60)
    raw = scene.write(tmp_path / "raw.mp4")
    (tmp_path / "register.json").write_text(json.dumps({"pose_layout": "coco17"}))
    (tmp_path / "home").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    outputs = {
        "covered": ".mp4",
        "regions-found": ".parquet",
        "heads": ".jpg",
        "poses-out": ".poses.parquet",
        "evidence": ".json",
    }
    flags = [part for flag, ending in outputs.items() for part in (f"--{flag}", str(work / f"made{ending}"))]
    command = [
        sys.executable,
        "-m",
        "childgait",
        "deidentify",
        "--video",
        str(raw),
        "--register",
        str(tmp_path / "register.json"),
        "--name",
        NAME,
        *flags,
        "--params",
        str(Path(__file__).parents[2] / "params.yaml"),
    ]
    own = {"TMPDIR": str(tmp_path / "home"), "HOME": str(tmp_path / "home")}
    job = subprocess.Popen(
        command, cwd=work, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while not any(path.stat().st_size > 500_000 for path in work.glob(".partial-*mp4")):
        assert job.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    output, _ = job.communicate()
    left = [path for folder in (work, tmp_path / "home") for path in folder.rglob("*") if path.is_file()]
    assert len(left) == 1, left  # no temporary file, no cache, no thumbnail, no other output
    assert len(output) < 1000
    pictures = pictures_of_a_torn_file(left[0], walk[2].video)
    assert 3 < len(pictures) < scene.frames
    for frame, luma in enumerate(pictures):
        x0, y0, x1, y1 = (int(v) for v in scene.head(frame))
        assert len(np.unique(luma[y0:y1, x0:x1])) <= 42, frame  # cells, not pixels


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    scene = Scene(frames=12)
    uneven = [Fraction(i, 30) + (Fraction(1, 7) if i > 6 else 0) for i in range(12)]
    write_video(tmp_path / "raw.mp4", scene.filmed(), uneven)
    assert probe(run(tmp_path, tmp_path / "raw.mp4").video).seconds == tuple(uneven)


def test_without_keypoints_who_turns_away_is_known_by_a_silhouette_at_best_so_the_video_is_held(tmp_path: Path) -> None:
    scene = Scene(frames=45, away=range(45), walk=0.7)
    done = run(tmp_path, scene.write(tmp_path / "raw.mp4"))
    assert done.evidence["share_detected"] == 0
    assert done.evidence["share_silhouette"] > 0.5
    assert done.evidence["verdict"] == "held"


def test_a_lossy_copy_for_delivery_is_smaller_and_covered(tmp_path: Path) -> None:
    scene = Scene(frames=16)
    raw = scene.write(tmp_path / "raw.mp4")
    exact = run(tmp_path, raw).video.stat().st_size
    done = run(tmp_path, raw, lossless=False)
    assert done.video.stat().st_size < exact / 2
    assert covered_everywhere(done, scene) == []


def test_solid_covers_are_one_grey(tmp_path: Path) -> None:
    scene = Scene(frames=12)
    done = run(tmp_path, scene.write(tmp_path / "raw.mp4"), style="solid")
    for frame in read_frames(done.video):
        assert len(np.unique(frame.planes.y[done.mask(frame.index, scene.size)])) == 1


# --- keypoints ------------------------------------------------------------------------------------------------------


def delivered(folder: Path, heads: list[np.ndarray | None]) -> Path:
    """Write keypoints of one person per frame from head boxes; None: no person."""
    target = folder / "poses"
    target.mkdir()
    for frame, head in enumerate(heads):
        people = []
        if head is not None:
            middle, tall = (head[:2] + head[2:]) / 2, head[3] - head[1]
            offsets = [
                (0, 0.1),
                (0.12, 0),
                (-0.12, 0),
                (0.33, 0.02),
                (-0.33, 0.02),
                (0.6, 0.9),
                (-0.6, 0.9),
                (0.8, 1.6),
                (-0.8, 1.6),
                (0.8, 2.2),
                (-0.8, 2.2),
                (0.35, 2.7),
                (-0.35, 2.7),
                (0.35, 3.7),
                (-0.35, 3.7),
                (0.35, 4.7),
                (-0.35, 4.7),
            ]
            people = [(middle + np.array(offsets) * tall, np.full(17, 0.9))]
        write_frame(target, frame + 1, frame_record(frame, people, {"width": 480, "height": 270, "fps": 30}))
    return target


@pytest.mark.parametrize("size", [(960, 540), (270, 480)])
def test_keypoints_of_a_scaled_or_turned_copy_are_refused(size: tuple[int, int], tmp_path: Path) -> None:
    scene = Scene(frames=6)
    poses = delivered(tmp_path, [scene.head(frame) for frame in range(6)])
    for path in poses.glob("*.json"):
        record = json.loads(path.read_text())
        record["video_info"] |= {"width": size[0], "height": size[1]}
        path.write_text(json.dumps(record))
    with pytest.raises(StepError, match=rf"keypoints are of {size[0]}x{size[1]} pixels, but the video is 480x270"):
        run(tmp_path, scene.write(tmp_path / "raw.mp4"), poses)


def back_view(**changes: Any) -> Scene:
    """Return a scene without a visible face; with a panning camera silhouettes do not work either."""
    return dataclasses.replace(Scene(frames=30, walk=0.2), away=range(30), **changes)


def panned(scene: Scene, path: Path) -> Path:
    rng = np.random.default_rng(5)
    coarse = rng.integers(60, 200, (scene.size[0] // 10, scene.size[1] // 3, 3)).astype(np.uint8)
    wall = np.repeat(np.repeat(coarse, 10, axis=0), 10, axis=1)
    frames = []
    for index, picture in enumerate(scene.filmed()):
        background = wall[:, index * 4 : index * 4 + scene.size[1]]
        walker = np.abs(picture.astype(int) - scene.wall).max(axis=2, keepdims=True) > 25
        frames.append(np.where(walker, picture, background))
    write_video(path, frames, scene.seconds())
    return path


def test_keypoints_cover_a_child_seen_from_behind_by_a_moving_camera(tmp_path: Path) -> None:
    scene = back_view()
    poses = delivered(tmp_path, [scene.head(frame) for frame in range(30)])
    done = run(tmp_path, panned(scene, tmp_path / "raw.mp4"), poses)
    assert covered_everywhere(done, scene) == []
    assert done.evidence["verdict"] == "covered"
    assert done.evidence["share_keypoints"] == 1
    assert not done.evidence["camera_still"]
    assert len(done.poses) == 30


def test_a_hole_that_cannot_be_bridged_covers_the_whole_person_and_holds_the_video(tmp_path: Path) -> None:
    scene = back_view(frames=60)
    scene = dataclasses.replace(scene, away=range(60))
    heads = [None if 15 <= frame < 45 else scene.head(frame) for frame in range(60)]
    raw = panned(scene, tmp_path / "raw.mp4")
    done = run(tmp_path, raw, delivered(tmp_path, heads))
    assert covered_everywhere(done, scene) == []
    assert done.evidence["verdict"] == "held"
    assert done.evidence["frames_without_head"] > 10
    assert done.regions is not None
    whole = done.regions.filter(pl.col("whole"))
    assert (whole["source"] == "hole").all()
    assert (whole["y1"] - whole["y0"]).min() > 5 * scene.head_pixels


def test_without_keypoints_a_moving_camera_holds_the_video(tmp_path: Path) -> None:
    scene = Scene(frames=30, walk=0.2)
    done = run(tmp_path, panned(scene, tmp_path / "raw.mp4"))
    assert done.evidence["verdict"] == "held"
    assert "there are no keypoints and no SAM 3" in done.evidence["reasons"][-1]
    assert not done.evidence["camera_still"]


def test_who_stands_still_with_the_back_to_the_camera_is_seen_by_nobody_so_real_videos_are_held(tmp_path: Path) -> None:
    """Keypoints of the child alone do not exclude a second person; the demo accepts that (deidentify.unseen)."""
    scene = Scene(frames=20)
    poses = delivered(tmp_path, [scene.head(frame) for frame in range(20)])
    raw = scene.write(tmp_path / "raw.mp4")
    assert run(tmp_path, raw, poses, unseen="accept").evidence["verdict"] == "covered"
    held = run(tmp_path, raw, poses, unseen="hold").evidence
    assert held["verdict"] == "held"
    assert "SAM 3" in held["reasons"][0]


def test_a_reviewer_clears_exactly_the_pixels_that_he_saw(tmp_path: Path) -> None:
    raw = panned(Scene(frames=30, walk=0.2), tmp_path / "raw.mp4")
    digest = run(tmp_path, raw).evidence["decoded_sha256"]
    cleared = tmp_path / "cleared.csv"
    cleared.write_text(f"video,sha256,reviewer,reason\n{NAME},{digest},r01,all heads seen covered\n")
    done = run(tmp_path, raw, cleared=cleared)
    assert done.evidence["verdict"] == "cleared"
    assert "cleared by r01: all heads seen covered" in done.evidence["reasons"]
    assert run(tmp_path, raw, cleared=cleared, seed=2).evidence["verdict"] == "held"  # other pixels
    cleared.write_text(f"video,sha256,reviewer,reason\n{NAME},{digest},,\n")
    with pytest.raises(StepError, match=r"line 2: .* is cleared by nobody"):
        run(tmp_path, raw, cleared=cleared)


def test_a_cohort_of_keypoints_needs_no_video(tmp_path: Path) -> None:
    scene = Scene(frames=10)
    done = run(tmp_path, None, delivered(tmp_path, [scene.head(frame) for frame in range(10)]))
    assert done.evidence["verdict"] == "keypoints"
    assert len(done.poses) == 10
    with pytest.raises(StepError, match="neither video nor keypoints"):
        run(tmp_path, None)


# --- manual regions ------------------------------------------------------------------------------------------------


def regions(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["video,region,frame,x0,y0,x1,y1", *rows]) + "\n")
    return path


def test_a_persons_boxes_are_covered_still_or_moving(tmp_path: Path) -> None:
    scene = Scene(frames=20)
    table = regions(
        tmp_path / "regions.csv",
        f"{NAME},chart,,400,10,440,50",
        f"{NAME},badge,4,10,200,30,220",
        f"{NAME},badge,14,110,200,130,220",
        "0002-0001_left_1-9,chart,,0,0,480,270",
    )
    done = run(tmp_path, scene.write(tmp_path / "raw.mp4"), regions=table)
    for frame in range(20):
        assert done.mask(frame, scene.size)[10:50, 400:440].all()
    assert done.mask(9, scene.size)[200:220, 60:80].all()
    assert not done.mask(2, scene.size)[205:215, 15:25].any()
    assert done.evidence["share_region"] == 1
    assert not done.mask(9, scene.size).all()  # another video's rows are not this one's


def test_a_region_on_a_frame_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    raw = Scene(frames=10).write(tmp_path / "raw.mp4")
    with pytest.raises(StepError, match=rf"line 2: {NAME} has no frame 10, it has frames 0 to 9"):
        run(tmp_path, raw, regions=regions(tmp_path / "regions.csv", f"{NAME},badge,10,1,1,9,9"))
    with pytest.raises(StepError, match=r"line 2: the box .* is empty"):
        run(tmp_path, raw, regions=regions(tmp_path / "regions.csv", f"{NAME},badge,1,9,1,9,9"))
    with pytest.raises(StepError, match=r"line 2: a box is four numbers"):
        run(tmp_path, raw, regions=regions(tmp_path / "regions.csv", f"{NAME},badge,1,a,1,9,9"))
    for first, second in (("", ""), ("3", "3"), ("", "3"), ("3", "")):
        twice = [f"{NAME},badge,{frame},1,1,9,9" for frame in (first, second)]
        with pytest.raises(StepError, match=r"line 3: .* has a second box of region 'badge' on (all frames|frame 3)"):
            run(tmp_path, raw, regions=regions(tmp_path / "regions.csv", *twice))
    (tmp_path / "regions.csv").write_text("video,frame\n")
    with pytest.raises(StepError, match=r"lacks the column\(s\) region, x0, y0, x1, y1"):
        run(tmp_path, raw, regions=tmp_path / "regions.csv")


# --- bad input ------------------------------------------------------------------------------------------------------


def test_a_video_without_anybody_is_refused(tmp_path: Path) -> None:
    wall = Scene().wall
    write_video(tmp_path / "raw.mp4", [wall] * 12, [Fraction(i, 30) for i in range(12)])
    with pytest.raises(StepError, match=r"no person was detected in .*raw\.mp4"):
        run(tmp_path, tmp_path / "raw.mp4")


def test_a_damaged_video_names_the_frame_and_leaves_nothing(tmp_path: Path) -> None:
    from childgait.engine.run_step import run_command_line

    data = bytearray(Scene(frames=20).write(tmp_path / "raw.mp4").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    (tmp_path / "raw.mp4").write_bytes(data)
    (tmp_path / "register.json").write_text(json.dumps({"pose_layout": "coco17"}))
    out = tmp_path / "out"
    arguments = [
        "--video",
        str(tmp_path / "raw.mp4"),
        "--register",
        str(tmp_path / "register.json"),
        "--name",
        NAME,
        "--covered",
        str(out / "a.mp4"),
        "--regions-found",
        str(out / "a.parquet"),
        "--heads",
        str(out / "a.jpg"),
        "--poses-out",
        str(out / "p.parquet"),
        "--evidence",
        str(out / "e.json"),
        "--params",
        str(Path(__file__).parents[2] / "params.yaml"),
    ]
    with pytest.raises(StepError, match=r"cannot be decoded from frame \d+ on"):
        run_command_line(deidentify, arguments, recorded=True)
    assert list(out.iterdir()) == []


def test_backends_without_weights_and_with_wrong_ones_are_refused(tmp_path: Path) -> None:
    raw = Scene(frames=4).write(tmp_path / "raw.mp4")
    with pytest.raises(StepError, match="retinaface_weights is empty"):
        run(tmp_path, raw, backends=["retinaface"])
    (tmp_path / "face.onnx").write_bytes(b"x")
    with pytest.raises(StepError, match="these are other weights"):
        run(
            tmp_path,
            raw,
            backends=["retinaface"],
            retinaface_weights=str(tmp_path / "face.onnx"),
            retinaface_sha256="0" * 64,
        )
    with pytest.raises(StepError, match="sam3_weights is empty"):
        run(tmp_path, raw, backends=["sam3"])


def test_more_than_eight_cells_are_refused(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("  cells: 6 ", "  cells: 9 "))
    with pytest.raises(StepError, match=r"deidentify.cells is 9"):
        load_section(tmp_path / "params.yaml", Deidentify)


def test_an_output_that_shows_something_else_than_its_covers_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from childgait.vision.head_covers import draw

    monkeypatch.setattr(draw, "covered_frames", lambda video, covers: (frame.planes for frame in video.frames()))
    with pytest.raises(StepError, match="frame 0 of the covered video differs from its covers"):
        run(tmp_path, Scene(frames=6).write(tmp_path / "raw.mp4"))


@pytest.mark.parametrize(("max_bytes", "decoded"), [(10**9, 1), (1, 2)])
def test_a_raw_video_is_decoded_once_where_it_fits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_bytes: int, decoded: int
) -> None:
    from childgait.vision.head_covers import raw_video

    opened = []
    monkeypatch.setattr(raw_video, "read_frames", lambda path: opened.append(path) or read_frames(path))
    video = raw_video.RawVideo(Scene(frames=6).write(tmp_path / "raw.mp4"), max_bytes)
    first = [(frame.seconds, frame.planes.data.copy()) for frame in video.frames()]
    for frame, (seconds, data) in zip(video.frames(), first, strict=True):
        assert frame.seconds == seconds
        np.testing.assert_array_equal(frame.planes.data, data)
        frame.planes.data[:] = 0  # as `draw` does: the next pass yields the raw frame again
    assert len(opened) == decoded
    assert next(iter(video.frames())).planes.data.any()


def test_the_portraits_head_box_is_the_true_one() -> None:
    """The tests above rely on it."""
    assert covered_mask(0, [], 4, 4).sum() == 0
    assert (HEAD[2:] - HEAD[:2]).tolist() == [154, 182]


def test_sam3_finds_by_words_and_follows_a_persons_box(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The real classes at a tiny random configuration: every object they segment is covered."""
    from childgait.files.hashes import sha256
    from childgait.files.regions import Region
    from childgait.vision.head_covers.look import tracks_of_regions
    from childgait.vision.head_covers.raw_video import RawVideo
    from support.tiny_sam3 import build_sam3

    weights = build_sam3(tmp_path_factory.mktemp("sam3"))
    scene = Scene(frames=4, size=(112, 112), head_pixels=40)
    raw = scene.write(tmp_path / "raw.mp4")
    settings = {
        "backends": ["sam3"],
        "sam3_weights": str(weights),
        "sam3_sha256": sha256(weights / "model.safetensors"),
        "sam3_prompts": ["head"],
    }
    table = regions(tmp_path / "regions.csv", f"{NAME},badge,2,60,70,90,100")
    done = run(tmp_path, raw, regions=table, **settings)
    assert done.regions is not None
    assert done.evidence["share_sam3"] > 0
    assert done.evidence["share_detected"] == 0  # CenterFace was not in use
    region = Region("badge", 2, (60, 70, 90, 100))
    tracked = tracks_of_regions([region], 4, RawVideo(raw), PARAMS.model_copy(update=settings))
    assert tracked[0].present.all()  # from the one frame to all, both ways
