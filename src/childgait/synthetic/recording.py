"""Renders one child's recordings: per session a walk out and back, each by two cameras at once.

Writes per view the video, the delivered keypoints and the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, VIEWS
from childgait.domain.names import POSE_FOLDER
from childgait.domain.skeleton import POINTS
from childgait.params import Synthesize
from childgait.synthetic.camera import PASS_OF_VIEW, Camera, Framing, frame_camera, into_world, place_camera
from childgait.synthetic.child import Child, Random
from childgait.synthetic.figure import Figure, FigureBuilder, HeadPart, Look, Painter, draw_look
from childgait.synthetic.keypoints import frames_as_json, spoil, write_loose, write_packed
from childgait.synthetic.mesh import MeshFigure, MeshHead, MeshPainter, build_mesh, replace_face, see_points
from childgait.synthetic.motion import Motion, walk
from childgait.synthetic.population import base_child
from childgait.synthetic.rating import Scores, stream
from childgait.synthetic.scene import (
    Film,
    Lens,
    Room,
    burn_logo,
    cast_shadow,
    draw_lens,
    draw_room,
    paint_room,
    shadow_lines,
)
from childgait.synthetic.truth import Truth, pack_labels, pack_mask, save_truth
from childgait.synthetic.turning import draw_turn
from childgait.synthetic.walks import (
    CHILD,
    PERSON,
    STEP,
    Walk,
    build_aid,
    build_chair,
    draw_other,
    seen_points,
    sit_still,
    stand_still,
    walk_beside,
)

Array = NDArray[np.float64]
Person = Figure | MeshFigure
MOST_STANDING = 2  # people of synthesize.standing_people
RATES = {"25": Fraction(25), "30": Fraction(30), "59": Fraction(59), "59.94": Fraction(60000, 1001), "60": Fraction(60)}


class Recording(TypedDict):
    """One recording."""

    name: str
    subject: str
    session: str
    view: str
    frames: int
    rate: str  # frames per second, as a fraction
    video: str  # path below the cohort's folder
    poses: str


class WrittenRecording(Recording):
    """A recording with size and hash of its files, as cohort.json states it."""

    video_bytes: int
    video_sha256: str
    poses_bytes: int
    poses_sha256: str


@dataclass(frozen=True)
class Session:
    """One visit: what stays the same in all its views."""

    number: int
    rate: Fraction
    room: Room
    look: Look
    other_look: Look | None


def record_child(index: int, child: Child, scores: Scores, root: Path, params: Synthesize) -> list[Recording]:
    cv2.setNumThreads(1)
    folder = root / "dataset" / child.subject
    folder.mkdir()
    look = draw_look(stream(params.seed, index, 2))
    recordings = []
    base = base_child(index, params)
    for number in range(1, sessions_of(index, params) + 1):
        rng = stream(params.seed, index, 3, number)
        accompanied = rng.random() < params.bystander and number <= params.sessions  # nobody else at a repeated visit
        other = draw_look(rng, adult=True) if accompanied else None
        if params.therapist:
            other = draw_look(stream(params.seed, index, 9, number), adult=True)
        rate = RATES[params.rates[int(rng.integers(len(params.rates)))]]
        session = Session(number, rate, draw_room(rng), look, other)
        walks = {way: _draw_walk(child, base, way, session, params, rng) for way in ("out", "back")}
        lacking = [rng.random() < params.missing_views for _ in VIEWS]
        for place, view in enumerate(VIEWS):
            if lacking[place] and not all(lacking):
                continue
            seed = stream(params.seed, index, 4, number, place)
            recordings.append(_film(child, scores, view, session, walks[PASS_OF_VIEW[view]], root, params, seed))
    return recordings


def has_head_labels(params: Synthesize) -> bool:
    """Return whether the truth has the visible pixels of heads: with any option that the demo does not use."""
    people = params.standing_people > 0 or params.seated_people > 0 or params.therapist
    return people or params.camera != "static" or params.logo or params.turns > 0


def sessions_of(index: int, params: Synthesize) -> int:
    """Return the number of sessions of child number `index`, from 0: a share of the children comes once more."""
    return params.sessions + int(stream(params.seed, index, 8).random() < params.repeated_visits)


def _draw_walk(child: Child, base: Child, way: str, session: Session, params: Synthesize, rng: Random) -> Walk:
    """A walk of a few seconds round the walkway's middle.

    Its duration and the other person's walk follow from `base`, so that they do not depend on the population.
    """
    start, seed = float(rng.random()), int(rng.integers(1, 2**31))
    interval = float(1 / session.rate)
    probe = walk(base, np.arange(0, 2 * base.stride, interval), start=start)
    pace = probe.parts["pelvis"][-1, 0] / probe.seconds[-1]
    length = float(np.clip(rng.uniform(*params.seconds), params.seconds[0], max(params.seconds[0], 4.4 / pace)))
    seconds = np.asarray(np.arange(round(length / interval)) * interval, dtype=np.float64)
    aside = np.array([rng.normal(0, 0.08), rng.normal(0, 0.05), 0.0])
    other = None
    if session.other_look is not None:
        usual = walk(base, seconds, start=start, seed=seed)
        if params.therapist:
            extra = stream(params.seed, int(child.subject), 10, session.number)
            other = walk_beside(usual, way, aside - _middle(usual), extra, pace)
        else:
            other = draw_other(usual, way, aside - _middle(usual), rng, pace)
    motion = walk(child, seconds, start=start, seed=seed)
    walked = Walk(way, motion, aside - _middle(motion), other)
    extra = stream(params.seed, int(child.subject), 11, session.number, ("out", "back").index(way))
    return _turn_round(walked, aside, extra) if child.aid == "none" and extra.random() < params.turns else walked


def _turn_round(walked: Walk, aside: Array, rng: Random) -> Walk:
    """Let the child turn round in the middle, and with it somebody who walks beside it."""
    turn = draw_turn(walked.motion, rng)
    motion, other = turn.bend(walked.motion, np.zeros(3)), walked.other
    low, high = motion.parts["pelvis"].min(axis=0), motion.parts["pelvis"].max(axis=0)
    offset = aside - (low + high) / 2 * np.array([1.0, 1.0, 0.0])
    if other is not None and np.ptp(other[0].parts["pelvis"][:, 0]) > 0.2:
        other = (turn.bend(other[0], other[2] - walked.offset), other[1], offset)
    return Walk(walked.way, motion, offset, other, turn.times)


def _middle(motion: Motion) -> Array:
    """Return the middle of the walk along the walkway, (3,)."""
    path = motion.parts["pelvis"][:, 0]
    return np.array([(path[0] + path[-1]) / 2, 0.0, 0.0])


def _film(
    child: Child, scores: Scores, view: str, session: Session, walked: Walk, root: Path, params: Synthesize, rng: Random
) -> Recording:
    """Render one video; write it with its keypoints and its truth."""
    motion, size = walked.motion, (params.width, params.height)
    camera = place_camera(view, child.height, *size, rng, params.camera_raised)
    extra = stream(params.seed, int(child.subject), 5, session.number, tuple(PASS_OF_VIEW).index(view))  # options alone
    middle = into_world(motion.parts["pelvis"] + walked.offset, walked.way)
    framing = frame_camera(camera, params.camera, middle, motion.seconds, extra)
    camera = framing.wide
    count = len(motion.seconds)
    first = int(rng.integers(1, 600))
    name = f"{child.subject}-{session.number:04d}_{view}_{first}-{first + count - 1}"
    people = _build_people(child, session, walked, camera, view, extra, params)
    things = build_aid(child, walked, camera, count)
    for number in range(params.seated_people):
        people[f"seated {number + 1}"], chair = _build_seated(walked, camera, view, number, extra, params.body)
        things.append(chair)
    lens = draw_lens(rng)
    painter = _painter_of(people, things, lens.shutter, camera)
    world = into_world(motion.points + walked.offset, walked.way)
    figure = people["child"]
    if isinstance(figure, MeshFigure):
        world = replace_face(world, figure)
    exact, depth = camera.project(world)
    exact = exact - framing.corners[:, None]
    shadows = [shadow_lines(into_world(motion.points + walked.offset, walked.way), camera)]
    if walked.other is not None:
        shadows.append(shadow_lines(into_world(walked.other[0].points + walked.other[2], walked.way), camera))
    path = root / "dataset" / child.subject / f"{name}.mp4"
    masks, labels, visible, faces = _expose(
        path, painter, people, shadows, session, lens, framing, exact, depth, child, params, rng
    )
    delivered = spoil(exact, visible, size, float(session.rate), params, rng)
    texts, quirks = frames_as_json(name, delivered, size, float(session.rate), params, rng)
    poses = path.with_name(name + POSE_FOLDER + ("" if params.loose else ".zip"))
    (write_loose if params.loose else write_packed)(poses, texts)
    angles = {f"{limb}.{curve}": values for limb in LIMBS for curve, values in motion.curves[limb].items()}
    truth = Truth(
        name,
        *size,
        motion.seconds,
        exact,
        visible,
        {who: _head_boxes(someone, framing) for who, someone in people.items() if someone.head is not None},
        faces,
        angles,
        motion.events,
        delivered.planted + quirks,
        {limb: {"pattern": child.limb(limb).pattern, "strength": child.limb(limb).strength} for limb in LIMBS},
        scores,
        masks,
        labels if has_head_labels(params) else [],
        walked.turn,
    )
    save_truth(root / "truth" / f"{name}.npz", truth)
    return {
        "name": name,
        "subject": child.subject,
        "session": f"{session.number:04d}",
        "view": view,
        "frames": count,
        "rate": str(session.rate),
        "video": str(path.relative_to(root)),
        "poses": str(poses.relative_to(root)),
    }


def _build_person(
    body: str, motion: Motion, child: Child, look: Look, camera: Camera, way: str, offset: Array, base: int
) -> Person:
    """Build a person in one view, of capsules or as a mesh."""
    if body == "mesh":
        return build_mesh(motion, child, look, camera, way, offset, base)
    return FigureBuilder(motion, child, look, camera, way, offset, base).build()


def _build_people(
    child: Child, session: Session, walked: Walk, camera: Camera, view: str, rng: Random, params: Synthesize
) -> dict[str, Person]:
    """Build the figures of a video: the child, who walks along, and those who stand at the walkway's side."""
    body, way = params.body, walked.way
    people = {"child": _build_person(body, walked.motion, child, session.look, camera, way, walked.offset, CHILD)}
    if walked.other is not None:
        assert session.other_look is not None
        other, adult, offset = walked.other
        people["bystander"] = _build_person(body, other, adult, session.other_look, camera, way, offset, PERSON)
    for number in range(params.standing_people):
        still, adult, offset, way = stand_still(walked.motion, view, number, rng)
        identity = PERSON + (1 + number) * STEP
        look = draw_look(rng, adult=True)
        people[f"standing {number + 1}"] = _build_person(body, still, adult, look, camera, way, offset, identity)
    return people


def _build_seated(
    walked: Walk, camera: Camera, view: str, number: int, rng: Random, body: str
) -> tuple[Person, Figure]:
    """Build somebody who sits at the walkway's side, and the chair."""
    motion, adult, offset, seat = sit_still(walked.motion, view, number, rng)
    identity = PERSON + (1 + MOST_STANDING + number) * STEP
    person = _build_person(body, motion, adult, draw_look(rng, adult=True), camera, "out", offset, identity)
    return person, build_chair(motion, adult, offset, seat, camera)


def _painter_of(
    people: dict[str, Person], things: list[Figure], shutter: float, camera: Camera
) -> Painter | MeshPainter:
    meshes = [person for person in people.values() if isinstance(person, MeshFigure)]
    if meshes:
        return MeshPainter(meshes, things, shutter, (camera.width, camera.height))
    figures = [person for person in people.values() if isinstance(person, Figure)]
    return Painter([*figures, *things], shutter)


def _head_of(person: Person) -> HeadPart | MeshHead:
    assert person.head is not None
    return person.head


def _expose(
    path: Path,
    painter: Painter | MeshPainter,
    people: dict[str, Person],
    shadows: list[tuple[NDArray[np.int32], NDArray[np.int32]]],
    session: Session,
    lens: Lens,
    framing: Framing,
    exact: Array,
    depth: Array,
    child: Child,
    params: Synthesize,
    rng: Random,
) -> tuple[list[bytes], list[bytes], NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """Paint and encode every frame; returns the child's masks, the heads, visible keypoints and visible faces."""
    camera = framing.wide
    film = Film(lens, framing.width, framing.height, rng)
    empty = paint_room(session.room, camera)
    count = len(exact)
    masks, labels, visible = [], [], np.zeros((count, len(POINTS)), dtype=bool)
    head_of_identity = _label_heads(people)
    faces = {who: np.zeros(count, dtype=bool) for who in people}
    who_is_where = np.zeros((camera.height, camera.width), np.uint16)
    with VideoFile(path, session.rate, framing.width, framing.height, params.crf) as video:
        for index in range(count):
            frame = empty.copy()
            for lines, thick in shadows:
                cast_shadow(frame, lines[index], thick[index])
            later = frame.copy()
            painter.paint(frame, index, 0)
            painter.paint(later, index, 1)
            frame = cv2.addWeighted(frame, 0.5, later, 0.5, 0)
            picture = framing.cut(frame, index)
            if params.logo:
                burn_logo(picture)
            video.add(film.develop(np.ascontiguousarray(picture), index / max(count - 1, 1)))
            who_is_where[:] = 0
            painter.identify(who_is_where, index)
            identities = framing.cut(who_is_where, index)
            masks.append(pack_mask((identities >= CHILD) & (identities < PERSON)))
            labels.append(pack_labels(head_of_identity[identities]))
            visible[index] = _visible_points(
                painter, people["child"], exact[index], depth[index], identities, framing, index, child
            )
            for who, person in people.items():
                faces[who][index] = _face_seen(person, identities, index)
    return masks, labels, visible, faces


def _visible_points(
    painter: Painter | MeshPainter,
    person: Person,
    exact: Array,
    depth: Array,
    identities: NDArray[np.uint16],
    framing: Framing,
    index: int,
    child: Child,
) -> NDArray[np.bool_]:
    """Return which of the child's keypoints (23,) one frame shows."""
    if isinstance(painter, MeshPainter):
        assert isinstance(person, MeshFigure)
        surface = framing.cut(painter.surface, index)
        return see_points(exact, depth, identities, surface, person, index, child.height)
    assert isinstance(person, Figure)
    return seen_points(exact, depth, identities, person, painter.identity_depth, index, child)


def _label_heads(people: dict[str, Person]) -> NDArray[np.uint8]:
    """Return a table from identities to the number of the person whose head it is, from 1; 0 for anything else."""
    table = np.zeros(PERSON + 10 * STEP, np.uint8)
    for number, person in enumerate((one for one in people.values() if one.head is not None), 1):
        table[_head_of(person).identity] = number
    return table


def _head_boxes(person: Person, framing: Framing) -> Array:
    """The person's head in every frame (T, 4), cut at the picture; NaN where out of view."""
    head = _head_of(person)
    wide = head.boxes(framing.wide.width, framing.wide.height)
    if not framing.corners.any():
        return wide
    boxes = wide - np.tile(framing.corners, 2)
    boxes = np.clip(boxes, 0, np.tile([framing.width, framing.height], 2))
    shown = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    return np.where(shown[:, None], boxes, np.nan)


def _face_seen(person: Person, who_is_where: NDArray[np.uint16], index: int) -> bool:
    """The head looks this way, and half of it at least is in view."""
    head = _head_of(person)
    if abs((head.facing[index] + 180) % 360 - 180) > 100:  # a profile counts
        return False
    pixels = int((who_is_where == head.identity).sum())
    return pixels > 0.5 * head.area(index)


class VideoFile:
    """An H.264 file whose bytes depend on the frames alone: one thread, no version strings."""

    def __init__(self, path: Path, rate: Fraction, width: int, height: int, crf: int) -> None:
        self._container = av.open(str(path), "w", options={"fflags": "+bitexact"})
        self._stream = self._container.add_stream("libx264", rate=rate)
        stream_ = self._stream
        stream_.width, stream_.height, stream_.pix_fmt = width, height, "yuv420p"
        stream_.thread_count = 1
        stream_.time_base = 1 / rate
        stream_.options = {"preset": "ultrafast", "crf": str(crf), "g": "60", "flags": "+bitexact", "threads": "1"}
        self._count, self._time_base = 0, 1 / rate

    def __enter__(self) -> VideoFile:
        return self

    def add(self, planes: NDArray[np.uint8]) -> None:
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self._count, self._time_base
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def __exit__(self, *_: object) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
