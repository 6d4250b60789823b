"""Debian's Chromium without a window, driven by its DevTools protocol over two pipes; no driver package is needed."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
KEYS = {"Enter": 13, "Tab": 9, "Home": 36, "End": 35, "Backspace": 8}
KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
PLACE = "const one = document.querySelector(%s); one.scrollIntoView({block: 'center'}); "
PLACE += "const b = one.getBoundingClientRect();"


class Page:
    """One tab. Every call waits for the browser's answer; a script error of the page fails the test."""

    def __init__(self, write: int, read: int) -> None:
        self._write = write
        self._stream = os.fdopen(read, "rb")
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.errors: list[str] = []

    def call(self, method: str, **params: object) -> Any:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._stream.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium has ended")
            data += byte
        event: dict[str, Any] = json.loads(data)
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(event["params"]["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["source"] == "security":
            self.errors.append(event["params"]["entry"]["text"])
        return event

    def open(self, width: int, height: int) -> None:
        """Open the tab at a size in CSS pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def go(self, address: str) -> None:
        self.run("window.isOld = true")
        self.call("Page.navigate", url=address)
        self.wait("!window.isOld && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of an expression; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, condition: str, seconds: float = 15) -> None:
        """Wait until an expression is true, also over the load of a page."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(RuntimeError):
                if self.run(condition):
                    return
            time.sleep(0.03)
        raise AssertionError(f"not true within {seconds} s: {condition}; the page shows {self.text()[:500]!r}")

    def text(self) -> str:
        return str(self.run("document.body.innerText"))

    def key(self, key: str, shift: bool = False) -> None:
        """Press and release a key."""
        code = KEYS.get(key, ord(key.upper()[0]))
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        for letter in text:
            self.key(letter)

    def drag(self, start: tuple[float, float], end: tuple[float, float] | None = None) -> None:
        """Press the left button at one place and release it at another, or click."""
        end = start if end is None else end
        moves = (
            ("mouseMoved", start, 0),
            ("mousePressed", start, 1),
            ("mouseMoved", end, 1),
            ("mouseReleased", end, 0),
        )
        for kind, (x, y), buttons in moves:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        place = PLACE % json.dumps(selector)
        box = self.run(f"(() => {{ {place} return [b.left + b.width / 2, b.top + b.height / 2]; }})()")
        self.drag((box[0], box[1]))

    def on_canvas(self, x: float, y: float, selector: str = ".player canvas") -> tuple[float, float]:
        """Return the place on the screen of a pixel of the video."""
        place = PLACE % json.dumps(selector)
        left, top, width, height = self.run(f"(() => {{ {place} return [b.left, b.top, b.width, b.height]; }})()")
        data = json.loads(self.run("document.getElementById('data').textContent"))
        size = (data.get("videos") or [data])[0]
        return left + (x + 0.5) / size["width"] * width, top + (y + 0.5) / size["height"] * height

    def printed_pages(self) -> int:
        """Print the page as PDF, as its style sheet sets the paper; returns the number of sheets."""
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return max(int(count) for count in re.findall(rb"/Count (\d+)", base64.b64decode(printed["data"])))

    def picture(self, path: Path) -> None:
        """Write a screenshot of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 4000), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def chromium(folder: Path, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Start Chromium with a fresh profile and yield its tab."""
    assert CHROMIUM, "chromium is not installed"
    to_browser, from_browser = os.pipe(), os.pipe()
    names = ("headless=new", "remote-debugging-pipe", "no-sandbox", "disable-gpu", "no-first-run", "disable-extensions")
    options = [*(f"--{name}" for name in names), "--disable-background-networking"]
    options += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
    script = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", CHROMIUM, *options],
        pass_fds=(to_browser[0], from_browser[1]),
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    page = Page(to_browser[1], from_browser[0])
    try:
        page.open(width, height)
        yield page
        assert not page.errors, page.errors
    finally:
        process.terminate()
        process.wait(20)
        os.close(to_browser[1])


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on a free port of 127.0.0.1 in a thread; yield its address."""
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
