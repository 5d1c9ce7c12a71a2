"""Which stream, which way up, which shape: what may change in the middle of a file."""

import av
import numpy as np
import pytest

from avatarmake.errors import StageError
from stages.frames.shapes import Shape, most_used
from stages.frames.video import Video
from tests.frames.conftest import write_video
from tests.frames.test_video import corners, quadrants, shade


def joined(folder, *parts: list) -> object:
    """One recording that changes in the middle: streams of packets can be put behind each other."""
    content = b"".join(write_video(folder / f"{i}.ts", part).read_bytes() for i, part in enumerate(parts))
    path = folder / "joined.ts"
    path.write_bytes(content)
    return path


def test_a_phone_turned_midway(tmp_path):
    """The box of a video is of one shape; the other frames would come out squeezed."""
    wide, tall = [quadrants(64, 96)] * 30, [quadrants(96, 64)] * 10
    for parts, taken, left_out, size in (((wide, tall), 30, 10, (96, 64)), ((tall, wide, wide), 60, 10, (96, 64))):
        with Video(joined(tmp_path, *parts)) as v:
            frames = list(v.frames())
            assert (v.width, v.height) == size and len(frames) == taken and v.left_out == left_out
            assert {f.rgb().shape[:2] for f in frames} == {size[::-1]}
            assert {corners(f.rgb()) for f in frames} == {"RGBW"}
            assert all(a.time < b.time for a, b in zip(frames, frames[1:], strict=False))
            assert any(f"{left_out} frames that are not like 96 x 64 were left out" in line for line in v.lines)
            assert len({f.rgb().shape for f in v.samples(8)}) == 1


def test_a_phone_turned_midway_as_it_was_met(shared_data):
    with Video(shared_data / "faults" / "turned_midway.ts") as v:
        assert len(list(v.frames())) == 20 and v.left_out == 20 and (v.width, v.height) == (640, 360)


def test_the_same_picture_at_another_scale_is_scaled(tmp_path):
    with Video(joined(tmp_path, [quadrants(32, 48)] * 5, [quadrants(64, 96)] * 30)) as v:
        frames = list(v.frames())
        assert len(frames) == 35 and (v.width, v.height) == (96, 64) and (v.left_out, v.scaled) == (0, 5)
        assert {f.rgb().shape for f in frames} == {(64, 96, 3)} and corners(frames[0].rgb()) == "RGBW"
        assert any("5 frames were scaled to 96 x 64" in line for line in v.lines)


def test_most_used_shape():
    small, large, tall = Shape(320, 180), Shape(1280, 720), Shape(720, 1280)
    assert most_used({small: 3, large: 4, tall: 6}) == large  # six of one kind, seven of the other
    assert most_used({}) is None
    assert Shape(854, 480).is_like(Shape(1280, 720)) and not Shape(640, 480).is_like(Shape(640, 360))


def combs(image: np.ndarray) -> float:
    """How much each line differs from the mean of its neighbours."""
    grey = image[..., 1].astype(int)
    return float(np.abs(2 * grey[1:-1] - grey[:-2] - grey[2:]).mean())


def test_interlaced_video_is_made_whole(video):
    images = []
    for i in range(8):
        image = np.full((64, 128, 3), 40, np.uint8)
        image[0::2, 10 + 8 * i : 40 + 8 * i] = 220
        image[1::2, 14 + 8 * i : 44 + 8 * i] = 220  # half a frame later
        images.append(image)
    made = video(images, pix_fmt="yuv420p", encoder={"x264-params": "tff=1"})
    with Video(made) as v:
        frames = list(v.frames())
        assert [round(f.time, 2) for f in frames] == [round(i / 25, 2) for i in range(8)]
        assert max(combs(f.rgb()) for f in frames) < 0.2 * combs(images[0])
        assert v.lines == ["it is interlaced: each frame was made whole (bwdif)"]
    with Video(video(images, pix_fmt="yuv420p")) as v:  # the flag says so, not the picture
        assert combs(next(v.frames()).rgb()) > 0.8 * combs(images[0]) and not v.lines


def test_interlaced_video_as_it_was_met(shared_data):
    with Video(shared_data / "faults" / "interlaced.mpg") as v:
        assert len(list(v.frames())) == 10 and "interlaced" in v.lines[0]


def streams(path, *sizes: tuple[int, int], marked: int | None) -> object:
    with av.open(str(path), "w") as container:
        made = []
        for i, (width, height) in enumerate(sizes):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = av.stream.Disposition.default if i == marked else av.stream.Disposition(0)
            made.append(stream)
        for stream in made:
            for i in range(3):
                frame = av.VideoFrame.from_ndarray(shade(i, stream.height, stream.width), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("marked", "width"), [(1, 96), (2, 64), (None, 128)])
def test_the_default_stream_or_the_largest(tmp_path, marked, width):
    with Video(streams(tmp_path / "a.mkv", (32, 32), (96, 64), (64, 64), (128, 96), marked=marked)) as v:
        assert v.width == width and {f.rgb().shape[1] for f in v.frames()} == {width}
        assert {f.rgb().shape[1] for f in v.samples(2)} == {width}


def test_a_cover_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound, cover = container.add_stream("aac", rate=8000), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(shade(1, 64, 64), "rgb24")))
        container.mux(cover.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(StageError, match="has a cover picture, but no video stream"):
        Video(path)
