"""Files with pixels or keypoints are closed to other users, whatever the caches did with their modes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLOSED = ("data", ".cache", ".dvc", ".snakemake", "logs")


def readable_by_others(folder: Path) -> list[Path]:
    """List the files that another user can reach: every folder above may be entered, and the file be read."""
    if not folder.stat().st_mode & stat.S_IXOTH:
        return []
    result = []
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            result += readable_by_others(path)
        elif not path.is_symlink() and path.stat().st_mode & stat.S_IROTH:
            result.append(path)
    return result


def test_the_environment_of_a_run_closes_its_folders(tmp_path: Path) -> None:
    """Open folders of an earlier version, a cache as Snakemake leaves it, and a file that a job writes."""
    (tmp_path / "workflow").mkdir()
    for name in ("environment", "with-environment"):
        (tmp_path / "workflow" / name).write_bytes((ROOT / "workflow" / name).read_bytes())
    (tmp_path / "workflow" / "with-environment").chmod(0o755)
    for name in ("data/prepare_clips", ".cache/snakemake", ".dvc/cache/files", "logs"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "pixels.npy").write_bytes(b"x")
        (folder / "pixels.npy").chmod(0o666)
        for parent in (folder, *folder.relative_to(tmp_path).parents):
            (tmp_path / parent).chmod(0o755)
    before = [path for name in CLOSED if (tmp_path / name).exists() for path in readable_by_others(tmp_path / name)]
    assert len(before) == 4, "the test can see what is open"
    environment = {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_OUTPUT_CACHE"}
    write = "mkdir -p data/deidentify && touch data/deidentify/new.mp4"
    subprocess.run(["workflow/with-environment", "bash", "-c", write], cwd=tmp_path, env=environment, check=True)
    assert [path for name in CLOSED for path in readable_by_others(tmp_path / name)] == []
    assert not (tmp_path / "data/deidentify/new.mp4").stat().st_mode & 0o027
    assert (tmp_path / "data/deidentify/new.mp4").stat().st_mode & 0o640 == 0o640


def test_the_command_line_writes_nothing_that_others_can_read(tmp_path: Path) -> None:
    script = (
        "import os, sys; os.umask(0o022); sys.argv = ['childgait', '--help']; from childgait.__main__ import main;"
        "sys.argv = ['childgait', 'check-params', '--params', 'none.yaml']\n"
        "try: main()\nexcept SystemExit: open('new', 'w')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert not (tmp_path / "new").stat().st_mode & 0o007
