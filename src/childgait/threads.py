"""The number of threads of a job."""

from __future__ import annotations

import os


def threads() -> int:
    """Return the number of threads that the workflow assigned to this job (CHILDGAIT_THREADS), else 1.

    The number of CPUs is never used: the last bits of a result may depend on the number of threads.
    """
    return int(os.environ.get("CHILDGAIT_THREADS", "1"))
