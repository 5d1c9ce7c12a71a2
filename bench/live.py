"""The live avatar, end to end: chromium's fake camera shows a tracked video, and what comes out is held against the
offline tracking of it. Rate, delay from a frame's capture until the avatar shows it, processor time.

    python -m bench.live wojtek [--data data] [--seconds 60] [--focal 1.2] [--replay]

--replay leaves the browser out: every frame is seen, 25 a second by its own clock, however busy the machine is.
Needs chromium, chromedriver and data/<ID>/ with frames, tracking, dataset and avatar. Each picture has its number in
its margin, as 10 squares, so that frames are told apart wherever the camera's loop is.
"""

import argparse
import asyncio
import os
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in stages/live/__main__.py
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image

from avatarmake.avatar import tracked
from avatarmake.avatar.model import view_of
from avatarmake.contract.layout import Subject, frame_image
from avatarmake.formats.descriptions import read_crop
from bench.view import seconds
from stages.live import LiveConfig
from stages.live.__main__ import live
from stages.live.server import Live
from stages.live.session import HEADER, Session, frame, joined
from tests.view.browser import Browser

WIDTH, HEIGHT, BITS, SQUARE = 640, 480, 10, 32


def camera(subject: Subject, path: Path) -> None:
    """The subject's frames as a .y4m of 640 x 480, 25 a second."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip C420jpeg\n".encode())
        for i in range(length(subject)):
            y, u, v = picture(subject, i).convert("YCbCr").split()
            half = (WIDTH // 2, HEIGHT // 2)
            file.write(b"FRAME\n" + y.tobytes() + u.resize(half).tobytes() + v.resize(half).tobytes())


def picture(subject: Subject, i: int) -> Image.Image:
    """Frame i as the camera shows it, its number in the margin."""
    shown = Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90))
    face = Image.open(frame_image(subject.directory("frames"), i + 1))
    shown.paste(face.resize((HEIGHT, HEIGHT), Image.Resampling.LANCZOS), ((WIDTH - HEIGHT) // 2, 0))
    for bit in range(BITS):
        shown.paste(255 * (i >> bit & 1) * 0x010101, (0, SQUARE * bit, SQUARE, SQUARE * (bit + 1)))
    return shown


def length(subject: Subject) -> int:
    return len(read_crop(subject.directory("frames") / "crop.json", subject.name, "times")["times"])


def number(image: np.ndarray) -> int:
    at = SQUARE // 2 + SQUARE * np.arange(BITS)
    return int(((image[at, SQUARE // 2, 1] > 128) << np.arange(BITS)).sum())


class Watched:
    """A session that remembers which of the video's frames each time was."""

    def __init__(self, session: Session):
        self.session, self.numbers, self.told = session, {}, []
        self.close, self.record, self.recording = session.close, session.record, session.recording
        session.record()

    def see(self, message: bytes) -> dict:
        at, image = frame(message)
        self.numbers[at] = number(image)
        told = self.session.see(message)
        if "time" in told:
            self.told.append(told["time"])
        return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subject")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--focal", type=float, default=1.2)
    parser.add_argument("--replay", action="store_true")
    given = parser.parse_args()
    subject = Subject(given.data, given.subject)
    served = live(subject, LiveConfig(focal=given.focal))
    if given.replay:
        replay(subject, Watched(served._session()), given.seconds)
    else:
        in_chromium(subject, served, given.seconds)


def replay(subject: Subject, watched: Watched, span: float) -> None:
    """The camera's loop without a camera; who it is is found before the next frame comes."""
    spent, count = 0.0, round(span * 25)
    for k in range(count):
        shown = np.asarray(picture(subject, k % length(subject)).convert("RGBA"))
        began = time.process_time()
        watched.see(HEADER.pack(k / 25, WIDTH, HEIGHT, 0) + shown.tobytes())
        spent += time.process_time() - began
        watched.session._follower.settle()
    print(f"{1000 * spent / count:.1f} ms of processor a frame, both threads' where they ran at once")
    compare(subject, watched, span / 2)
    watched.close()


def in_chromium(subject: Subject, served: Live, span: float) -> None:
    sessions: list[Watched] = []
    make = served._session
    served._session = lambda: sessions.append(Watched(make())) or sessions[-1]
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(served.open(), loop).result()
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "camera.y4m"
        camera(subject, film)
        fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
        with Browser(*fake, f"--use-file-for-fake-video-capture={film}", size=(832, 700)) as browser:
            browser.open(served.address)
            browser.wait("window.live")
            browser.run("avatar.state.side = 0; document.getElementById('camera').click()")
            time.sleep(span / 2)
            before, began, count = seconds(browser), time.process_time(), len(sessions[0].told)
            time.sleep(span / 2)
            rate, delay, took = browser.run("return [live.rate, live.delay, live.took]")
            count = max(len(sessions[0].told) - count, 1)
            own = (time.process_time() - began) / count
            spent = {kind: (value - before.get(kind, 0)) / count for kind, value in seconds(browser).items()}
            browser.run("document.getElementById('camera').click()")
    print(f"{rate:.1f} a second, {delay:.0f} ms from capture to picture, {took:.1f} ms in the process")
    costs = ", ".join(f"{kind} {1000 * value:.0f}" for kind, value in ({"process": own} | spent).items())
    print(f"processor, ms a frame: {costs}")
    compare(subject, sessions[0], span / 2)


def compare(subject: Subject, watched: Watched, skip: float) -> None:
    parts = watched.session._recorded
    parts = [p for p in parts if p.times[0] > parts[0].times[0] + skip]
    ours = joined(parts)
    offline = tracked.of_tracking(subject.directory("tracking"), subject.directory("frames"), subject.name)
    index = [watched.numbers[t] for t in ours.times]
    print(f"{len(index)} frames after {skip:.0f} s, correlation with the offline tracking:")
    pairs = {
        "expression": (ours.expression, offline.expression[index]),
        "jaw": (ours.jaw_pose[:, :1], offline.jaw_pose[index, :1]),
        "gaze": (ours.eye_pose[:, [0, 1, 3, 4]], offline.eye_pose[index][:, [0, 1, 3, 4]]),
        "lids": (ours.eyelids, offline.eyelids[index]),
        "head": (view_of(ours.R), view_of(offline.R[index])),
    }
    for name, (a, b) in pairs.items():
        a, b = (a - a.mean(0)).ravel(), (b - b.mean(0)).ravel()
        print(f"  {name}: {float(a @ b / np.sqrt((a @ a) * (b @ b))):.3f}")


if __name__ == "__main__":
    main()
