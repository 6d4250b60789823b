"""Counts by decoding, exact times, upright pixels, errors at damaged frames, and files without metadata."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from childgait.errors import StepError
from childgait.files.video import decoded_sha256, from_rgb, probe, read_frames, write_video


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    wall = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
    wall = np.repeat(np.repeat(wall[::8, ::8], 8, 0), 8, 1)[:height, :width]
    return [np.roll(wall, frame, axis=1) for frame in range(count)]


def times(count: int) -> list[Fraction]:
    return [Fraction(1001 * frame, 60000) for frame in range(count)]


def rewrapped(source: Path, target: Path, **options: str) -> Path:
    """Copy the packets into another container."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "a.mp4", pictures(40), times(40))
    return tmp_path / "a.mp4"


def test_what_is_written_lossless_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    planes = [from_rgb(picture) for picture in pictures(12)]
    write_video(tmp_path / "a.mp4", planes, times(12))
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [frame.seconds for frame in frames] == times(12)
    assert all(np.array_equal(a.planes.data, b.data) for a, b in zip(frames, planes, strict=True))


def test_rgb_survives_the_way_to_yuv_and_back(tmp_path: Path) -> None:
    smooth = np.linspace(20, 230, 64)[None, :, None] * np.array([1.0, 0.8, 0.6]) + np.zeros((48, 1, 1))
    write_video(tmp_path / "a.mp4", [smooth.astype(np.uint8)], times(1))
    (frame,) = read_frames(tmp_path / "a.mp4")
    assert np.abs(frame.pixels.astype(int) - smooth.astype(np.uint8)).mean() < 1.5


def test_bytes_depend_neither_on_the_run_nor_on_the_threads_given(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHILDGAIT_THREADS", "4")
    write_video(tmp_path / "b.mp4", pictures(40), times(40))
    assert video.read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert decoded_sha256(video) == decoded_sha256(tmp_path / "b.mp4") == probe(video).sha256


def test_variable_times_are_kept_exactly(tmp_path: Path) -> None:
    uneven = [Fraction(0), Fraction(1, 60), Fraction(1, 30), Fraction(7, 60), Fraction(2, 15)]
    write_video(tmp_path / "a.mp4", pictures(5), uneven)
    facts = probe(tmp_path / "a.mp4")
    assert facts.seconds == tuple(uneven)
    assert facts.rate == Fraction(4) / Fraction(2, 15)
    assert facts.is_variable(0.05)
    write_video(tmp_path / "b.mp4", pictures(5), times(5))
    assert not probe(tmp_path / "b.mp4").is_variable(0.05)


def test_time_starts_at_the_first_frame_even_if_the_file_starts_later(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "late.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index, picture in enumerate(pictures(4)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index + 9, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert [frame.seconds for frame in read_frames(tmp_path / "late.mkv")] == [Fraction(i, 25) for i in range(4)]


def test_the_rotation_flag_is_applied_to_the_pixels_once(tmp_path: Path) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = 255  # at the top left
    write_video(tmp_path / "a.mp4", [picture] * 3, times(3))
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = data.find(b"tkhd") + 44
    assert struct.unpack(">9i", data[matrix : matrix + 36])[0] == 65536
    data[matrix : matrix + 36] = struct.pack(
        ">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30
    )  # a quarter turn clockwise
    (tmp_path / "turned.mp4").write_bytes(data)
    facts = probe(tmp_path / "turned.mp4")
    assert (facts.width, facts.height, facts.rotation) == (48, 64, 270)
    pixels = next(read_frames(tmp_path / "turned.mp4")).pixels
    assert pixels.shape == (64, 48, 3)
    assert pixels[4, 44].min() > 200  # now at the top right
    assert pixels[4, 4].max() < 50


MIRRORED = {"left to right": (-1, 0, 0, 1), "upside down": (1, 0, 0, -1), "and turned": (0, 1, 1, 0)}


@pytest.mark.parametrize("way", MIRRORED)
def test_a_mirrored_picture_is_refused_since_left_would_be_right(tmp_path: Path, way: str) -> None:
    write_video(tmp_path / "a.mp4", pictures(3), times(3))
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    a, b, c, d = (65536 * number for number in MIRRORED[way])
    matrix = data.find(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "mirrored.mp4").write_bytes(data)
    with pytest.raises(StepError, match=r"mirrored\.mp4 has a flag to be mirrored"):
        next(read_frames(tmp_path / "mirrored.mp4"))


def test_pixels_that_are_no_squares_are_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for picture in pictures(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(StepError, match=r"wide\.mp4 has pixels of 4:3, not square ones"):
        probe(tmp_path / "wide.mp4")


@pytest.mark.parametrize(("width", "height"), [(96, 80), (97, 81)])  # halved chroma, and whole
def test_a_part_is_what_the_whole_picture_shows_there(tmp_path: Path, width: int, height: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_video(tmp_path / "noise.mp4", [noise], [Fraction(0)])
    frame = next(read_frames(tmp_path / "noise.mp4"))
    whole = frame.pixels
    for left, top, right, bottom in [
        (0, 0, width, height),
        (0, 0, 20, 30),
        (31, 22, 64, 45),
        (33, 21, 50, 60),
        (50, 30, width, height),
        (40, 40, 41, 41),
        (width, 10, width, 20),
        (0, 0, 0, 10),
        (40, 1, 95, 79),
    ]:
        assert np.array_equal(frame.part(left, top, right, bottom), whole[top:bottom, left:right]), (left, top)


def test_odd_sizes_keep_every_pixel(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(3, 47, 63), times(3))
    facts = probe(tmp_path / "a.mp4")
    assert (facts.width, facts.height, facts.pixel_format) == (63, 47, "yuv444p")


def test_nothing_but_the_picture_is_written(video: Path) -> None:
    facts = probe(video)
    assert facts.other_streams == ()
    assert "creation_time" not in facts.metadata
    assert b"Lavf" not in video.read_bytes()


def test_a_truncated_file_names_the_frame(tmp_path: Path, video: Path) -> None:
    whole = rewrapped(video, tmp_path / "front.mp4", movflags="+faststart").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    good = []
    with pytest.raises(StepError, match="cannot be decoded from frame") as raised:
        good.extend(read_frames(cut))
    assert f"from frame {len(good)} on" in str(raised.value)
    assert 0 < len(good) < 40


def test_a_cut_matroska_file_is_noticed(tmp_path: Path, video: Path) -> None:
    whole = rewrapped(video, tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StepError, match=r"cannot be decoded from frame \d+ on"):
        probe(tmp_path / "cut.mkv")


def test_damage_in_the_middle_is_fatal(tmp_path: Path, video: Path) -> None:
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    (tmp_path / "hurt.mp4").write_bytes(data)
    with pytest.raises(StepError, match=r"cannot be decoded from frame \d+ on"):
        probe(tmp_path / "hurt.mp4")


@pytest.mark.parametrize("content", [b"", b"this is not a video" * 50])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(StepError, match="cannot be opened as a video"):
        probe(tmp_path / "a.mp4")


def test_a_file_without_a_picture_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(StepError, match="no video stream"):
        probe(tmp_path / "sound.mp4")


def test_frames_and_times_must_match(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 frames for 4 times"):
        write_video(tmp_path / "a.mp4", pictures(3), times(4))
