"""Checks params.yaml: every section, every key, all problems at once."""

from __future__ import annotations

from pathlib import Path

from childgait.params import load_params


def check_params(params_file: Path = Path("params.yaml")) -> None:
    load_params(params_file)
