"""Pack each recording's one-frame keypoint files into one zip, so that a version of the data is few files, not 339,000.

The zip stands beside the folder under the same name and is read in its place. The same files give the same bytes. A
folder is removed only with --remove, and only after every packed file was read back and compared.
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
            hint="give the folder that holds 'dataset'; perhaps everything is packed already",
        )
    files = 0
    for source in sources:
        target = source.with_name(source.name + ".zip")
        with atomic_outputs([target]) as partial:
            pack(source, partial[target])
        files += compare(source, target)
        if remove:
            shutil.rmtree(source)
    print(f"packed {files:,} files of {len(sources)} recordings" + (" and removed them" if remove else ""))
    if not remove:
        print("the folders are still there; `childgait pack-poses FOLDER --remove` removes them after comparing")


def compare(source: Path, target: Path) -> int:
    """Every file of the folder is in the zip, byte by byte; how many they are."""
    with zipfile.ZipFile(target) as archive:
        packed = {Path(name).name: name for name in archive.namelist()}
        for file in sorted(source.iterdir()):
            if file.name not in packed or archive.read(packed[file.name]) != file.read_bytes():
                raise StepError(f"{file} is not in {target.name}", hint="only .json files are packed; move it")
    return len(packed)
