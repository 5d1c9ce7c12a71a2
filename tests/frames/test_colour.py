"""Colours: what was made for another screen, what a file does not say, transparency."""

import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from avatarmake.errors import StageError
from stages.frames.colour import HLG_PEAK, WHITE, Colours, tone
from stages.frames.video import Video

PLAIN, HLG, PQ = 1, 18, 16
BT709, BT2020, P3 = 1, 9, 12

# 10-bit R'G'B' as coded, full range, and what FFmpeg 5.1's own chain makes of it:
# setparams, zscale=t=linear:npl=100, zscale=p=bt709, tonemap=mobius:desat=0:peak=10, zscale=t=bt709
CODED = [
    (0, 0, 0), (128, 128, 128), (256, 256, 256), (384, 384, 384), (512, 512, 512), (640, 640, 640), (767, 767, 767),
    (1023, 1023, 1023), (600, 520, 480), (480, 380, 330), (300, 420, 560), (420, 560, 300), (700, 300, 300),
    (650, 640, 560),
]  # fmt: skip
CHART = {
    (HLG, BT2020): [
        (0, 0, 0), (48, 48, 48), (96, 96, 96), (144, 144, 144), (185, 185, 185), (214, 214, 214), (235, 235, 235),
        (255, 255, 255), (214, 162, 151), (190, 130, 114), (16, 148, 199), (102, 200, 85), (237, 0, 70),
        (218, 208, 170),
    ],
    (PQ, BT2020): [
        (0, 0, 0), (30, 30, 30), (74, 74, 74), (142, 142, 142), (212, 212, 212), (243, 243, 243), (255, 255, 255),
        (255, 255, 255), (242, 146, 127), (214, 106, 87), (0, 127, 230), (0, 230, 0), (254, 0, 0), (246, 228, 157),
    ],
    (PLAIN, P3): [
        (0, 0, 0), (32, 32, 32), (64, 64, 64), (96, 96, 96), (128, 128, 128), (160, 160, 160), (191, 191, 191),
        (255, 255, 255), (154, 129, 118), (124, 93, 80), (65, 106, 143), (94, 141, 65), (188, 65, 71),
        (163, 159, 137),
    ],
    (PLAIN, BT2020): [
        (0, 0, 0), (32, 32, 32), (64, 64, 64), (96, 96, 96), (128, 128, 128), (160, 160, 160), (191, 191, 191),
        (255, 255, 255), (161, 127, 118), (133, 91, 80), (14, 107, 143), (75, 144, 62), (211, 36, 71),
        (165, 159, 137),
    ],
}  # fmt: skip
LEVELS = 6  # of 255


def patches(coded: list[tuple]) -> np.ndarray:
    """(32, 16 n, 3) uint16: a square of each."""
    row = np.array(coded, float) / 1023 * 65535
    return np.rint(row).astype(np.uint16)[None].repeat(32, 0).repeat(16, 1)


def centres(image: np.ndarray) -> np.ndarray:
    return image[16, 8::16].astype(int)


@pytest.mark.parametrize(("transfer", "primaries"), CHART)
def test_a_chart_comes_out_as_from_ffmpeg(video, transfer, primaries):
    made = video(
        [patches(CODED)] * 2, suffix=".mkv", codec="ffv1", pix_fmt="gbrp10le", colours=(transfer, primaries, 0)
    )
    with Video(made) as v:
        seen = centres(next(v.frames()).rgb())
        assert (
            len(v.lines) == 1 and "BT.709" in v.lines[0] and ("BT.2020" if primaries == BT2020 else "P3") in v.lines[0]
        )
        assert ("tone-mapped" in v.lines[0]) == (transfer != PLAIN)
    assert np.abs(seen - CHART[transfer, primaries]).max() <= LEVELS


@pytest.mark.parametrize(("said", "peak"), [("max-cll=4000,100", 4000), (None, 600), ("max-cll=90,20", 600)])
def test_the_brightest_that_a_pq_video_says_it_has(video, said, peak):
    """The film's own brightest pixel, else the screen it was graded on; a peak that makes no sense is not believed."""
    master = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(6000000,1)"
    params = ":".join(["log-level=none", "pools=none", "frame-threads=1", "hdr10=1", master, *([said] if said else [])])
    options = {"encoder": {"x265-params": params, "preset": "ultrafast"}, "colours": (PQ, BT2020, 9)}
    options["base"] = Fraction(1, 25)  # of frames without times x265 has once made times that Matroska refuses
    grey = [np.full((64, 64, 3), 99, np.uint8)] * 2
    with Video(video(grey, suffix=".mkv", codec="libx265", pix_fmt="yuv420p10le", **options)) as v:
        assert v.colours.peak == peak and f"100 of {peak} cd/m2" in v.lines[0]


@pytest.mark.parametrize(("transfer", "name"), [(HLG, "arib-std-b67"), (PQ, "smpte2084")])
def test_many_colours_come_out_as_from_ffmpeg_where_it_is(transfer, name):
    filters = shutil.which("ffmpeg") and subprocess.run(["ffmpeg", "-filters"], capture_output=True, text=True).stdout
    if not filters or " zscale " not in filters:
        pytest.skip("needs ffmpeg with zscale")
    coded = np.random.default_rng(0).integers(0, 1024, (64, 64, 3)).astype(np.uint16)
    coded[:16] = np.repeat(coded[:16, :, :1], 3, 2)
    chain = (
        f"setparams=colorspace=gbr:color_primaries=bt2020:color_trc={name}:range=pc,zscale=t=linear:npl={WHITE},"
        f"format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=mobius:desat=0:peak={HLG_PEAK / WHITE},"
        "zscale=t=bt709:r=pc,format=gbrp16le"
    )
    raw = ["-f", "rawvideo", "-pix_fmt"]
    line = ["ffmpeg", "-v", "error", *raw, "gbrp10le", "-s", "64x64", "-i", "-", "-vf", chain, *raw, "gbrp16le", "-"]
    done = subprocess.run(line, input=coded[..., [1, 2, 0]].transpose(2, 0, 1).tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr
    theirs = np.frombuffer(done.stdout, np.uint16).reshape(3, 64, 64)[[2, 0, 1]].transpose(1, 2, 0) / 257
    frame = av.VideoFrame(16, 16, "gbrp10le")
    frame.color_trc, frame.color_primaries = transfer, BT2020
    assert np.abs(Colours(frame).mapped(coded / 1023) * 255 - theirs).max() <= LEVELS


def test_hlg_comes_out_as_the_sdr_it_was_made_from(shared_data):
    with Video(shared_data / "faults" / "hlg.mov") as v:
        image = [frame.rgb() for frame in v.frames()][9]
        assert "HLG" in v.lines[0]
    assert np.abs(image[42:344, 18:320].mean((0, 1)) - (163, 155, 183)).max() <= LEVELS


def test_tone_curve_keeps_what_is_dark_and_ends_in_white():
    light = np.linspace(0, 10, 1001)
    curve = tone(light, 10)
    assert np.allclose(curve[light < 0.3], light[light < 0.3]) and curve[-1] == pytest.approx(1)
    assert (np.diff(curve) > 0).all() and (np.diff(curve, 2) < 1e-9).all()


@pytest.mark.parametrize(("matrix", "swscale"), [(1, "ITU709"), (5, "ITU601")])
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_are_followed(tmp_path, matrix, swscale, full):
    colour = np.full((64, 64, 3), (200, 60, 40), np.uint8)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv444p"
        frame = av.VideoFrame.from_ndarray(colour, "rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace=swscale, dst_color_range="JPEG" if full else "MPEG")
        for place in (frame, stream.codec_context):
            place.colorspace, place.color_range = matrix, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with Video(path) as v:
        assert np.abs(next(v.frames()).rgb().astype(int) - colour).max() <= 2
        assert not v.lines


@pytest.mark.parametrize(
    ("width", "height", "matrix"), [(640, 360, "ITU601"), (1280, 536, "ITU709"), (406, 720, "ITU709")]
)
def test_untagged_video_is_bt709_where_players_take_it_for_hd(width, height, matrix):
    frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), (200, 60, 40), np.uint8), "rgb24")
    frame = frame.reformat(format="yuv444p", dst_colorspace=matrix)
    frame.colorspace = 2
    assert np.abs(Colours(frame).rgb(frame, width, height)[9, 9].astype(int) - (200, 60, 40)).max() <= 2


def test_numbers_that_no_standard_has_are_taken_for_nothing_said_and_others_are_refused():
    grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), "rgb24").reformat(format="yuv420p")
    for reserved in (0, 3, 12):
        grey.colorspace = reserved
        assert np.abs(Colours(grey).rgb(grey, 64, 64).astype(int) - 128).max() <= 1
    grey.colorspace = 14
    with pytest.raises(StageError, match="ICtCp"):
        Colours(grey)


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "gray", "gray10le"])
def test_ten_bits_and_grey_stay_right(video, pix_fmt):
    grey = np.full((64, 96, 3), 150, np.uint8)
    with Video(video([grey] * 2, suffix=".mkv", codec="ffv1", pix_fmt=pix_fmt)) as v:
        assert np.abs(next(v.frames()).rgb().astype(int) - 150).max() <= 2
        assert not v.lines


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [("qtrle", "argb", ".mov"), ("libvpx-vp9", "yuva420p", ".webm"), ("prores_ks", "yuva444p10le", ".mov")],
)
def test_transparency_is_over_white(video, codec, pix_fmt, suffix):
    rgba = np.zeros((64, 96, 4), np.uint8)
    rgba[:, 32:64, 3] = 128
    rgba[:, 64:, 3] = 255
    with Video(video([rgba] * 3, suffix=suffix, codec=codec, pix_fmt=pix_fmt)) as v:
        images = [frame.rgb() for frame in v.frames()]
        assert len(images) == 3 and len(list(v.samples(3))) == 3
    for image in images:
        assert image[30, 5].min() >= 254 and image[30, 80].max() <= 1
        assert abs(int(image[30, 48, 0]) - 127) <= 2
