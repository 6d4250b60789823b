"""Pack the keypoint files of each recording (one per frame) into one zip, to version few files in place of 339,000.

The zip has the name of the folder and is read in its place. The same files give the same bytes. A folder is removed
only with --remove, and only after every packed file was read back and compared.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from childgait.domain.names import POSE_FOLDER
from childgait.errors import StepError


def pack_poses(folder: Path, remove: bool = False) -> None:
    """Pack every *_filtered_pose folder of a cohort."""
    from childgait.files.atomic import atomic_outputs
    from childgait.gait.delivered_keypoints import pack

    sources = sorted(path for path in folder.glob(f"dataset/*/*{POSE_FOLDER}") if path.is_dir())
    if not sources:
        raise StepError(
            f"{folder} has no folder that ends in {POSE_FOLDER}",
            hint="give the folder that contains 'dataset'; perhaps everything is packed already",
        )
    files = 0
    for source in sources:
        target = source.with_name(source.name + ".zip")
        if target.exists():
            refuse_other_content(source, target)
        with atomic_outputs([target]) as partial:
            pack(source, partial[target])
        files += compare(source, target)
        if remove:
            shutil.rmtree(source)
    print(f"packed {files:,} files of {len(sources)} recordings" + (" and removed them" if remove else ""))
    if not remove:
        print("the folders were kept; `childgait pack-poses FOLDER --remove` removes them after a comparison")


def refuse_other_content(source: Path, target: Path) -> None:
    """Fail if a zip of that name contains files that the folder lacks: packing would lose them."""
    from childgait.gait.keypoint_files import open_frames

    with open_frames(target) as packed:
        extra = {Path(name).name for name in packed.names} - {file.name for file in source.iterdir()}
    if extra:
        raise StepError(
            f"{target} exists and contains {len(extra)} frame(s) that {source.name} lacks, such as {min(extra)}",
            hint="keep one of the two: move the zip or the folder away",
        )


def compare(source: Path, target: Path) -> int:
    """Check that every file of the folder is in the zip, byte by byte; returns their number."""
    with zipfile.ZipFile(target) as archive:
        packed = {Path(name).name: name for name in archive.namelist()}
        for file in sorted(source.iterdir()):
            if file.name not in packed or archive.read(packed[file.name]) != file.read_bytes():
                raise StepError(
                    f"{file} is not in {target.name}", hint="only .json files are packed; move it elsewhere"
                )
    return len(packed)
