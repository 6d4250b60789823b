"""Files of model weights: the check that a file is the one that params.yaml names."""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError
from childgait.files.hashes import sha256


def check_sha256(path: Path, expected: str, *, key: str) -> str:
    """Return the file's sha256; stop where it differs from the one expected. `key` is the params key of `expected`."""
    digest = sha256(path)
    if digest != expected:
        raise StepError(
            f"{path} has sha256 {digest[:12]}…, but {key} is {expected[:12] or 'empty'}…: these are other weights",
            hint=f"put the named weights there, or, if you trust these, set {key} to {digest}",
        )
    return digest
