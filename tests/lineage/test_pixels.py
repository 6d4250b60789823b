"""The search for a child's pictures: found however they are kept, and told from another child in the same room."""

import os

import cv2
import numpy as np
import pytest

from childgait.files.hashes import sha256
from childgait.lineage import pixels
from childgait.lineage.pixels import find_pictures, reference_pictures
from support.walking_videos import room, walk, write_video


@pytest.fixture
def known(tmp_path):
    write_video(tmp_path / "raw.mp4", walk(1, 1))
    return reference_pictures([tmp_path / "raw.mp4"])


def test_pixels_are_found_however_they_are_kept(tmp_path, known):
    kept = tmp_path / "kept"
    kept.mkdir()
    small = [cv2.resize(picture, (160, 90), interpolation=cv2.INTER_AREA) for picture in walk(1, 1)]
    write_video(kept / "smaller.mp4", small)
    (kept / "smaller.mp4").rename(kept / "object-without-ending")
    np.save(kept / "frames.npy", np.stack([*walk(2, 2, 15), *walk(1, 1)[::-1]]))
    cv2.imwrite(str(kept / "sheet.jpg"), walk(1, 1)[20][:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    cv2.imwrite(str(kept / "darker.png"), (walk(1, 1)[20] * 0.7).astype(np.uint8)[:, :, ::-1])
    result = find_pictures(known, sorted(kept.iterdir()), skip=set())
    assert {path.name for path in result} == {"object-without-ending", "frames.npy", "sheet.jpg", "darker.png"}


def test_another_child_in_the_same_room_is_none(tmp_path, known):
    """The room alone makes the pictures alike: that must not be taken for the child."""
    for name, pictures in {"same room": walk(1, 3), "empty room": [room(1)] * 12, "elsewhere": walk(3, 4)}.items():
        write_video(tmp_path / f"{name}.mp4", pictures)
    cv2.imwrite(str(tmp_path / "same room.png"), walk(1, 5)[20][:, :, ::-1])
    (tmp_path / "text.txt").write_text("no picture")
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((180, 320, 3), 90, np.uint8))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "raw.mp4").read_bytes()[:40])
    np.save(tmp_path / "cut.npy", np.stack(walk(1, 1)))
    os.truncate(tmp_path / "cut.npy", 9_000)
    others = [path for path in sorted(tmp_path.iterdir()) if path.name != "raw.mp4"]
    assert find_pictures(known, others, skip=set()) == {}
    assert find_pictures(known, [tmp_path / "raw.mp4"], skip=set())
    assert find_pictures(known, [tmp_path / "raw.mp4"], skip={sha256(tmp_path / "raw.mp4")}) == {}


def test_a_file_that_vanishes_during_the_search_is_none(tmp_path, known, monkeypatch):
    """Other programs work in the folder for temporary files."""
    (tmp_path / "gone.mp4").write_bytes((tmp_path / "raw.mp4").read_bytes())
    monkeypatch.setattr(pixels, "sha256", lambda path: path.unlink() or sha256(path))
    assert find_pictures(known, [tmp_path / "gone.mp4", tmp_path / "never.mp4"], skip=set()) == {}


def test_nobody_in_the_picture_is_nothing_to_look_for(tmp_path):
    write_video(tmp_path / "empty.mp4", [room(1)] * 30)
    assert reference_pictures([tmp_path / "empty.mp4", tmp_path / "gone.mp4"]) == []
