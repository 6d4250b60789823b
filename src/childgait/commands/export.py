"""Writes keypoints, angles, events and gait features of recordings in the file formats of gait laboratories.

    childgait export --format csv                      # five tables per video
    childgait export --format xlsx                     # the same tables as sheets of one workbook
    childgait export --format trc --height 1.22        # keypoints as markers in metres, for a child of 1.22 m
    childgait export --format c3d --height 1.22        # markers in mm, angles and gait events
    childgait export --format mot                      # joint angles over time, for OpenSim
    childgait export --format coco --videos 0001-0001_left_459-740

Without --videos all recordings are written. Keep the output folder below logs, which an erasure searches.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

FORMATS = ("csv", "xlsx", "c3d", "trc", "mot", "coco")
# Our curves under OpenSim's names of coordinates; _l or _r is appended. Signs are those of gait/kinematics.py.
COORDINATES = {
    "hip": "hip_flexion",
    "knee": "knee_angle",
    "ankle": "ankle_angle",
    "foot_pitch": "foot_pitch",
    "trunk_lean": "trunk_lean",
    "obliquity": "pelvis_obliquity",
}
# The same curves under Plug-in Gait's names of angles (Vicon), with L or R in front.
PLUG_IN_GAIT = {"hip_flexion": "HipAngles", "knee_angle": "KneeAngles", "ankle_angle": "AnkleAngles"}
EVENT_LABELS = {"contact": "Foot Strike", "foot_off": "Foot Off"}


@dataclass(frozen=True)
class Sources:
    """The files of one recording."""

    video: str
    facts: Path
    poses: Path
    angles: Path
    events: Path
    clip: Path


def export(
    format: str = "csv",
    videos: list[str] | None = None,
    out: Path = Path("logs/export"),
    height: float | None = None,
    data: Path = Path("data"),
) -> None:
    """Write the recordings of the study `data` to the folder `out`; `height` is the child's in metres (trc, c3d)."""
    if format not in FORMATS:
        raise StepError(f"the format {format!r} is unknown", hint=f"known are {', '.join(FORMATS)}")
    if height is not None and not 0.3 <= height <= 2.5:
        raise StepError(f"a height of {height} m is impossible", hint="give the child's height in metres, as in 1.22")
    sources = find_sources(data, videos)
    out.mkdir(parents=True, exist_ok=True)
    for one in sources:
        for path in write_recording(one, format, out, height):
            print(path)
    print(f"{format} of {len(sources)} recordings in {out}")


def find_sources(data: Path, videos: list[str] | None) -> list[Sources]:
    """List the files of the requested recordings, or of all; fail if one is missing."""
    known = sorted(path.name.removesuffix(".poses.parquet") for path in (data / "refine_pose").glob("*.poses.parquet"))
    if not known:
        raise StepError(f"{data}/refine_pose has no keypoints", hint="`make run` makes them")
    sources = []
    for video in known if videos is None else videos:
        if video not in known:
            raise StepError(f"the study has no recording {video!r}", hint=f"it has {len(known)}, as {known[0]}")
        refined = data / "refine_pose"
        one = Sources(
            video,
            data / "register" / f"{video}.json",
            refined / f"{video}.poses.parquet",
            refined / f"{video}.angles.parquet",
            refined / f"{video}.events.parquet",
            data / "prepare_clips" / f"{video}.clip.json",
        )
        sources.append(one)
    missing = [path for one in sources for path in (one.facts, one.angles, one.events, one.clip) if not path.exists()]
    if missing:
        raise StepError(f"{missing[0]} is missing", hint="`make run` makes it")
    return sources


def write_recording(one: Sources, format: str, out: Path, height: float | None) -> list[Path]:
    """Write one recording in one format; returns the files."""
    from childgait.files.atomic import write_json
    from childgait.files.lab_formats import coco_keypoints, write_mot, write_trc, write_xlsx
    from childgait.files.poses import read_poses

    facts = json.loads(one.facts.read_text(encoding="utf-8"))
    path = out / f"{one.video}.{'coco.json' if format == 'coco' else format}"
    if format == "csv":
        paths = []
        for name, table in tables_of(one).items():
            paths.append(out / f"{one.video}.{name}.csv")
            table.write_csv(paths[-1])
        return paths
    if format == "xlsx":
        write_xlsx(path, tables_of(one))
    elif format == "mot":
        write_mot(path, f"{one.video}: joint angles in the picture's plane", *curves_of(one))
    elif format == "coco":
        write_json(path, coco_keypoints(one.video, read_poses(one.poses), facts["width"], facts["height"]))
    else:
        poses = read_poses(one.poses)
        scale = None if height is None else metres_per_pixel(one, height)
        rate, rows = facts["frames_per_second"], facts["height"]
        if format == "trc":
            write_trc(path, poses, rate, rows, scale)
        else:
            from childgait.files.lab_c3d import write_c3d

            write_c3d(path, poses, rate, rows, scale, plug_in_gait_angles(one), lab_events(one))
    return [path]


def tables_of(one: Sources) -> dict[str, pl.DataFrame]:
    """Return the recording's tables: keypoints, angles, events, and of its clip strides and features."""
    from childgait.files.clips import open_clip
    from childgait.files.poses import POSES
    from childgait.files.tables import read_table
    from childgait.gait.events import EVENTS
    from childgait.gait.features import measure_clip
    from childgait.gait.kinematics import ANGLES
    from childgait.gait.recording_tables import features_table, strides_table

    walk = measure_clip(open_clip(one.clip))
    return {
        "keypoints": read_table(one.poses, POSES),
        "angles": read_table(one.angles, ANGLES),
        "events": read_table(one.events, EVENTS),
        "strides": strides_table(walk),
        "features": features_table(walk),
    }


def curves_of(one: Sources) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return the time stamps and the angles that the view shows, by OpenSim's coordinate."""
    import numpy as np

    from childgait.files.tables import read_table
    from childgait.gait.kinematics import ANGLES

    table = read_table(one.angles, ANGLES)
    seconds, curves = np.empty(0), {}
    for limb in ("left", "right"):
        rows = table.filter(table["limb"] == limb).sort("frame")
        seconds = rows["seconds"].to_numpy()
        for name, coordinate in COORDINATES.items():
            if rows[name].is_not_null().any():
                curves[f"{coordinate}_{limb[0]}"] = rows[name].to_numpy().astype(np.float64)
    return seconds, curves


def plug_in_gait_angles(one: Sources) -> dict[str, NDArray[np.float64]]:
    """Return the sagittal angles by Plug-in Gait's label, as LKneeAngles."""
    curves = curves_of(one)[1]
    return {
        f"{limb}{label}": curves[key]
        for name, label in PLUG_IN_GAIT.items()
        for limb in "LR"
        if (key := f"{name}_{limb.lower()}") in curves
    }


def lab_events(one: Sources) -> list[tuple[str, str, float]]:
    """List the gait events as a laboratory's software names them: context, label, seconds."""
    from childgait.files.tables import read_table
    from childgait.gait.events import EVENTS

    table = read_table(one.events, EVENTS).sort("seconds", "limb", "kind")
    rows = table.select("limb", "kind", "seconds").iter_rows()
    return [(limb.capitalize(), EVENT_LABELS[kind], seconds) for limb, kind, seconds in rows]


def metres_per_pixel(one: Sources, height: float) -> float:
    """Return the scale at the child's median distance; walking towards or from the camera, it is true there only."""
    import numpy as np

    from childgait.files.poses import read_poses
    from childgait.gait.body import body_height

    pixels = body_height(read_poses(one.poses).xy)
    if not np.isfinite(pixels).any():
        raise StepError(f"{one.video} never shows shoulders and ankles", hint="leave out --height; the unit is then px")
    return height / float(np.nanmedian(pixels))
