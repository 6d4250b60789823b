"""Checks that a git tag names the commit that is checked out, with nothing changed since."""

from __future__ import annotations

import subprocess
from pathlib import Path

from childgait.engine.record import WRITTEN_BY_RUN
from childgait.errors import StepError
from childgait.files.vault import Opening


def open_by_tag(tag: str, root: Path = Path(), register: str = "annotations/vault.csv") -> Opening:
    """Return the opening of a tag. StepError unless the tag exists, is on HEAD, and no tracked file was changed.

    Files that a run writes, and the register of the openings itself, may differ.
    """
    if not tag:
        raise StepError(
            "the vault is sealed: open_vault.tag is empty",
            hint="when everything is decided, name a tag there, commit, and put the tag on that commit: git tag NAME",
        )
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    if commit is None:
        raise StepError(
            f"the vault is sealed: there is no git tag {tag}", hint=f"commit params.yaml, then: git tag {tag}"
        )
    if (head := _git(root, "rev-parse", "HEAD")) != commit:
        raise StepError(
            f"the vault is sealed: the tag {tag} is on {commit[:12]}, but {(head or 'none')[:12]} is checked out",
            hint=f"check out {tag}, or put a new tag on this commit and name it in open_vault.tag",
        )
    ignored = [f":!{name}" for name in (*WRITTEN_BY_RUN, register)]
    if changed := _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *ignored):
        raise StepError(
            f"the vault is sealed: {changed.split()[1]} was changed after the tag {tag}",
            hint="commit it and put a new tag on that commit: a tag stands for what is evaluated",
        )
    return Opening(tag, commit)


def _git(root: Path, *arguments: str) -> str | None:
    """Run git and return what it prints; None where it fails or there is no checkout."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
