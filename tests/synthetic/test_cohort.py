"""The written cohort: layout, truth, the same bytes on any number of processes, and folders that must not be
touched."""

from __future__ import annotations

import hashlib
import json
import zipfile
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import av
import numpy as np
import pytest

from childgait.domain.names import parse_video_name
from childgait.domain.skeleton import INDEX
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.files.recordings import list_recordings
from childgait.params import Synthesize, read_params
from childgait.synthetic.cohort import write_cohort
from childgait.synthetic.truth import load_truth


def small(**changes: object) -> Synthesize:
    section = read_params(ROOT / "params.yaml")["synthesize"]
    usual = {"subjects": 2, "width": 320, "height": 180, "seconds": (0.6, 0.7), "bystander": 1.0, "missing_views": 0.0}
    usual |= {"repeated_visits": 0.0}
    return Synthesize.model_validate(section | usual | changes)


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "cohort"
    write_cohort(root, small(), 1)
    return root


def names(root: Path) -> list[str]:
    return [recording.name for recording in list_recordings(root)]


def test_same_seed_same_bytes_on_any_number_of_processes(cohort: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "again", small(), 2)
    assert hashes(tmp_path / "again") == hashes(cohort)
    assert any(name.endswith(".mp4") for name in hashes(cohort))


def test_another_seed_makes_other_children(cohort: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "other", small(seed=8, seconds=(0.5, 0.5)), 1)
    assert (tmp_path / "other" / "labels.json").read_text() != (cohort / "labels.json").read_text()


def test_layout_is_the_release_s(cohort: Path) -> None:
    recordings = list_recordings(cohort)
    assert len(recordings) == 8
    assert {parse_video_name(r.name).view for r in recordings} == {"forward", "backward", "left", "right"}
    for recording in recordings:
        name = parse_video_name(recording.name)
        with av.open(str(recording.video)) as container:
            frames = list(container.decode(video=0))
            rate = container.streams.video[0].average_rate
        assert rate in (59, 60) or float(rate) == pytest.approx(59.94, abs=0.001)
        assert len(frames) == name.end - name.start + 1
        assert (frames[0].width, frames[0].height) == (320, 180)
        times = [frame.pts * frame.time_base for frame in frames]
        assert times[0] == 0
        assert times[-1] == (len(frames) - 1) / rate
        with zipfile.ZipFile(recording.poses) as archive:
            assert archive.namelist() == [f"frame_{i:06d}.json" for i in range(1, len(frames) + 1)]
            assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
            frame = json.loads(archive.read("frame_000010.json"))
        person = frame["instance_info"][0]
        assert np.array(person["keypoints"]).shape == (133, 2)
        assert len(person["keypoint_scores"]) == 133
        assert len(person["gt_bbox_xywh_px"]) == 4
        assert frame["video_info"]["fps"] in (59, 60)
        assert frame["video_info"]["total_frames"] == len(frames)
    labels = [row for row in json.loads((cohort / "labels.json").read_text()) if "rater" not in row]
    assert [row["patient_id"] for row in labels] == ["0001", "0002"]
    head, *children = (cohort / "subjects.csv").read_text().splitlines()
    assert (
        head == "patient_id,age_years,sex,diagnosis,aid,severity"
    )  # the last is ours: the release's own has no such column
    truth = json.loads((cohort / "truth" / "subjects.json").read_text())
    for child in children:
        scores = truth[child.split(",")[0]]["scores"]
        mean = sum(result["score"] for limb in scores.values() for result in limb.values()) / 2
        assert int(child.rsplit(",", 1)[1]) == min(1 + mean // 3.8, 4)
    summary = json.loads((cohort / "cohort.json").read_text())
    assert {entry["name"] for entry in summary["recordings"]} == set(names(cohort))
    entry = summary["recordings"][0]
    assert entry["video_sha256"] == hashlib.sha256((cohort / entry["video"]).read_bytes()).hexdigest()


def test_truth_fits_the_picture(cohort: Path) -> None:
    for name in names(cohort):
        truth = load_truth(cohort / "truth" / f"{name}.npz")
        count = len(truth.seconds)
        assert truth.points.shape == (count, 23, 2)
        assert len(truth.masks) == count
        middle = count // 2
        mask = truth.mask(middle)
        assert mask.shape == (180, 320)
        assert 200 < mask.sum() < 12000
        seen = [i for i in range(23) if truth.visible[middle, i]]
        assert len(seen) >= 6
        inside = [mask[tuple(np.rint(truth.points[middle, i]).astype(int)[::-1])] for i in seen]
        assert np.mean(inside) > 0.9
        box = truth.heads["child"][middle]
        nose = truth.points[middle, INDEX["nose"]]
        assert box[0] - 3 <= nose[0] <= box[2] + 3
        assert box[1] <= nose[1] <= box[3]
        assert set(truth.heads) == {"child", "bystander"}
        view = parse_video_name(name).view
        assert truth.faces["child"].any() == (view != "backward") or view in ("left", "right")
        assert {event["kind"] for event in truth.events} <= {"contact", "foot_off"}
        assert truth.scores["left"]["KFX"]["score"] in (0, 1, 2)


def test_mask_is_where_the_picture_changes(cohort: Path) -> None:
    """The child's pixels differ from the room's, which other frames show; elsewhere the picture stays."""
    name = next(n for n in names(cohort) if "_left_" in n)
    truth = load_truth(cohort / "truth" / f"{name}.npz")
    with av.open(str(cohort / "dataset" / name[:4] / f"{name}.mp4")) as container:
        frames = np.stack([f.to_ndarray(format="gray") for f in container.decode(video=0)]).astype(float)
    first, last = truth.mask(0), truth.mask(len(frames) - 1)
    difference = np.abs(frames[0] - frames[-1])
    moved = first ^ last
    assert np.median(difference[moved]) > 15
    quiet = np.ones_like(first)
    for box in truth.heads.values():
        x0, x1 = np.nanmin(box[:, 0]) - 45, np.nanmax(box[:, 2]) + 45
        quiet[:, max(int(x0), 0) : max(int(x1), 0)] = False
    assert np.percentile(difference[quiet], 95) < 12


def test_delivered_points_have_the_planted_defects_and_no_others(tmp_path: Path) -> None:
    root = tmp_path / "spoiled"
    write_cohort(
        root,
        small(
            jitter=0.0,
            dropout=0.03,
            swap=1.0,
            outlier=0.01,
            missing_video_info=1.0,
            empty_instances=0.05,
            bystander=0.0,
            seconds=(1.5, 1.5),
            subjects=2,
        ),
        1,
    )
    kinds = set()
    for recording in list_recordings(root):
        truth = load_truth(root / "truth" / f"{recording.name}.npz")
        kinds |= {entry["kind"] for entry in truth.planted}
        touched = np.zeros(truth.visible.shape, dtype=bool)
        for entry in truth.planted:
            if entry["kind"] != "jitter":
                touched[entry["start"] : entry["end"], [INDEX[point] for point in entry["points"]]] = True
        with zipfile.ZipFile(recording.poses) as archive:
            frames = [json.loads(archive.read(name)) for name in archive.namelist()]
        assert "video_info" not in frames[0]
        assert "video_info" in frames[1]
        empty = {entry["start"] for entry in truth.planted if entry["kind"] == "empty_instances"}
        assert empty == {i for i, frame in enumerate(frames) if not frame["instance_info"]}
        for index, frame in enumerate(frames):
            if frame["instance_info"]:
                points = np.array(frame["instance_info"][0]["keypoints"])[:23]
                wrong = np.abs(points - truth.points[index]).max(axis=1) > 0.02
                assert not (wrong & ~touched[index]).any()
        for entry in truth.planted:
            if entry["kind"] == "outlier" and entry["start"] not in empty:
                place = INDEX[entry["points"][0]]
                x, y = frames[entry["start"]]["instance_info"][0]["keypoints"][place]
                assert min(x, y, 319 - x, 179 - y) < 8
                assert frames[entry["start"]]["instance_info"][0]["keypoint_scores"][place] >= 0.7
    assert kinds == {"jitter", "dropout", "swap", "outlier", "missing_video_info", "empty_instances"}


def test_jitter_grows_with_speed_and_behind_things(cohort: Path) -> None:
    errors, speeds, shown = [], [], []
    for recording in list_recordings(cohort):
        truth = load_truth(cohort / "truth" / f"{recording.name}.npz")
        untouched = np.ones(truth.visible.shape, dtype=bool)
        for entry in truth.planted:
            if entry["kind"] != "jitter":
                untouched[entry["start"] : entry["end"], [INDEX[point] for point in entry["points"]]] = False
        body = np.median(np.ptp(truth.points[..., 1], axis=1))
        speed = np.linalg.norm(np.gradient(truth.points, truth.seconds, axis=0), axis=-1) / body
        with zipfile.ZipFile(recording.poses) as archive:
            for index, name in enumerate(archive.namelist()):
                people = json.loads(archive.read(name))["instance_info"]
                if people:
                    error = np.linalg.norm(np.array(people[0]["keypoints"])[:23] - truth.points[index], axis=1) / body
                    keep = untouched[index]
                    errors.append(error[keep])
                    speeds.append(speed[index, keep])
                    shown.append(truth.visible[index, keep])
    error, speed, seen = (np.concatenate(values) for values in (errors, speeds, shown))
    still, fast = error[seen & (speed < 0.4)].mean(), error[seen & (speed > 1.5)].mean()
    assert fast > 1.5 * still
    assert error[~seen].mean() > 1.6 * error[seen].mean()
    assert still == pytest.approx(small().jitter * 1.25 * 1.15, rel=0.35)  # of two normal numbers, the mean length


def test_loose_poses_are_a_file_a_frame(cohort: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "loose", small(loose=True), 1)
    for recording in list_recordings(tmp_path / "loose"):
        packed = cohort / "dataset" / recording.subject / f"{recording.name}_filtered_pose.zip"
        with zipfile.ZipFile(packed) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        assert {path.name: path.read_bytes() for path in recording.poses.iterdir()} == files


def test_missing_views_are_missing_whole(tmp_path: Path) -> None:
    root = tmp_path / "gaps"
    write_cohort(root, small(missing_views=0.6, subjects=3, sessions=2, width=64, height=64, seconds=(0.5, 0.5)), 1)
    assert 0 < len(names(root)) < 24
    assert {p.stem for p in (root / "truth").glob("*.npz")} == set(names(root))


def test_a_panning_camera_keeps_the_truth_exact(tmp_path: Path) -> None:
    options = {"camera": "panning", "standing_people": 1, "logo": True, "rates": ["30"], "seconds": (1.5, 1.6)}
    write_cohort(tmp_path / "panning", small(**options), 1)
    truths = [load_truth(path) for path in sorted((tmp_path / "panning" / "truth").glob("*_left_*.npz"))]
    for truth in truths:
        assert truth.heads.keys() == {"child", "bystander", "standing 1"}
        inside = 0
        for frame in range(len(truth.seconds)):
            hips = truth.points[frame, [INDEX["left_hip"], INDEX["right_hip"]]].mean(axis=0).round().astype(int)
            mask = truth.mask(frame)
            assert mask.shape == (180, 320)
            if truth.visible[frame, INDEX["right_hip"]] or truth.visible[frame, INDEX["left_hip"]]:
                inside += mask[hips[1], hips[0]]
        assert inside > 0.7 * len(truth.seconds)


def test_a_therapist_walks_beside_every_child_in_portrait(tmp_path: Path) -> None:
    options = {"therapist": True, "bystander": 0.0, "width": 160, "height": 240, "rates": ["30"], "seconds": (1.0, 1.1)}
    write_cohort(tmp_path / "clinic", small(**options), 1)
    paths = sorted((tmp_path / "clinic" / "truth").glob("*-*.npz"))
    assert len(paths) >= 4
    for truth in map(load_truth, paths):
        assert (truth.width, truth.height) == (160, 240)
        assert truth.heads.keys() == {"child", "bystander"}
        child, adult = ((boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in truth.heads.values())
        both = np.isfinite(child + adult).all(axis=1)
        height = np.ptp(truth.points[..., 1], axis=1)
        assert both.any()
        assert (np.abs(child - adult)[both, 0] < 0.9 * height[both]).all()  # beside the child all the way
        frame = int(np.flatnonzero(both)[0])
        labels = truth.visible_heads(frame)
        for who, box in ((who, truth.heads[who][frame]) for who in ("child", "bystander")):
            rows, columns = np.nonzero(labels[who])
            if len(rows):
                assert columns.min() >= box[0] - 1
                assert columns.max() <= box[2] + 1
                assert rows.min() >= box[1] - 1


def test_a_process_that_the_system_ended_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object) -> None:
        raise BrokenProcessPool("terminated abruptly")

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor.map", end)
    with pytest.raises(StepError, match="ended by the system") as caught:
        write_cohort(tmp_path / "cohort", small(), 2)
    assert "No space left on device" in str(caught.value)
