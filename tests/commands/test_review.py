"""The command listens on this machine alone, prints a link that opens once, and ends with Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from childgait.commands.review import review
from childgait.engine.source_files import ROOT
from childgait.errors import StepError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_link_opens_once_and_ctrl_c_ends_the_server(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for folder in ("data/deidentify", "annotations"):
        (tmp_path / folder).mkdir(parents=True)
    command = [sys.executable, "-m", "childgait", "review", "--port", str(free_port())]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert server.stdout is not None
        assert "Ctrl-C" in server.stdout.readline()
        link = server.stdout.readline().split()[-1]
        assert link.startswith("http://127.0.0.1:")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert "Who decides?" in opener.open(link, timeout=10).read().decode()
        assert server.stdout.readline().split()[-1] != link  # for another browser
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(link, timeout=10)
        server.send_signal(signal.SIGINT)
        assert server.wait(15) in (0, 130)
    finally:
        server.kill()


def test_what_is_missing_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepError, match="data/deidentify does not exist"):
        review()
    (tmp_path / "data" / "deidentify").mkdir(parents=True)
    with pytest.raises(StepError, match="annotations does not exist"):
        review()
    with pytest.raises(StepError, match="the port is 0"):
        review(port=0)
