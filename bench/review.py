"""Measures the review app in Chromium at 1920x1080: first paint of the pages, and from a step to its picture.

    PYTHONPATH=src:tests python bench/review.py

The video is lossless, textured and noisy, 90 frames at 30 Hz, and is decoded while the page is open. A step's time runs
from the request until the browser has painted the picture; steps go forwards and backwards, 40 ms apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import cv2
import numpy as np

from childgait.files.atomic import write_text
from childgait.review.access import Sessions
from childgait.review.app import create_app
from childgait.review.study import Study
from support.chromium import Page, chromium, served
from support.review_study import COVERED, HELD, write_recording, write_study

PAINT_AIM, STEP_AIM = 1000.0, 60.0  # ms
OUT = Path("reports/bench/review.md")


def write_noisy_study(root: Path, width: int, height: int, frames: int) -> Study:
    """Write a study with a textured and noisy recording of either kind: one held, one covered."""
    from support import review_study

    random = np.random.default_rng(1)
    coarse = random.integers(60, 180, (height // 12, width // 12, 3)).astype(np.uint8)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)

    def write_pictures(path: Path, *_: int, bright: int = 0) -> None:
        noise = (np.roll(texture, 3 * n, axis=1) + random.integers(-1, 2, texture.shape) for n in range(frames))
        pictures = (np.clip(picture, 0, 255).astype(np.uint8) for picture in noise)
        review_study.write_video(path, pictures, [Fraction(n, 30) for n in range(frames)])

    study = write_study(root)
    review_study.write_pictures = write_pictures
    write_recording(study, HELD[0], "held", width, height, frames)
    write_recording(study, COVERED[0], "covered", width, height, frames)
    return study


def first_paint(page: Page, address: str) -> float:
    """Return the milliseconds from the navigation to the first paint with content."""
    page.go(address)
    page.wait("performance.getEntriesByName('first-contentful-paint').length > 0")
    return float(page.run("performance.getEntriesByName('first-contentful-paint')[0].startTime"))


def step_times(page: Page, places: list[int]) -> list[float]:
    """Return per frame the milliseconds until its picture is on the screen, 40 ms of rest between them."""
    script = f"""(async () => {{
      const times = [], rest = () => new Promise(done => setTimeout(done, 40));
      const painted = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
      for (const place of {places}) {{
        const began = performance.now();
        await window.review.seek(place, place < window.review.frame ? -1 : 1);
        await painted();
        times.push(performance.now() - began);
        await rest();
      }}
      return times;
    }})()"""
    page.run("window.review.pause()")
    return [float(value) for value in page.run(script)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    rows = ["| measure | aim | measured |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        root, sessions = Path(folder), Sessions()
        study = write_noisy_study(root / "study", arguments.width, arguments.height, arguments.frames)
        with served(create_app(study, sessions, 1)) as base, chromium(root) as page:
            page.go(f"{base}/?token={sessions.new_link('rater')}")
            page.wait("document.readyState === 'complete' && !!document.querySelector('#name')")
            page.click("#name")
            page.type("AB")
            page.key("Enter")
            page.wait("document.title.startsWith('Queue')")
            paints = {name: [first_paint(page, base + path) for _ in range(3)] for name, path in PAGES.items()}
            steps = {}
            for name in ("clear", "correct"):
                page.go(base + PAGES[name])
                page.wait("document.querySelector('[data-at=load]').textContent === ''", 300)
                steps[name] = measure_steps(page, arguments.frames - 1)
    for name, values in paints.items():
        rows.append(f"| first paint, {name} (median of 3) | {PAINT_AIM:.0f} ms | {statistics.median(values):.0f} ms |")
    for name, (times, jumps) in steps.items():
        size = f"{name}, {arguments.width}x{arguments.height}"
        median, jump = statistics.median(times), statistics.median(jumps)
        rows.append(f"| frame step, {size} (median of {len(times)}) | {STEP_AIM:.0f} ms | {median:.1f} ms |")
        rows.append(f"| frame step, {size} (95th percentile) | | {np.quantile(times, 0.95):.1f} ms |")
        rows.append(f"| jump to any frame, {size} (median of {len(jumps)}) | | {jump:.1f} ms |")
    write_text(arguments.out, "# The review app in Chromium\n\n" + "\n".join(rows) + "\n")
    print("\n".join(rows))


def measure_steps(page: Page, last: int) -> tuple[list[float], list[float]]:
    """Return the times of single steps, forwards and backwards, and of jumps."""
    steps = step_times(page, [*range(last), *range(last, last // 2, -1)])
    return steps, step_times(page, [n * 37 % last for n in range(30)])


PAGES = {"queue": "/", "clear": f"/clear/{HELD[0]}", "correct": f"/correct/{COVERED[0]}"}

if __name__ == "__main__":
    main()
