"""Reading: rotation, pixels, timestamps and faults of files."""

import gc
from fractions import Fraction

import av
import numpy as np
import pytest

from avatarmake.errors import Exit, StageError
from stages.frames.__main__ import at_rate
from stages.frames.video import Frame, Video

SHADES = 24  # a frame's shade tells its number, through any codec


def shade(i: int, height: int = 64, width: int = 96) -> np.ndarray:
    return np.full((height, width, 3), 8 + 9 * (i % SHADES), np.uint8)


def number(image: np.ndarray) -> int:
    return round((float(np.median(image)) - 8) / 9)


def quadrants(height: int = 64, width: int = 96) -> np.ndarray:
    """Red, green / blue, white: shows every turn and mirroring."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = 255
    return image


def corners(image: np.ndarray) -> str:
    h, w = image.shape[:2]
    names = []
    for y, x in ((h // 4, w // 4), (h // 4, 3 * w // 4), (3 * h // 4, w // 4), (3 * h // 4, 3 * w // 4)):
        r, g, b = (image[y, x] > 128).tolist()
        names.append({(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W"}[(r, g, b)])
    return "".join(names)


@pytest.mark.parametrize(
    ("counterclockwise", "hflip", "shown", "clockwise"),
    [(0, False, "RGBW", 0), (90, False, "GWRB", 270), (180, False, "WBGR", 180), (-90, False, "BRWG", 90),
     (0, True, "GRWB", 0)],
)  # fmt: skip
def test_rotation_flag_is_followed(video, counterclockwise, hflip, shown, clockwise):
    with Video(video([quadrants()] * 2, rotation=counterclockwise, hflip=hflip)) as v:
        image = next(v.frames()).rgb()
        assert corners(image) == shown
        assert image.shape[:2] == (v.height, v.width) == ((96, 64) if counterclockwise in (90, -90) else (64, 96))
        if not hflip:
            assert v.rotation == clockwise


def test_times_of_a_varying_rate(video):
    times = [0, 0.04, 0.2, 0.24, 1.0, 1.04]
    with Video(video([shade(i) for i in range(6)], times)) as v:
        frames = [(f.index, f.time, number(f.rgb())) for f in v.frames()]
    assert [f[0] for f in frames] == [f[2] for f in frames] == list(range(6))
    assert np.allclose([f[1] for f in frames], times, atol=2e-3)


def test_odd_size_and_pixels_that_are_not_square(video):
    with Video(video([shade(3, 65, 97)] * 2)) as v:
        assert (v.width, v.height) == (97, 65) and next(v.frames()).rgb().shape == (65, 97, 3)
    with Video(video([quadrants()] * 2, aspect=Fraction(4, 3))) as v:
        assert (v.width, v.height) == (128, 64)
        image = next(v.frames()).rgb()
        assert image.shape == (64, 128, 3) and corners(image) == "RGBW"


def test_samples_are_spread_whatever_the_key_frames(video):
    for gop in (1, 3, 500):
        with Video(video([shade(i // 10) for i in range(200)], gop=gop)) as v:
            seen = {number(f.rgb()) for f in v.samples(16)}
        assert min(seen) <= 1 and max(seen) >= 18 and len(seen) >= 10, (gop, seen)


def test_samples_leave_the_reader_at_work(video):
    with Video(video([shade(i) for i in range(20)])) as v:
        list(v.samples(4))
        assert [number(f.rgb()) for f in v.frames()] == list(range(20))


@pytest.mark.parametrize("count", [1, 2, 9])
def test_short_videos(video, count):
    with Video(video([shade(i) for i in range(count)])) as v:
        assert len(list(v.samples(32))) >= 1
        assert len(list(v.frames())) == count


def test_a_late_start_counts_from_the_first_frame(video):
    with Video(video([shade(i) for i in range(3)], [5.0, 5.04, 5.08], suffix=".mkv")) as v:
        assert [round(f.time, 2) for f in v.frames()] == [0, 0.04, 0.08]


@pytest.mark.parametrize("options", [{}, {"rotation": 90}, {"pix_fmt": "yuv420p", "encoder": {"x264-params": "tff=1"}}])
def test_no_frame_stays_in_memory(video, options):
    """Not even until Python looks for circles: of 4K video that would be gigabytes."""
    with Video(video([shade(i) for i in range(80)], **options)) as v:
        gc.collect()
        gc.disable()
        try:
            for frame in v.frames():
                frame.rgb()
            del frame
            alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
        finally:
            gc.enable()
    assert alive < 8


def test_what_is_no_video(tmp_path, video):
    text = tmp_path / "text.mp4"
    text.write_text("no video at all")
    with pytest.raises(StageError, match="cannot be read as a video") as e:
        Video(text)
    assert e.value.exit == Exit.BAD_INPUT and str(text) in str(e.value)
    with pytest.raises(StageError, match="cannot be read as a video"):
        Video(tmp_path)
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(StageError, match="no video stream"):
        Video(sound)


class Stumbling:
    """A container as PyAV gives it where a second stream begins midway: it raises for each packet of that."""

    def __init__(self, container, before: set[int]):
        self._container, self._before, self._count = container, before, 0

    def __getattr__(self, name: str):
        return getattr(self._container, name)

    def demux(self, stream):
        for packet in self._container.demux(stream):
            self._count += 1
            if self._count in self._before:
                self._before.remove(self._count)
                raise IndexError("list index out of range")
            yield packet


def test_a_stream_that_begins_midway_ends_nothing(video):
    with Video(video([shade(i) for i in range(12)])) as v:
        v._file.container = Stumbling(v._file.container, {3, 4, 9})
        seen = [frame.index for frame in v.frames()]
    assert len(seen) >= 9  # the stand-in takes a packet of ours along with each


def noisy(count: int) -> list[np.ndarray]:
    """Frames that take room in the file, so that cutting the file cuts frames."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4", ".mpg", ".avi", ".flv"])
def test_cut_off(video, suffix, kept):
    """What is there is taken, and that it is not all is said, in files that state their length and in others."""
    codec = {".mpg": "mpeg2video"}.get(suffix, "libx264")
    pix_fmt = "yuv420p" if suffix == ".mpg" else "yuv444p"
    # the index of an .mp4 comes first, as phones and cameras that stream have it
    path = video(noisy(50), suffix=suffix, gop=5, codec=codec, pix_fmt=pix_fmt, container={"movflags": "+faststart"})
    with Video(path) as v:
        assert len(list(v.frames())) == 50 and not any("cut off" in line for line in v.lines)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with Video(path) as v:
        assert 50 * kept - 8 <= len(list(v.frames())) <= 50 * kept + 2
        assert "cut off" in v.lines[-1]
        if suffix in (".mkv", ".mp4"):
            assert "s of 2.0 s: it seems to be cut off" in v.lines[-1]


def test_a_video_shorter_than_its_sound_is_not_called_cut(tmp_path):
    path = tmp_path / "talk.mkv"
    with av.open(str(path), "w") as container:
        stream, sound = container.add_stream("libx264", rate=25), container.add_stream("pcm_s16le", rate=8000)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shade(i), "rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(sound.encode(frame))
        container.mux(stream.encode())
    with Video(path) as v:
        assert len(list(v.frames())) == 25 and not v.lines


def test_a_last_picture_that_stays_is_not_called_cut(tmp_path):
    """As screen recorders have it: the last frame is on screen for three of four seconds."""
    path = tmp_path / "screen.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.max_b_frames = 0
        for i in range(25):
            for packet in stream.encode(av.VideoFrame.from_ndarray(shade(i), "rgb24")):
                container.mux(packet)
        for packet in [p for p in stream.encode() if p.size]:
            if packet.pts == 24:
                packet.duration = 76
            container.mux(packet)
    with Video(path) as v:
        assert v.duration == pytest.approx(4, abs=0.1) and v.fps == 25  # on an average it is 6.25
        assert len(list(v.frames())) == 25 and not any("cut off" in line for line in v.lines)


def test_truncated_without_its_index(video):
    path = video(noisy(30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StageError, match="cannot be read as a video"):
        Video(path)


def test_a_hole_in_the_middle_is_left_out(video):
    path = video(noisy(100), suffix=".mkv", gop=1)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 60] = bytes(len(content) // 60)
    path.write_bytes(content)
    with Video(path) as v:
        assert 90 <= len(list(v.frames())) < 100


def frames_at(times: list[float]) -> list[Frame]:
    return [Frame(i, t, None, None) for i, t in enumerate(times)]


@pytest.mark.parametrize(("source", "fps"), [(25, 12.5), (30, 25), (50, 25), (29.97, 25), (24, 10), (60, 24)])
def test_rate_picks_int_of_i_times_interval(source, fps):
    """`int(i * interval)`, as upstream counts, which ffmpeg's fps filter does not."""
    picked = [f.index for f in at_rate(frames_at([i / source for i in range(200)]), fps, source)]
    interval = source / fps
    expected = [int(i * interval + 1e-9) for i in range(1000)]
    assert picked == [i for i in expected if i < 200]


def test_rate_above_the_videos_own_repeats_nothing():
    assert [f.index for f in at_rate(frames_at([0, 0.04, 0.08]), 100, 25)] == [0, 1, 2]


def test_rate_of_a_video_with_a_gap():
    picked = [f.index for f in at_rate(frames_at([0, 0.02, 0.04, 0.06, 1.0, 1.02, 1.04]), 25, 50)]
    assert picked == [0, 2, 3, 4, 6]  # 3 stays on screen from 0.06 to 1.0, and comes once
