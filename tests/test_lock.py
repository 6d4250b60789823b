"""The lock pins every package of requirements.in exactly once on each Python that the project allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def requirements(name: str) -> list[Requirement]:
    """Parse the requirements of a file, without hashes and comments."""
    text = (ROOT / "envs" / name).read_text().replace("\\\n", " ")
    lines = (re.sub(r"--hash=\S+", "", line.split(" #")[0]).strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pins(python: str) -> dict[str, list[str]]:
    """Map each package of the lock that this Python installs on Linux to its pinned versions."""
    environment = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    found: dict[str, list[str]] = {}
    for one in requirements("requirements.lock"):
        if one.marker is None or one.marker.evaluate(environment):
            found.setdefault(canonicalize_name(one.name), []).append(str(one.specifier).removeprefix("=="))
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_gets_one_version_of_each_package(python: str) -> None:
    locked = pins(python)
    assert {name: versions for name, versions in locked.items() if len(versions) != 1} == {}
    for wanted in requirements("requirements.in"):
        if wanted.marker is None or wanted.marker.evaluate({**default_environment(), "python_version": python}):
            assert canonicalize_name(wanted.name) in locked, f"{wanted.name} is not in the lock for Python {python}"
            assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)][0]), wanted


def test_every_pin_has_a_hash() -> None:
    text = (ROOT / "envs" / "requirements.lock").read_text().replace("\\\n", " ")
    assert [line.split(" ")[0] for line in text.splitlines() if "==" in line and "--hash=sha256:" not in line] == []
