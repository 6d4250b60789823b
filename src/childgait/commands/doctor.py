"""Prove an installation in seconds: versions, devices, codecs, trackers, weights, disk.

Each line is `ok`, `note` (works, but know it) or `FAIL` (a run would stop); the exit status is 1 if anything failed.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from childgait.libraries import LIBRARIES

Line = tuple[str, str, str]  # ok, note or FAIL; what; found

WORKING_COPIES = 4  # a study needs about so many times its raw videos: lossless copies, clips, caches


def doctor(params: Path = Path("params.yaml"), lock: Path = Path("envs/requirements.lock")) -> int:
    """Check what a run stands on."""
    lines = [*versions(lock), *devices(), *codecs(), *settings(params), *trackers(), *remotes(), *disk(params)]
    width = max(len(what) for _, what, _ in lines)
    for mark, what, found in lines:
        print(f"{mark:<5} {what:<{width}}  {found}")
    failed = sum(mark == "FAIL" for mark, _, _ in lines)
    print(f"{failed} problem(s)" if failed else "everything that a run needs is here")
    return int(failed > 0)


def versions(lock: Path) -> Iterator[Line]:
    good, found = sys.version_info >= (3, 11), ".".join(map(str, sys.version_info[:3]))
    yield "ok" if good else "FAIL", "python", found if good else f"{found}, needs 3.11 or later"
    pinned = read_lock(lock)
    if not pinned:
        yield "note", "lock", f"{lock} is not here; versions are not compared"
    for name in LIBRARIES.values():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield "FAIL", name, "not installed; `make run` installs it"
            continue
        wanted = pinned.get(name, {found})
        same = found.split("+")[0] in wanted
        yield "ok" if same else "note", name, found if same else f"{found}, the lock says {' or '.join(sorted(wanted))}"
    for tool in ("git", "make"):
        where = shutil.which(tool)
        yield "ok" if where else "FAIL", tool, where or "not found; install it with the system's packages"


def read_lock(lock: Path) -> dict[str, set[str]]:
    """What the lock pins; some libraries have a version for each Python."""
    pinned: dict[str, set[str]] = {}
    for row in lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []:
        if "==" in row and not row.startswith((" ", "#")):
            name, _, rest = row.partition("==")
            pinned.setdefault(name.strip(), set()).add(rest.split()[0])
    return pinned


def devices() -> Iterator[Line]:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield "ok" if memory > 3.5 else "note", "machine", f"{cores} cores, {memory:.0f} GB of memory (the demo needs 4)"
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:  # a missing library or operator
        yield "FAIL", "torch", f"cannot be imported ({error}); torch and torchvision must belong together"
        return
    if not torch.cuda.is_available():
        yield "note", "GPU", "none; networks learn on the processor"
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield "ok", f"GPU {index}", f"{facts.name}, {facts.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"


def codecs() -> Iterator[Line]:
    """Write a small lossless video and read the same pixels back; ask for the decoders that phones need."""
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
        here = name in av.codecs_available
        yield "ok" if here else "note", f"reads {name}", "yes" if here else "no; videos in it must be converted first"


def settings(params: Path) -> Iterator[Line]:
    """params.yaml as a whole, and every file of weights that it names."""
    from childgait.errors import StepError
    from childgait.files.hashes import sha256
    from childgait.params import load_params
    from childgait.preflight.params import required_weights

    try:
        sections = load_params(params)
    except StepError as error:
        yield "FAIL", "params.yaml", str(error)
        return
    yield "ok", "params.yaml", f"{len(sections)} sections, all in range"
    for key, place in required_weights(sections).items():
        if not place:
            yield "FAIL", key, "empty, but what needs it is chosen; name your file of weights and its sha256"
    named = 0
    for section, values in sections.items():
        given = values.model_dump()
        for key, value in given.items():
            if not key.endswith("weights") or not isinstance(value, str) or not value:
                continue
            named += 1
            path, wanted = Path(value), given.get(key.removesuffix("weights") + "sha256")
            what = f"{section}.{key}"
            if not path.exists():
                yield "FAIL", what, f"{path} is not there"
            elif path.is_dir():
                yield "ok", what, f"{path}, a folder; its step checks the hash"
            else:
                found = sha256(path)
                same = not wanted or wanted == found
                yield "ok" if same else "FAIL", what, f"{path}, sha256 {found}" + ("" if same else f", not {wanted}")
    if not named:
        yield "note", "weights", "none are named in params.yaml: the embedded defaults are used"


def trackers() -> Iterator[Line]:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        yield "note", "MLflow", "MLFLOW_TRACKING_URI is not set: `make run` keeps a database in mlruns/"
    elif uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///"))
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        writable = os.access(folder, os.W_OK)
        yield "ok" if writable else "FAIL", "MLflow", f"{path}" + ("" if writable else f": {folder} cannot be written")
    elif uri.startswith("http"):
        yield reach("MLflow", uri.rstrip("/") + "/health")
    else:
        yield "note", "MLflow", f"{uri}: not tried"


def reach(what: str, url: str) -> Line:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return "ok", what, f"{url} answers {answer.status}"
    except (urllib.error.URLError, OSError, ValueError) as error:
        return "FAIL", what, f"{url} does not answer ({error}); start the server or unset MLFLOW_TRACKING_URI"


def remotes(folder: Path = Path(".dvc")) -> Iterator[Line]:
    if not folder.is_dir():
        yield "note", "DVC", "this folder is no DVC repository"
        return
    found = configparser.ConfigParser()
    found.read([folder / "config", folder / "config.local"])
    urls = {name.strip("'\""): found[name].get("url", "") for name in found.sections() if "remote" in name}
    if not urls:
        yield "note", "DVC", "no remote is set: data are kept on this machine alone"
    for name, url in urls.items():
        if "://" in url:
            yield "note", name, f"{url}: not tried; `dvc status --cloud` asks it"
        else:
            path = Path(url) if Path(url).is_absolute() else folder / url
            writable = os.access(path, os.W_OK)
            yield "ok" if writable else "FAIL", name, f"{path}" + ("" if writable else " is not there to write into")


def disk(params: Path) -> Iterator[Line]:
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
    """Of the cohort that params.yaml names; none if the file cannot be read, which is told elsewhere."""
    from childgait.domain.names import VIDEO_ENDINGS
    from childgait.errors import StepError
    from childgait.params import Cohort, load_section

    try:
        root = load_section(params, Cohort).root
    except StepError:
        return []
    return [path for path in Path(root).glob("dataset/*/*") if path.suffix.lower() in VIDEO_ENDINGS]
