"""Replace the names of children in a cohort's files by numbers, through a keyed hash.

Reads folders named after children (`IN/NAME/…`) and a key file. Writes the same files below `OUT/{number}/…`, with the
number in place of the name wherever a file's name begins with it. The number is the HMAC-SHA256 of the name under the
key: the same child gets the same number at every delivery, and names cannot be tried out without the key. No table of
names and numbers is written; the key is enough to derive it again. The contents of the files are not changed.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
import stat
from pathlib import Path

from childgait.errors import StepError

DIGITS = 10  # per number: with 1,000 children, two share a number in one of 20,000 cohorts
SHORTEST_KEY = 32  # bytes


def pseudonymize(source: Path, out: Path, key: Path, dry_run: bool = False) -> None:
    """Copy SOURCE/NAME/… to OUT/NUMBER/…; NUMBER is a keyed hash of NAME. --dry-run only counts.

    Make a key with `head -c 32 /dev/urandom > cohort.key && chmod 600 cohort.key`, and keep it away from the data.
    """
    secret = read_key(key)
    if not source.is_dir():
        raise StepError(f"{source} is no folder", hint="give the folder that contains one folder per child")
    children = sorted(path for path in source.iterdir() if path.is_dir())
    if not children:
        raise StepError(f"{source} contains no folder", hint="give the folder that contains one folder per child")
    numbers = {child.name: number_of(child.name, secret) for child in children}
    if len(set(numbers.values())) < len(numbers):
        raise StepError("two children would get one number", hint="make another key, or rename one of them")
    copies = [
        (path, target_path(path, child, numbers[child.name], out)) for child in children for path in _files(child)
    ]
    named = [path for path, target in copies for name in numbers if _contains_name(name, target.relative_to(out))]
    if named:
        raise StepError(
            f"{named[0]} contains a child's name elsewhere than at its beginning ({len(named)} file(s) do)",
            hint="rename it to begin with the folder's name",
        )
    if taken := [target for _, target in copies if target.exists()]:
        raise StepError(f"{taken[0]} exists already", hint="choose an empty folder; nothing was written")
    if not dry_run:
        for path, target in copies:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            shutil.copyfile(path, target)  # the content only: no date, no owner
    print(f"{len(numbers)} children, {len(copies)} files{' would be' if dry_run else ''} copied to {out}")


def read_key(path: Path) -> bytes:
    """Read the key; refuses a missing or short one, and one that other users may read."""
    if not path.is_file():
        raise StepError(
            f"there is no key at {path}",
            hint=f"make one: head -c {SHORTEST_KEY} /dev/urandom > {path} && chmod 600 {path}",
        )
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise StepError(
            f"other users may read the key {path}", hint=f"chmod 600 {path}, and keep it away from the data"
        )
    secret = path.read_bytes()
    if len(secret) < SHORTEST_KEY:
        raise StepError(
            f"the key {path} has {len(secret)} bytes, at least {SHORTEST_KEY} are needed: a short key can be guessed",
            hint=f"head -c {SHORTEST_KEY} /dev/urandom > {path}",
        )
    return secret


def number_of(name: str, secret: bytes) -> str:
    """Derive the number of a child: DIGITS decimal digits, as the release's file names require."""
    digest = hmac.new(secret, name.strip().casefold().encode(), hashlib.sha256).digest()
    return str(int.from_bytes(digest) % 10**DIGITS).zfill(DIGITS)


def target_path(path: Path, child: Path, number: str, out: Path) -> Path:
    """Return the path of a child's file in `out`: the number replaces the name at the beginning of each part."""
    parts = path.relative_to(child).parts
    return out.joinpath(
        number, *(number + part[len(child.name) :] if part.startswith(child.name) else part for part in parts)
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _contains_name(name: str, target: Path) -> bool:
    """Check whether a path still contains a name. Names of one or two letters are skipped: most words contain them."""
    return len(name) > 2 and name.casefold() in str(target).casefold()
