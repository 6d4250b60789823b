"""Give a cohort that names its children by anything telling the numbers of the release's layout, by a keyed hash.

Reads folders named after children (`IN/NAME/…`) and a key file; writes the same files below `OUT/{number}/…`, the number
in place of the name wherever a file's name begins with it. The number is the name's HMAC-SHA256 under the key, so that
the same child gets the same number at every delivery, and nobody without the key can try names. No table of names and
numbers is written: whoever has the key can make it again, and nobody else should. What stands inside the files stays.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
import stat
from pathlib import Path

from childgait.errors import StepError

DIGITS = 10  # of a number: two of a thousand children share one once in twenty thousand cohorts
SHORTEST_KEY = 32  # bytes


def pseudonymize(source: Path, out: Path, key: Path, dry_run: bool = False) -> None:
    """Copy SOURCE/NAME/… to OUT/NUMBER/…; NUMBER is a keyed hash of NAME. --dry-run says how many and writes nothing.

    Make a key with `head -c 32 /dev/urandom > cohort.key && chmod 600 cohort.key`, and keep it away from the data.
    """
    secret = read_key(key)
    if not source.is_dir():
        raise StepError(f"{source} is no folder", hint="give the folder that holds a folder for each child")
    children = sorted(path for path in source.iterdir() if path.is_dir())
    if not children:
        raise StepError(f"{source} holds no folder", hint="give the folder that holds a folder for each child")
    numbers = {child.name: number_of(child.name, secret) for child in children}
    if len(set(numbers.values())) < len(numbers):
        raise StepError("two children would get one number", hint="make another key, or rename one of them")
    copies = [(path, new_place(path, child, numbers[child.name], out)) for child in children for path in _files(child)]
    telling = [path for path, target in copies for name in numbers if _tells(name, target.relative_to(out))]
    if telling:
        raise StepError(
            f"{telling[0]} names a child elsewhere than at its beginning ({len(telling)} file(s) do)",
            hint="rename it to begin with the folder's name",
        )
    if taken := [target for _, target in copies if target.exists()]:
        raise StepError(f"{taken[0]} is there already", hint="choose an empty folder; nothing was written")
    if not dry_run:
        for path, target in copies:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            shutil.copyfile(path, target)  # the bytes alone: no date, no owner
    print(f"{len(numbers)} children, {len(copies)} files{' would be' if dry_run else ''} copied to {out}")


def read_key(path: Path) -> bytes:
    """The secret, refused where it is missing, short, or anybody may read it."""
    if not path.is_file():
        raise StepError(
            f"there is no key at {path}",
            hint=f"make one: head -c {SHORTEST_KEY} /dev/urandom > {path} && chmod 600 {path}",
        )
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise StepError(
            f"others than its owner may read {path}", hint=f"chmod 600 {path}, and keep it away from the data"
        )
    secret = path.read_bytes()
    if len(secret) < SHORTEST_KEY:
        raise StepError(
            f"the key {path} has {len(secret)} bytes, it needs {SHORTEST_KEY}: a short one can be tried out",
            hint=f"head -c {SHORTEST_KEY} /dev/urandom > {path}",
        )
    return secret


def number_of(name: str, secret: bytes) -> str:
    """The child's number: digits alone, as the release's file names want it."""
    digest = hmac.new(secret, name.strip().casefold().encode(), hashlib.sha256).digest()
    return str(int.from_bytes(digest) % 10**DIGITS).zfill(DIGITS)


def new_place(path: Path, child: Path, number: str, out: Path) -> Path:
    """Where a child's file goes: the number in place of the child's name at the beginning of each part."""
    parts = path.relative_to(child).parts
    return out.joinpath(
        number, *(number + part[len(child.name) :] if part.startswith(child.name) else part for part in parts)
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _tells(name: str, target: Path) -> bool:
    """Whether a child's name is still to be read in a file's new place. Names of one or two letters are in any word."""
    return len(name) > 2 and name.casefold() in str(target).casefold()
