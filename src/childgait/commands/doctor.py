"""Check an installation in seconds: versions, devices, codecs, MLflow, DVC, weights, disk.

Each line is `ok`, `note` (works, with a remark) or `FAIL` (a run would stop); the exit status is 1 if a check failed.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.libraries import LIBRARIES
from childgait.lineage.stores import NO_ADDRESS

if TYPE_CHECKING:
    from childgait.params import Section

Line = tuple[str, str, str]  # ok, note or FAIL; what was checked; result

WORKING_COPIES = 4  # disk space of a study, in sizes of its raw videos: lossless copies, clips, caches


def doctor(params: Path = Path("params.yaml"), lock: Path = Path("envs/requirements.lock")) -> int:
    """Check everything that a run needs; prints one line per check."""
    lines = [*versions(lock), *devices(), *codecs(), *settings(params), *tracking(), *remotes(), *disk(params)]
    width = max(len(what) for _, what, _ in lines)
    for mark, what, result in lines:
        print(f"{mark:<5} {what:<{width}}  {result}")
    failed = sum(mark == "FAIL" for mark, _, _ in lines)
    print(f"{failed} problem(s)" if failed else "everything that a run needs is installed")
    return int(failed > 0)


def versions(lock: Path) -> Iterator[Line]:
    """Compare the installed versions with the lock."""
    good, version = sys.version_info >= (3, 11), ".".join(map(str, sys.version_info[:3]))
    yield "ok" if good else "FAIL", "python", version if good else f"{version}, needs 3.11 or later"
    pinned = read_lock(lock)
    if not pinned:
        yield "note", "lock", f"{lock} does not exist; versions are not compared"
    for name in LIBRARIES.values():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield "FAIL", name, "not installed; `make run` installs it"
            continue
        accepted = pinned.get(name, {version})
        same = version.split("+")[0] in accepted
        yield (
            "ok" if same else "note",
            name,
            version if same else f"{version}, the lock has {' or '.join(sorted(accepted))}",
        )
    for tool in ("git", "make"):
        program = shutil.which(tool)
        yield "ok" if program else "FAIL", tool, program or "not found; install it with the system's package manager"


def read_lock(lock: Path) -> dict[str, set[str]]:
    """Map each library to its pinned versions; some have one per version of Python."""
    pinned: dict[str, set[str]] = {}
    for row in lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []:
        if "==" in row and not row.startswith((" ", "#")):
            name, _, rest = row.partition("==")
            pinned.setdefault(name.strip(), set()).add(rest.split()[0])
    return pinned


def devices() -> Iterator[Line]:
    """List processor, memory and GPUs."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield "ok" if memory > 3.5 else "note", "machine", f"{cores} cores, {memory:.0f} GB of memory (the demo needs 4)"
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:  # a missing library or operator
        yield "FAIL", "torch", f"cannot be imported ({error}); torch and torchvision must match"
        return
    if not torch.cuda.is_available():
        yield "note", "GPU", "none; networks are trained on the CPU"
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield "ok", f"GPU {index}", f"{facts.name}, {facts.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"


def codecs() -> Iterator[Line]:
    """Write a small lossless video and read it back; check for the decoders of common cameras."""
    import av
    import numpy as np

    from childgait.errors import StepError
    from childgait.files.video import read_frames, write_video

    pixels = [np.full((32, 48, 3), level, np.uint8) for level in (40, 200)]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "trial.mp4"
        try:
            write_video(path, pixels, [Fraction(0), Fraction(1, 30)])
            levels = [int(frame.pixels.mean()) for frame in read_frames(path)]
            good = levels == [40, 200]
            yield "ok" if good else "FAIL", "H.264", f"written and read losslessly: {good}"
        except (StepError, OSError, ValueError) as error:
            yield "FAIL", "H.264", str(error)
    for name in ("h264", "hevc", "vp9", "av1", "mpeg4"):
        available = name in av.codecs_available
        yield (
            "ok" if available else "note",
            f"reads {name}",
            "yes" if available else "no; videos in it must be converted first",
        )


def settings(params: Path) -> Iterator[Line]:
    """Check params.yaml and every file of weights that it names."""
    from childgait.errors import StepError
    from childgait.params import load_params, load_sections
    from childgait.preflight.weights import required_weights

    try:
        sections = load_params(params)
    except StepError as error:
        yield "FAIL", "params.yaml", str(error)
        return
    yield "ok", "params.yaml", f"{len(sections)} sections, all in range"
    for key, path in required_weights(sections).items():
        if not path:
            yield "FAIL", key, "empty, but the chosen backend needs it; set it to your file of weights"
    yield from _weights(load_sections(params))


def _weights(sections: Mapping[str, Section]) -> Iterator[Line]:
    """Check that each file of weights in params.yaml exists and has the hash beside it."""
    from childgait.files.hashes import sha256

    named = 0
    for section, values in sections.items():
        keys = values.model_dump()
        for key, value in keys.items():
            if not key.endswith("weights") or not isinstance(value, str) or not value:
                continue
            named += 1
            path, expected = Path(value), keys.get(key.removesuffix("weights") + "sha256")
            what = f"{section}.{key}"
            if not path.exists():
                yield "FAIL", what, f"{path} does not exist"
            elif path.is_dir():
                yield "ok", what, f"{path}, a folder; the step that reads it checks its hash"
            else:
                digest = sha256(path)
                same = not expected or expected == digest
                yield "ok" if same else "FAIL", what, f"{path}, sha256 {digest}" + ("" if same else f", not {expected}")
    if not named:
        yield "note", "weights", "params.yaml names none: the embedded models are used"


def tracking() -> Iterator[Line]:
    """Check that MLflow's store can be reached."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        yield "note", "MLflow", "MLFLOW_TRACKING_URI is not set: `make run` uses a database in mlruns/"
    elif uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///"))
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        writable = os.access(folder, os.W_OK)
        yield "ok" if writable else "FAIL", "MLflow", f"{path}" + ("" if writable else f": {folder} cannot be written")
    elif uri.startswith("http"):
        yield check_url("MLflow", uri.rstrip("/") + "/health")
    else:
        yield "note", "MLflow", f"{uri}: not checked"


def check_url(what: str, url: str) -> Line:
    """Request a URL and report its status."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=3) as response:
            return "ok", what, f"{url} responds with status {response.status}"
    except (urllib.error.URLError, OSError, ValueError) as error:
        return "FAIL", what, f"{url} does not respond ({error}); start the server or unset MLFLOW_TRACKING_URI"


def remotes(folder: Path = Path(".dvc")) -> Iterator[Line]:
    """Check that DVC's remotes on this machine can be written."""
    if not folder.is_dir():
        yield "note", "DVC", "this folder is no DVC repository"
        return
    config = configparser.ConfigParser()
    config.read([folder / "config", folder / "config.local"])
    urls = {name.strip("'\""): config[name].get("url", "") for name in config.sections() if "remote" in name}
    urls = {name: url for name, url in urls.items() if not url.startswith(NO_ADDRESS)}
    if not urls:
        yield "note", "DVC", "no remote is set: data are on this machine only"
    for name, url in urls.items():
        if "://" in url:
            yield "note", name, f"{url}: not checked; see `dvc status --cloud`"
        else:
            path = Path(url) if Path(url).is_absolute() else folder / url
            writable = os.access(path, os.W_OK)
            yield "ok" if writable else "FAIL", name, f"{path}" + ("" if writable else " cannot be written")


def disk(params: Path) -> Iterator[Line]:
    """Check free disk space and write permissions."""
    free = shutil.disk_usage(Path.cwd()).free
    raw = sum(path.stat().st_size for path in raw_videos(params))
    needed = max(WORKING_COPIES * raw, 2_000_000_000)
    enough = free > needed
    yield "ok" if enough else "FAIL", "disk", f"{free / 1e9:.0f} GB free, about {needed / 1e9:.0f} GB needed"
    for folder in ("data", "logs", "reports"):
        path = Path(folder) if Path(folder).exists() else Path.cwd()
        if not os.access(path, os.W_OK):
            yield "FAIL", folder, f"{path.absolute()} cannot be written"


def raw_videos(params: Path) -> list[Path]:
    """List the raw videos of the cohort in params.yaml; none if the file is invalid, which `settings` reports."""
    from childgait.domain.names import VIDEO_ENDINGS
    from childgait.errors import StepError
    from childgait.params import Cohort, load_section

    try:
        root = load_section(params, Cohort).root
    except StepError:
        return []
    return [path for path in Path(root).glob("dataset/*/*") if path.suffix.lower() in VIDEO_ENDINGS]
