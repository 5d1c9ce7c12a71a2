"""The stage as a whole, through its command line."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, frame_image
from avatarmake.errors import Exit
from avatarmake.files.digests import digest_path
from avatarmake.formats.images import read_rgb, resize
from stages.frames import STAGE
from stages.frames.__main__ import ImageWriter, run


@pytest.fixture
def subject(tmp_path) -> Subject:
    return Subject(tmp_path / "data", "someone")


def cut(subject: Subject, *options: object) -> Exit:
    return command(STAGE, run, [subject.name, "--data", str(subject.data), *map(str, options)])


def crop_json(subject: Subject) -> dict:
    return json.loads((subject.directory("frames") / "crop.json").read_text())


def images(subject: Subject) -> list[str]:
    return sorted(p.name for p in subject.directory("frames").glob("*.jpg"))


def test_a_wide_video(subject, scene, video):
    made = video([scene(960, 540, [(400 + 2 * i, 90)]) for i in range(20)])
    assert cut(subject, "--video", made) == Exit.OK
    assert images(subject) == [f"{i:05d}.jpg" for i in range(1, 21)]
    c = crop_json(subject)
    x, y, side = c["box"]
    assert 180 < side < 340 and 0 <= x and x + side <= 960 and 0 <= y and y + side <= 540
    assert x < 500 and x + side > 400 + 40 + 200  # the head in every frame, from the first to the last
    assert c["source_frames"] == list(range(20)) and np.allclose(c["times"], np.arange(20) / 25, atol=1e-3)
    assert c["source"]["frames"] == 20 and c["source"]["width"] == 960 and c["fps"] == 25
    image = read_rgb(frame_image(subject.directory("frames"), 3))
    expected = resize(scene(960, 540, [(404, 90)])[y : y + side, x : x + side], (512, 512))
    assert image.shape == (512, 512, 3)
    assert np.abs(image.astype(int) - expected).mean() < 4
    facts = json.loads((subject.directory("frames") / "stage.json").read_text())["facts"]
    assert facts["frames_in"] == facts["frames_out"] == 20


def test_portrait_orientation_by_rotation_flag(subject, scene, video):
    upright = scene(400, 640, [(60, 150)])
    made = video([np.rot90(upright, 1)] * 3, rotation=-90)
    assert cut(subject, "--video", made) == Exit.OK
    c = crop_json(subject)
    assert (c["source"]["width"], c["source"]["height"], c["source"]["rotation"]) == (400, 640, 90)
    x, y, side = c["box"]
    expected = resize(upright[y : y + side, x : x + side], (512, 512))
    assert np.abs(read_rgb(frame_image(subject.directory("frames"), 1)).astype(int) - expected).mean() < 4


def test_fps_and_which_frames(subject, scene, video):
    made = video([scene(480, 480, [(90, 60)])] * 30, rate=30)
    assert cut(subject, "--video", made, "--fps", 25) == Exit.OK
    c = crop_json(subject)
    assert c["source_frames"] == [int(i * 1.2 + 1e-9) for i in range(25)] and c["fps"] == 25
    assert len(images(subject)) == 25


def test_the_subjects_own_video_and_its_content_are_part_of_the_key(subject, scene, video, capsys):
    subject.root.mkdir(parents=True)
    subject.video.write_bytes(video([scene(480, 480, [(90, 60)])]).read_bytes())
    assert cut(subject) == Exit.OK and images(subject) == ["00001.jpg"]
    assert cut(subject) == Exit.OK and "nothing to do" in capsys.readouterr().out
    subject.video.write_bytes(video([scene(480, 480, [(90, 60)])] * 9).read_bytes())
    assert cut(subject) == Exit.OK and "changed: video" in capsys.readouterr().out
    assert len(images(subject)) == 9


def test_the_video_need_not_be_given_twice(subject, scene, video, capsys):
    made = video([scene(480, 480, [(90, 60)])])
    assert cut(subject, "--video", made) == Exit.OK
    assert cut(subject) == Exit.OK and "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], Exit.USAGE, "VIDEO="),
        (["--video", "nowhere.mp4"], Exit.BAD_INPUT, "nowhere.mp4: there is no such file"),
        (["--fps", "0"], Exit.USAGE, "FPS=25"),
        (["--fps", "fast"], Exit.USAGE, ""),
    ],
)
def test_wrong_command_lines(subject, options, code, words, capsys):
    assert cut(subject, *options) == code
    error = capsys.readouterr()
    assert words in error.err and "Traceback" not in error.err
    assert not subject.directory("frames").exists()


def test_frozen_and_black_images_are_listed_and_said(subject, scene, video, capsys):
    moving = [scene(480, 480, [(60 + 3 * i, 60)]) for i in range(8)]
    black = [np.full((480, 480, 3), 3, np.uint8)] * 2
    made = video([*moving[:4], *[moving[3]] * 5, *moving[4:], *black])
    assert cut(subject, "--video", made, "--samples", "3") == Exit.OK
    c = crop_json(subject)
    assert c["repeats"] == [4, 5, 6, 7, 8] and c["black"] == [13, 14]
    error = capsys.readouterr().err
    assert "5 images repeat the one before (5-9)" in error and "2 images are black (14-15)" in error


def test_no_face(subject, video, capsys):
    assert cut(subject, "--video", video([np.full((240, 320, 3), 90, np.uint8)] * 5)) == Exit.BAD_INPUT
    assert "no face in 5 frames looked at (320 x 240)" in capsys.readouterr().err
    assert not subject.directory("frames").exists()


def test_a_killed_run_goes_on_where_it_was(subject, scene, video, monkeypatch, tmp_path):
    made = video([scene(480, 480, [(90 + i, 60)]) for i in range(12)])
    assert cut(subject, "--video", made) == Exit.OK
    undisturbed = {n: digest_path(subject.directory("frames") / n) for n in [*images(subject), "crop.json"]}

    write, written = ImageWriter.write, []

    def dies(self, path, image):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(path.name)
        write(self, path, image)

    again = Subject(tmp_path / "again", "someone")
    monkeypatch.setattr(ImageWriter, "write", dies)
    cut(again, "--video", made)
    assert not again.directory("frames").exists()
    left = {p.name: p.stat().st_mtime_ns for p in again.partial("frames").glob("0*.jpg")}
    assert 0 < len(left) <= 5

    monkeypatch.setattr(ImageWriter, "write", write)
    assert cut(again, "--video", made) == Exit.OK
    done = again.directory("frames")
    assert {n: digest_path(done / n) for n in undisturbed} == undisturbed
    assert all((done / n).stat().st_mtime_ns == t for n, t in left.items())


def test_kill_9_and_again(subject, scene, video):
    made = video([scene(480, 480, [(90, 60)])] * 150)
    line = [sys.executable, "-m", "stages.frames", subject.name, "--data", str(subject.data), "--video", str(made)]
    process = subprocess.Popen(line)
    while len(list(subject.partial("frames").glob("0*.jpg"))) < 10 and process.poll() is None:
        time.sleep(0.002)  # and leave the core to it
    process.kill()
    process.wait()
    assert not subject.directory("frames").exists()
    assert cut(subject, "--video", made) == Exit.OK
    assert len(images(subject)) == 150
    assert {p.suffix for p in subject.directory("frames").iterdir()} == {".jpg", ".json", ""}


def test_the_real_video_is_its_own_crop(subject, wojtek):
    assert cut(subject, "--video", wojtek, "--fps", "2") == Exit.OK
    assert crop_json(subject)["box"] == [0, 0, 512]
    assert len(images(subject)) == 32
