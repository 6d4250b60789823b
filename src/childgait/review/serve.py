"""Runs the review app on 127.0.0.1 and prints its one-time links."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import cast

from childgait.errors import StepError
from childgait.review.access import ROLES, Role, Sessions
from childgait.review.study import Study

HOST = "127.0.0.1"  # never another: videos of children are shown


def check_roles(roles: Sequence[str]) -> list[Role]:
    """Return the roles of the links; fail on an unknown one."""
    for role in roles:
        if role not in ROLES:
            raise StepError(f"there is no role {role!r}", hint=f"roles are {', '.join(ROLES)}")
    return [cast(Role, role) for role in roles]


def bind(port: int) -> socket.socket:
    """Return a listening socket of 127.0.0.1; fail if another program uses the port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        reason = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror
        raise StepError(f"port {port} cannot be opened ({reason})", hint="choose another one by --port") from None
    return listener


def serve(study: Study, port: int, roles: Sequence[str]) -> None:
    """Serve until Ctrl-C. A used link is replaced by a new one, which opens another browser."""
    import uvicorn

    from childgait.review.app import create_app

    links = check_roles(roles)
    if not (study.data / "deidentify").is_dir():
        raise StepError(f"{study.data}/deidentify does not exist", hint="`make run` makes it; start in the study")
    if not study.annotations.is_dir():
        raise StepError(f"{study.annotations} does not exist", hint="it is cohort.annotations of params.yaml")
    sessions = Sessions()

    def print_link(role: Role) -> None:
        print(f"{role}: http://{HOST}:{port}/?token={sessions.new_link(role)}", flush=True)

    with bind(port) as listener:
        print("Each link opens one browser, once. Stop with Ctrl-C.")
        for role in links:
            print_link(role)
        app = create_app(study, sessions, port, print_link)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=2,
            lifespan="off",
        )
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            app.state.review.previews.close()
