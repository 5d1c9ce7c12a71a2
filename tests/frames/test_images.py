"""Images in place of a video: a folder, or a name with a number."""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image, ImageCms

from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit, StageError
from avatarmake.files import inputs
from stages.frames import STAGE, FramesConfig, with_video
from stages.frames.__main__ import run
from stages.frames.images import gaps, images
from stages.frames.sequence import Sequence, read
from tests.frames.test_video import corners, quadrants


@pytest.fixture
def subject(tmp_path) -> Subject:
    return Subject(tmp_path / "data", "someone")


@pytest.fixture
def folder(tmp_path):
    """folder(names, image) -> a folder of that image under these names, as their suffixes say."""
    place = tmp_path / "taken"
    place.mkdir()

    def make(names: list[str], image: np.ndarray | None = None):
        for name in names:
            Image.fromarray(quadrants() if image is None else image).save(place / name)
        return place

    return make


def cut(subject: Subject, *options: object) -> Exit:
    return command(STAGE, run, [subject.name, "--data", str(subject.data), *map(str, options)])


def opened(path, fps: float = 25) -> Sequence:
    return Sequence(path, images(path), fps)


def test_a_folder_and_a_pattern_give_what_the_video_gives(subject, scene, folder, capfd):
    shown = [scene(480, 480, [(90 + 3 * i, 60)]) for i in range(11)]
    for i, image in enumerate(shown):
        place = folder([f"{i + 8}.png"], image)  # 8, 9, 10: by name 10 would come first
    (place / "Thumbs.db").write_text("")
    (place / ".DS_Store").write_text("")
    for video in (place, place / "%d.png"):
        assert cut(subject, "--video", video, "--fps", 25, "--force") == Exit.OK
        made = subject.directory("frames")
        crop = json.loads((made / "crop.json").read_text())
        assert crop["fps"] == 25 and crop["source"]["frames"] == 11 and crop["source"]["duration"] == 0.44
        assert crop["source_frames"] == list(range(11)) and np.allclose(crop["times"], np.arange(11) / 25)
        x, y, side = crop["box"]
        for i in (0, 10):
            seen = np.asarray(Image.open(made / f"{i + 1:05d}.jpg").resize((side, side))).astype(int)
            assert np.abs(seen - shown[i][y : y + side, x : x + side]).mean() < 4
    assert "11 images, 25 a second" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["1.png", "2.png"], [], "is 2 images, and nothing says how many of them are a second. Say it: FPS=25"),
        ([], ["--fps", "25"], "is a folder without images (png, jpg"),
        (["1.png", "1.jpg"], ["--fps", "25"], "has two images of one name, 1.jpg and 1.png. Say which: VIDEO="),
    ],
)
def test_what_is_no_video_is_refused_before_it_is_read(subject, folder, monkeypatch, names, options, words, capsys):
    place = folder(names)
    monkeypatch.setattr(inputs, "digest", lambda path: pytest.fail("digested"))
    assert cut(subject, "--video", place, *options) == Exit.USAGE
    error = capsys.readouterr().err
    assert words in error and str(place) in error
    assert not subject.directory("frames").exists()


def test_a_folder_that_holds_the_video_says_so(subject, folder):
    place = folder([])
    (place / "clip.mp4").write_text("")
    with pytest.raises(StageError, match="Give the video itself: VIDEO=.*clip.mp4"):
        with_video(subject, FramesConfig(video=place))


def test_a_pattern_that_nothing_fits_says_what_there_is(folder):
    with pytest.raises(StageError, match="no file has a name like that; the folder holds 00001.png and 1 more"):
        images(folder(["00001.png", "00002.png"]) / "%04d.jpg")


def test_a_pipe_does_not_hang(subject, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.mp4")
    started = time.monotonic()
    assert cut(subject, "--video", tmp_path / "pipe.mp4") == Exit.BAD_INPUT
    assert "is a pipe" in capsys.readouterr().err and time.monotonic() - started < 60


def test_a_name_that_is_no_text(subject, scene, folder, capsys):
    place = folder([os.fsdecode(b"a\xff1.png"), os.fsdecode(b"a\xff2.png")], scene(480, 480, [(90, 60)]))
    assert cut(subject, "--video", place, "--fps", 25) == Exit.OK
    assert "2 images" in capsys.readouterr().err


def test_images_of_two_sizes_are_refused_by_name(folder):
    folder(["1.png", "2.png", "4.png"])
    with pytest.raises(StageError, match="3 like 1.png are 96 x 64, 1 like 3.png are 80 x 64") as e:
        opened(folder(["3.png"], quadrants(64, 80)))
    assert "one size" in str(e.value)


def test_broken_images_are_left_out_up_to_a_tenth(folder):
    place = folder([f"{i}.png" for i in range(20)])
    for name, good in (("7.png", True), ("8.png", True), ("9.png", False)):
        (place / name).write_bytes((place / name).read_bytes()[:60])
        with opened(place) as v:
            if good:
                frames = list(v.frames())
                assert [round(f.time * 25) for f in frames] == [f.index for f in frames]
                assert len(frames) == 20 - v.unreadable and "7.png" in v.lines[-1]
                assert len(list(v.samples(20))) == len(frames)
            else:
                with pytest.raises(StageError, match="3 of 20 images cannot be read: 7.png"):
                    list(v.frames())
    (place / "only").mkdir()
    (place / "only" / "1.png").write_text("")
    with pytest.raises(StageError, match="not one of 1 images"):
        opened(place / "only")


def test_gaps_in_the_numbers_are_said(folder, tmp_path):
    place = folder(["f_08.png", "f_09.png", "f_12.png"])
    with opened(place) as v:
        assert "2 numbers between f_08.png and f_12.png are missing" in v.lines
    names = [["10.png", "20.png", "30.png"], ["a1.png", "b7.png"], ["x.png", "y.png"], ["1.png"]]
    assert [gaps([tmp_path / n for n in some]) for some in names] == [0, 0, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".JPEG"])
def test_kinds_of_files(folder, suffix):
    with opened(folder([f"1{suffix}"])) as v:
        assert corners(next(v.frames()).rgb()) == "RGBW" and (v.width, v.height) == (96, 64)


def test_exif_orientation(folder):
    place = folder([])
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter clockwise
    Image.fromarray(np.rot90(quadrants()).copy()).save(place / "1.jpg", exif=exif, quality=95)
    with opened(place) as v:
        assert (v.width, v.height) == (96, 64) and corners(next(v.frames()).rgb()) == "RGBW"


def test_sixteen_bits_and_transparency(tmp_path):
    import av

    grey = np.full((8, 8), 150 * 257, np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert read(tmp_path / "grey.png").tolist() == np.full((8, 8, 3), 150).tolist()
    with av.open(str(tmp_path / "rgb.png"), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 8
        stream.pix_fmt = "rgb48be"
        colours = np.full((8, 8, 3), (200 * 257, 100 * 257, 50 * 257), np.uint16)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(colours, "rgb48le").reformat(format="rgb48be")))
        container.mux(stream.encode())
    assert np.abs(read(tmp_path / "rgb.png").astype(int) - (200, 100, 50)).max() <= 1
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, 4:, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    Image.fromarray(rgba).convert("LA").save(tmp_path / "grey_clear.png")
    for name in ("clear.png", "grey_clear.png"):
        image = read(tmp_path / name)
        assert image[0, 0].tolist() == [255] * 3 and image[0, 7].tolist() == [127] * 3
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(ValueError, match="floating-point"):
        read(tmp_path / "depth.tif")


def test_a_profile_is_followed(tmp_path):
    """One of whose primaries red and blue changed places: what is red by its numbers is blue."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    other = other.replace("sRGB".encode("utf-16-be"), "sBGR".encode("utf-16-be"))
    for profile, shown in ((srgb, (200, 40, 60)), (other, (60, 40, 200)), (b"no profile", (200, 40, 60))):
        Image.new("RGB", (8, 8), (200, 40, 60)).save(tmp_path / "a.png", icc_profile=profile)
        assert np.abs(read(tmp_path / "a.png")[0, 0].astype(int) - shown).max() <= 2
