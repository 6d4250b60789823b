"""How many threads a job may use."""

from __future__ import annotations

import os


def threads() -> int:
    """How many threads a job may use: what the workflow gave it, else one. Never the machine's count: bytes depend on it."""
    return int(os.environ.get("CHILDGAIT_THREADS", "1"))
