"""Open the review app: a local web page where a person clears, selects, corrects and rates.

    childgait review                                 # prints a link; open it in a browser of this machine
    childgait review --roles rater coordinator       # one link per role; agreement is shown to the coordinator only
    ssh -L 8765:127.0.0.1:8765 login-node            # ... for a server that runs on another machine

The server listens on 127.0.0.1 and stops with Ctrl-C. Decisions are rows of the manual tables and of labels.json.
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError


def review(
    port: int = 8765,
    roles: list[str] | None = None,
    labels: Path | None = None,
    data: Path = Path("data"),
    params: Path = Path("params.yaml"),
) -> None:
    """Serve the page until Ctrl-C; `labels` is another file for ratings than the cohort's labels.json."""
    from childgait.review.serve import serve
    from childgait.review.study import open_study

    if not 1 <= port <= 65535:
        raise StepError(f"the port is {port}", hint="give 1024 to 65535")
    serve(open_study(params, labels, data), port, roles or ["rater"])
