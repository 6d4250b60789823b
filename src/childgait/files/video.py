"""Video files, through PyAV alone: facts of a file, its frames with exact times, and a writer without metadata.

Frames are counted by decoding, never from a header; times are fractions of a second from the first frame; the rotation
flag is applied to the pixels once, on reading; a decoding error is fatal and names its frame. Frames are 8-bit YUV
planes, so that a step which changes a region leaves every other pixel as it was; `Frame.pixels` is their RGB view.

Written files contain one H.264 stream and nothing else. The working form is lossless (qp 0): its decoded pixels depend
on neither the number of cores nor the instruction set, which no lossy encoder guarantees. Compare by `decoded_sha256`.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.errors import StepError
from childgait.user_files import check_regular

if TYPE_CHECKING:
    import numpy as np

# swscale's flags: bicubic, full chroma on both sides, accurate rounding, bit-exact. Without the last two its result
# depends on the processor's instruction set.
_EXACT = 4 | 8192 | 16384 | 262144 | 524288
_CONVERSION_REACH = 8  # pixels; more than the reach of the bicubic filter of halved chroma
_FULL_RANGE = ("yuvj420p", "yuvj422p", "yuvj444p")
_LARGEST_TIMESCALE = 2**31 - 1  # of an mp4 track
LARGEST_SIDE = 8192  # pixels of a frame's side
LONGEST = 100_000  # frames of a recording: 28 minutes at 60 Hz


@dataclass(frozen=True)
class Colour:
    """The colour tags of a stream, as FFmpeg numbers them. They are copied, never converted."""

    space: int = 2  # 2: unspecified, which players and this module take as BT.601
    range: int = 0  # 0: unspecified, 1: limited, 2: full
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True)
class Planes:
    """One picture as 8-bit Y, U and V in one flat array; chroma is halved both ways (`halved`) or full size."""

    data: np.ndarray
    width: int
    height: int
    halved: bool

    def _plane(self, number: int) -> np.ndarray:
        full = self.width * self.height
        if number == 0:
            return self.data[:full].reshape(self.height, self.width)
        part, step = (full // 4, 2) if self.halved else (full, 1)
        start = full + (number - 1) * part
        return self.data[start : start + part].reshape(self.height // step, self.width // step)

    @property
    def y(self) -> np.ndarray:
        return self._plane(0)

    @property
    def u(self) -> np.ndarray:
        return self._plane(1)

    @property
    def v(self) -> np.ndarray:
        return self._plane(2)

    def around(self, left: int, top: int, right: int, bottom: int) -> tuple[Planes, int, int]:
        """Return the planes of a part with the margin its conversion to RGB needs, and the part's corner in them."""
        import numpy as np

        (x0, x1), (y0, y1) = _around(left, right, self.width), _around(top, bottom, self.height)
        pieces = []
        for number, plane in enumerate((self.y, self.u, self.v)):
            step = 2 if self.halved and number else 1
            pieces.append(plane[y0 // step : y1 // step, x0 // step : x1 // step].reshape(-1))
        return Planes(np.concatenate(pieces), x1 - x0, y1 - y0, self.halved), left - x0, top - y0

    def copy(self) -> Planes:
        return Planes(self.data.copy(), self.width, self.height, self.halved)


def _around(first: int, last: int, limit: int) -> tuple[int, int]:
    """Return even bounds around first … last. The length is rounded, because a converter is cached per size."""
    length = min(-(-(last - first + 2 * _CONVERSION_REACH + 2) // 32) * 32, limit)
    begin = min(max(0, (first - _CONVERSION_REACH) // 2 * 2), limit - length)
    return begin, begin + length


@dataclass(frozen=True)
class Frame:
    """A decoded frame, upright, with its exact time from the video's first frame."""

    index: int
    seconds: Fraction
    planes: Planes
    colour: Colour

    @property
    def pixels(self) -> np.ndarray:
        """RGB, uint8, (height, width, 3); converted at every call."""
        return to_rgb(self.planes, self.colour)

    def part(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """Return `pixels[top:bottom, left:right]`, converting only that part and its margin."""
        planes, lead_x, lead_y = self.planes.around(left, top, right, bottom)
        whole = to_rgb(planes, self.colour)
        return whole[lead_y : lead_y + bottom - top, lead_x : lead_x + right - left]


@dataclass(frozen=True)
class VideoFacts:
    """Facts of a video file, measured by decoding it completely."""

    width: int  # upright, after rotation
    height: int
    rotation: int  # counter-clockwise degrees of the rotation flag: 0, 90, 180 or 270
    frames: int
    seconds: tuple[Fraction, ...]  # each frame's time, the first is zero
    codec: str
    pixel_format: str
    other_streams: tuple[str, ...]  # kind of every stream but the one that is read: audio, subtitle, data, video
    metadata: tuple[str, ...]  # names of the metadata keys, never their values
    sha256: str  # of the decoded frames

    @property
    def rate(self) -> Fraction:
        """Average frames per second; zero for a single frame."""
        return (self.frames - 1) / self.seconds[-1] if self.frames > 1 else Fraction(0)

    def is_variable(self, tolerance: float) -> bool:
        """Whether any interval differs from the average by more than this share of it."""
        mean = float(1 / self.rate) if self.rate else 0.0
        steps = (float(b - a) for a, b in zip(self.seconds, self.seconds[1:], strict=False))
        return any(abs(step - mean) > tolerance * mean for step in steps)


def open_video(path: Path) -> Any:
    """Open a video by the demuxer that its first bytes name, and by no other.

    FFmpeg's own choice also opens playlists (concat, HLS, DASH), which read other files, and image sequences.
    """
    import av

    demuxer = _demuxer_of(path)
    try:
        container = av.open(
            f"file:{path}", format=demuxer, metadata_errors="ignore", options={"protocol_whitelist": "file"}
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise StepError(
            f"{path} cannot be opened as a video ({_reason(error)})", hint="copy the file again from its source"
        ) from None
    try:
        _check_declared(path, container)
    except StepError:
        container.close()
        raise
    return container


def _demuxer_of(path: Path) -> str:
    """Return FFmpeg's name of the container by its first bytes: MP4 and MOV, Matroska and WebM, or AVI."""
    check_regular(path)
    with path.open("rb") as stream:
        head = stream.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return "mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    kind = "is empty" if not head else f"begins with {head[:8]!r}, as neither MP4, MOV, MKV, WebM nor AVI"
    raise StepError(
        f"{path} cannot be opened as a video (it {kind})",
        hint="copy the file again from its source; playlists and other containers are not read",
    )


def _check_declared(path: Path, container: Any) -> None:
    """Fail without a video stream, and on a frame size beyond LARGEST_SIDE."""
    if not container.streams.video:
        raise StepError(f"{path} contains no video stream", hint="give a video, or exclude it in params.yaml")
    context = container.streams.video[0].codec_context
    if context is None:
        raise StepError(f"{path} is of a codec that is unknown here", hint="write it as H.264 (ffmpeg -i IN OUT.mp4)")
    if max(context.width, context.height) > LARGEST_SIDE:
        raise StepError(
            f"{path} declares frames of {context.width}x{context.height} pixels, more than {LARGEST_SIDE} on a side",
            hint="check the file; write it smaller if it is right",
        )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _decode(path: Path, container: Any) -> Iterator[Any]:
    """Yield every frame of the first video stream as FFmpeg decodes it; fail at the first damaged one."""
    import av

    from childgait.threads import threads

    stream = container.streams.video[0]
    stream.codec_context.thread_count = threads()  # decoded pixels do not depend on it
    stream.codec_context.thread_type = "AUTO"
    end_declared = _matroska_end(container, stream)
    count = 0
    frames = container.decode(stream)
    while True:
        try:
            frame = next(frames)
        except (StopIteration, av.error.EOFError):
            break
        except av.error.FFmpegError as error:
            raise _damaged(path, count, _reason(error)) from None
        if frame.is_corrupt:
            raise _damaged(path, count, "its data are incomplete")
        if frame.pts is None:
            raise StepError(f"{path}: frame {count} has no time stamp", hint="rewrap the file with one per frame")
        if count == 0:
            _check_geometry(path, stream, frame)
        if count >= LONGEST:
            raise StepError(f"{path} has more than {LONGEST:,} frames", hint="cut it into shorter recordings")
        yield frame
        count += 1
    if count and end_declared is not None and float(frame.pts * frame.time_base) + 0.1 < end_declared:
        raise _damaged(path, count, f"its header declares {end_declared:.2f} s")
    if count == 0:
        raise StepError(f"{path} contains no frame that can be decoded", hint="copy the file again from its source")


def _check_geometry(path: Path, stream: Any, frame: Any) -> None:
    """Fail on non-square pixels, which would distort angles, and on mirroring, which exchanges left and right."""
    from av.sidedata.sidedata import Type

    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        raise StepError(
            f"{path} has pixels of {aspect.numerator}:{aspect.denominator}, not square ones",
            hint="write it with square pixels (ffmpeg -i IN -vf 'scale=iw*sar:ih,setsar=1' OUT); keypoints must fit it",
        )
    if matrix := frame.side_data.get(Type.DISPLAYMATRIX):
        a, b, _, c, d, *_ = struct.unpack("<9i", bytes(matrix))
        if a * d - b * c < 0:
            raise StepError(
                f"{path} has a flag to be mirrored, which exchanges left and right",
                hint="write it upright (ffmpeg -i IN OUT rotates and mirrors the pixels themselves)",
            )


def _matroska_end(container: Any, stream: Any) -> float | None:
    """Return the declared end of a Matroska file in seconds; when truncated it ends without an error, unlike others."""
    if "matroska" not in container.format.name:
        return None
    declared = re.fullmatch(r"([0-9]{2,4}):([0-9]{2}):([0-9]{2}(?:\.[0-9]+)?)\0*", stream.metadata.get("DURATION", ""))
    if declared:  # 00:00:03.333000000
        return int(declared[1]) * 3600 + int(declared[2]) * 60 + float(declared[3])
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def _damaged(path: Path, count: int, reason: str) -> StepError:
    return StepError(
        f"{path} cannot be decoded from frame {count} on ({reason})",
        hint="copy the file again from its source, or exclude it in params.yaml",
    )


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield every frame in order, upright, with exact times. Fails at the first damaged frame."""
    container = open_video(path)
    with container:
        first, previous, size = None, None, None
        for index, frame in enumerate(_decode(path, container)):
            time = frame.pts * frame.time_base
            if previous is not None and time <= previous:
                raise StepError(
                    f"{path}: the time stamp of frame {index} ({float(time):.4f} s) is not after the one before it",
                    hint="rewrap the file so that its time stamps increase",
                )
            first = time if first is None else first
            previous = time
            planes = _planes_of(frame)
            size = size or (planes.width, planes.height)
            if (planes.width, planes.height) != size:
                raise StepError(
                    f"{path}: frame {index} is {planes.width}x{planes.height}, those before it {size[0]}x{size[1]}",
                    hint="split the file where its size changes",
                )
            yield Frame(index, Fraction(time - first), planes, _colour_of(frame))


def probe(path: Path) -> VideoFacts:
    """Decode the whole file and return its facts."""
    container = open_video(path)
    with container:
        stream = container.streams.video[0]
        codec, pixel_format = stream.codec_context.name, stream.codec_context.pix_fmt or "unknown"
        others = tuple(s.type or "unknown" for s in container.streams if s.index != stream.index)
        keys = {*container.metadata, *(key for s in container.streams for key in s.metadata)}
        frame = next(_decode(path, container))
        rotation = frame.rotation % 360
    digest = hashlib.sha256()
    seconds = []
    for upright in read_frames(path):
        update_hash(digest, upright)
        seconds.append(upright.seconds)
    return VideoFacts(
        width=upright.planes.width,
        height=upright.planes.height,
        rotation=rotation,
        frames=len(seconds),
        seconds=tuple(seconds),
        codec=codec,
        pixel_format=pixel_format,
        other_streams=others,
        metadata=tuple(sorted(keys)),
        sha256=digest.hexdigest(),
    )


def decoded_sha256(path: Path) -> str:
    """Return the hash of sizes, times and pixels of all decoded frames: equal on every machine."""
    digest = hashlib.sha256()
    for frame in read_frames(path):
        update_hash(digest, frame)
    return digest.hexdigest()


def update_hash(digest: Any, frame: Frame) -> None:
    """Add a frame to a hash of decoded frames."""
    planes = frame.planes
    digest.update(f"{planes.width}x{planes.height} {int(planes.halved)} {frame.seconds}\n".encode())
    digest.update(planes.data)


def _colour_of(frame: Any) -> Colour:
    full = frame.format.name in _FULL_RANGE
    return Colour(
        int(frame.colorspace), 2 if full else int(frame.color_range), int(frame.color_primaries), int(frame.color_trc)
    )


def _planes_of(frame: Any) -> Planes:
    """Return the planes of a frame, upright. 8-bit 4:2:0 stays as it is; other formats become 8-bit 4:4:4."""
    import numpy as np

    name = frame.format.name
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    halved = name in ("yuv420p", "yuvj420p") and even
    target = name if halved else "yuv444p"
    if name != target and not (name == "yuvj444p" and target == "yuv444p"):
        full = name in _FULL_RANGE or int(frame.color_range) == 2
        same = 2 if full else 1  # the range is kept as it is
        frame = frame.reformat(format=target, interpolation=_EXACT, src_color_range=same, dst_color_range=same)
    width, height = frame.width, frame.height
    planes = []
    for number, plane in enumerate(frame.planes):
        step = 2 if halved and number else 1
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        planes.append(rows[: height // step, : width // step])
    turns = (frame.rotation % 360) // 90
    if turns:
        planes = [np.rot90(plane, turns) for plane in planes]
        height, width = planes[0].shape
    data = np.concatenate([plane.reshape(-1) for plane in planes])
    return Planes(data, width, height, halved)


def _as_frame(planes: Planes) -> Any:
    import av
    import numpy as np

    frame = av.VideoFrame(planes.width, planes.height, "yuv420p" if planes.halved else "yuv444p")
    for plane, pixels in zip(frame.planes, (planes.y, planes.u, planes.v), strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        rows[: pixels.shape[0], : pixels.shape[1]] = pixels
    return frame


@functools.lru_cache(maxsize=8)
def _converter(thread: int, matrix: int, source_range: int) -> Any:
    """Cache swscale's context per format; creating it takes as long as converting a small picture."""
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def to_rgb(planes: Planes, colour: Colour) -> np.ndarray:
    """Convert to RGB pixels, with rounding that is the same on every machine."""
    matrix, source_range = _matrix(colour), 2 if colour.range == 2 else 1
    frame = _converter(threading.get_ident(), matrix, source_range).reformat(
        _as_frame(planes),
        format="rgb24",
        interpolation=_EXACT,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=source_range,
        dst_color_range=2,
    )
    pixels: np.ndarray = frame.to_ndarray()
    return pixels


def from_rgb(pixels: np.ndarray, colour: Colour = Colour()) -> Planes:
    """Convert RGB pixels to planes; chroma is halved where both sides are even."""
    import av

    height, width = pixels.shape[:2]
    halved = width % 2 == 0 and height % 2 == 0
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        format="yuv420p" if halved else "yuv444p",
        interpolation=_EXACT,
        src_colorspace=_matrix(colour),
        dst_colorspace=_matrix(colour),
        src_color_range=2,
        dst_color_range=2 if colour.range == 2 else 1,
    )
    return _planes_of(frame)


def _matrix(colour: Colour) -> int:
    """Return swscale's number of a colour matrix: BT.709 where the stream specifies it, else BT.601."""
    return 1 if colour.space == 1 else 5


def write_video(
    path: Path,
    frames: Iterable[np.ndarray | Planes],
    seconds: Sequence[Fraction],
    *,
    lossless: bool = True,
    crf: int = 18,
    colour: Colour = Colour(),
) -> None:
    """Write one H.264 stream into an mp4: frames (RGB or planes) at exactly these times, no metadata, one thread."""
    import av

    timescale = _timescale(path, seconds)
    options = {"preset": "ultrafast", "qp": "0"} if lossless else {"preset": "medium", "crf": str(crf)}
    options |= {"threads": "1", "bf": "0"}  # no reordering: the first packet is at time zero, without an edit list
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream, written = None, 0
        for pixels in frames:
            planes = pixels if isinstance(pixels, Planes) else from_rgb(pixels, colour)
            if stream is None:
                stream = _stream(container, planes, timescale, options, colour)
            if written >= len(seconds):
                raise ValueError(f"more frames than the {len(seconds)} times given")
            frame = _as_frame(planes)
            frame.pts = int(seconds[written] * timescale)
            frame.time_base = Fraction(1, timescale)
            frame.duration = _duration(seconds, written, timescale)
            for packet in stream.encode(frame):
                container.mux(packet)
            written += 1
        if stream is None or written != len(seconds):
            raise ValueError(f"{written} frames for {len(seconds)} times")
        for packet in stream.encode(None):
            container.mux(packet)


def _stream(container: Any, planes: Planes, timescale: int, options: dict[str, str], colour: Colour) -> Any:
    stream = container.add_stream("libx264", options=options)
    context = stream.codec_context
    context.width, context.height = planes.width, planes.height
    context.pix_fmt = "yuv420p" if planes.halved else "yuv444p"
    context.time_base = stream.time_base = Fraction(1, timescale)
    context.thread_count, context.thread_type = 1, "NONE"
    context.flags |= 1 << 23  # bit-exact: no version string in the stream
    context.colorspace, context.color_range = colour.space, colour.range
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    return stream


def _duration(seconds: Sequence[Fraction], index: int, timescale: int) -> int:
    """Return the ticks to the next frame; the last frame lasts as long as the one before it."""
    if len(seconds) == 1:
        return 1
    index = min(index, len(seconds) - 2)
    return int((seconds[index + 1] - seconds[index]) * timescale)


def _timescale(path: Path, seconds: Sequence[Fraction]) -> int:
    """Return the ticks per second in which every time is a whole number."""
    assert seconds[0] == 0, "times count from the first frame"
    timescale = math.lcm(*(time.denominator for time in seconds))
    if timescale > _LARGEST_TIMESCALE:
        raise StepError(
            f"{path}: no mp4 time scale holds these times exactly", hint="rewrap the source with one common time base"
        )
    return max(timescale, 1)
