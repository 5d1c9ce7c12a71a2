"""An avatar, and somebody who drives it: a tracked subject with pictures, uneven times, and a frame without a face."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.contract import layout
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit
from avatarmake.formats import images
from avatarmake.formats.tracking import Tracking, write_tracking
from avatarmake.geometry import cameras, rotations
from stages.drive import STAGE
from stages.drive.__main__ import run
from tests.avatar import subject as small

FRAMES, LOST = 12, 5  # and which of them has no face
TIMES = [round(0.04 * k + (0.02 if k > 6 else 0), 6) for k in range(FRAMES)]
REST, JAW, SMILE = 0.05, 0.1, 0.8  # the driver's jaw at rest, and what they do from frame 8 on


@pytest.fixture(scope="session")
def subjects(tmp_path_factory) -> Path:
    """data/ with the avatar `roman` and the driver `anna`, whose video has sound."""
    data = tmp_path_factory.mktemp("drives")
    small.trained(data / "roman")
    anna(data)
    return data


def anna(data: Path) -> None:
    root = data / "anna"
    for name in ("frames", "tracking"):
        (root / name).mkdir(parents=True)
    video_with_sound(root / "video.mp4", "aac", -0.1)
    digest = head_model.load("open").digest
    expression, jaw = np.zeros((FRAMES, 100), np.float32), np.full((FRAMES, 3), 0, np.float32)
    jaw[:, 0] = REST
    jaw[8:, 0], expression[8:, 0] = REST + JAW, SMILE
    expression[:, 3] = 0.7  # how they always look
    for k in range(FRAMES):
        images.write_jpeg(layout.frame_image(root / "frames", k + 1), np.full((512, 512, 3), 20 * k, np.uint8))
        if k == LOST:
            continue
        turn = rotations.matrix_from_axis_angle(np.array([0, 0.02 * k, 0]))
        tracked = Tracking(
            shape=np.zeros(300, np.float32),
            expression=expression[k],
            jaw_pose=jaw[k],
            eye_pose=np.zeros(6, np.float32),
            cam=cameras.cam_from_extrinsics(cameras.FLIP @ turn, np.array([0.02, 0.05, 1.2])).astype(np.float32),
            intrinsics=cameras.intrinsics_from_focal(1300, (512, 512)).astype(np.float32),
            eyelids=np.full(2, 0.1, np.float32),
        )
        write_tracking(layout.tracking_file(root / "tracking", k), tracked)
    tracker = {"head_model": "open", "head_model_digest": digest, "tracked": [k for k in range(FRAMES) if k != LOST]}
    (root / "tracking" / "tracker.json").write_text(json.dumps(tracker))
    (root / "frames" / "crop.json").write_text(json.dumps({"fps": 25.0, "times": TIMES}))
    small.finish(root / "tracking")
    receipt = {"outputs": {"digest": "frames"}, "config": {"video": str(root / "video.mp4")}}
    (root / "frames" / "stage.json").write_text(json.dumps(receipt))


def video_with_sound(path: Path, codec: str, starts: float, seconds: float = 0.6) -> None:
    """Grey pictures, and a tone that begins `starts` seconds after the first of them."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream(codec, rate=48000)
        sound.layout = "mono"
        offset = max(-starts, 0)
        for k in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")
            frame.pts = k + round(offset * 25)
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        tone = (np.sin(np.arange(round(48000 * (seconds + offset))) / 20) * 9000).astype(np.int16)[None]
        for at in range(0, tone.shape[1], 960):
            frame = av.AudioFrame.from_ndarray(tone[:, at : at + 960], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48000, at + round(max(starts, 0) * 48000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode())


def drive(data: Path, by: str, *options: str, code: Exit = Exit.OK) -> Path:
    """Run the stage for roman; -> the drive's directory."""
    assert command(STAGE, run, ["roman", f"--data={data}", f"--by={by}", "--size=256", *options]) == code
    return Subject(data, "roman").directory(f"drives/{Path(by).stem}")
