"""The page of an avatar in headless chromium: how near it is to the CPU's rasteriser, how large, how fast.

    python -m bench.view wojtek [--data data]

Needs chromium and chromedriver. Seconds are processor's (user and system, of all of the browser's processes): what else
runs on the machine counts little.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import psutil

from avatarmake.avatar import tracked
from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import Avatar, view_of
from avatarmake.contract.layout import Subject
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.body import Body
from tests.view.browser import Browser, pixels

SIDE, POSES, SECONDS = 512, 10, 10
PLAY = """
    const state = avatar.state, shown = [], start = performance.now();
    avatar.play(true);
    while (performance.now() - start < 1000 * arguments_[0]) {
      state.side = 1; // 512, however slow that is
      await new Promise(requestAnimationFrame);
      if (shown.at(-1) !== state.frame) shown.push(state.frame);
    }
    return [shown.length, (performance.now() - start) / 1000];
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subject")
    parser.add_argument("--data", type=Path, default=Path("data"))
    given = parser.parse_args()
    subject = Subject(given.data, given.subject)
    page = subject.directory("view") / "index.html"
    if not page.is_file():
        parser.error(f"{page} is not there. Run: make view ID={subject.name}")
    with Browser(size=(832, 700)) as browser:
        browser.open(page)
        browser.wait("window.avatar")
        found = [psnr(browser, *pose) for pose in poses(subject)]
        print(f"{page}: {page.stat().st_size / 1e6:.2f} MB")
        print(f"PSNR of {POSES} poses at {SIDE} px: {min(found):.1f} to {max(found):.1f} dB")
        before = seconds(browser)
        count, took = browser.run(PLAY, SECONDS)
        size = browser.run("const c = document.querySelector('canvas'); return [c.width, c.height]")
        print(f"played, {size[0]} x {size[1]}: {count / took:.1f} pictures a second")
        for kind, spent in seconds(browser).items():
            print(f"  {kind}: {1000 * (spent - before.get(kind, 0)) / count:.1f} ms of processor a picture")


def poses(subject: Subject) -> list[tuple]:
    """avatar, parameters, view, translation, body: half as tracked, half changed by about a standard deviation."""
    avatar, own = Avatar.read(subject), tracked.of_dataset(subject.directory("refined"), subject.name)
    rng, found, body = np.random.default_rng(0), [], avatar.body(own)
    for k, i in enumerate(np.linspace(0, len(own) - 1, POSES).astype(int)):
        p, view = own.parameters(i), view_of(own.R[i])
        if k % 2:
            sizes = (1, 0.1, 0.2, 0.3)
            p = Parameters(*(np.float32(a + rng.normal(size=a.shape) * s) for a, s in zip(p, sizes, strict=True)))
            view = np.float32(view + rng.normal(size=3) * 0.2)
        found.append((avatar, p, view, own.t[i], body.of(i)))
    return found


def psnr(
    browser: Browser, avatar: Avatar, p: Parameters, view: np.ndarray, translation: np.ndarray, body: Body
) -> float:
    rotation = cameras.FLIP @ rotations.matrix_from_axis_angle(view.astype(np.float64))
    expected = avatar.draw(p, rotation, translation, avatar.camera(SIDE), view=view, body=body)
    values = p._asdict() | {"view": view, "translation": translation}
    if avatar.seconds:
        values["body_view"] = view_of(rotation @ body.turn[0])
        values["body_translation"] = rotation @ body.shift[0] + translation
    pose = {name: value.tolist() for name, value in values.items()}
    shown = pixels(browser.run("return avatar.picture(...arguments_)", SIDE, pose))
    return float(10 * np.log10(255**2 / np.mean((shown.astype(np.float64) - expected) ** 2)))


def seconds(browser: Browser) -> dict[str, float]:
    """By the kind of process: what each has spent."""
    time.sleep(0.2)
    spent: dict[str, float] = {}
    for process in psutil.Process(browser.pid).children(recursive=True):
        words = process.cmdline()
        kind = next((word.partition("=")[2] for word in words if word.startswith("--type=")), "browser")
        times = process.cpu_times()
        spent[kind] = spent.get(kind, 0) + times.user + times.system
    return {kind: spent[kind] for kind in ("renderer", "gpu-process") if kind in spent}


if __name__ == "__main__":
    main()
