"""From coded pixels to what the pipeline works on: 8-bit RGB, BT.709, as a player shows it.

Plain video (BT.601 or BT.709, any bit depth) is libswscale's work alone. What was made for another screen (HLG and PQ;
the wide primaries BT.2020 and P3) goes through one table of three dimensions, made here once per video and applied by
libavfilter's lut3d: the FFmpeg that PyAV brings has no zscale. Sources: transfer functions are of ITU-R BT.2100,
primaries of BT.709, BT.2020 and SMPTE EG 432-1, the screen's curve is BT.1886's.
"""

import tempfile
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Colorspace

from avatarmake.errors import StageError

WHITE = 100.0  # cd/m2 that become white; BT.2035's reference display
HLG_PEAK = PQ_PEAK = 1000.0  # cd/m2 of the screen it was made for, where a PQ video does not say
KNEE = 0.3  # of white: what is darker keeps its brightness. FFmpeg's tonemap=mobius has the same curve and knee
DISPLAY = 2.4  # BT.1886
SIDE = 49  # of the table: a level and a half off where skin is, half a second to make

# As H.273 numbers them, here and below
UNSPECIFIED = 2
STATED = (1, 4, 5, 6, 7, 9)  # matrices that libswscale knows
CANNOT = {8: "YCgCo", 14: "ICtCp", 15: "IPT", 16: "YCgCo-R", 17: "YCgCo-R"}
TRANSFERS = {16: "PQ", 18: "HLG"}
PRIMARIES = {  # x, y of red, green, blue; all have D65 as white. SMPTE 431 on a video means P3 on such a screen
    1: ("BT.709", (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)),
    9: ("BT.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    11: ("P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
}
D65 = (0.3127, 0.3290)


class Colours:
    """What the colours of a video are, from one of its frames. `line`: what is done about them, "" for plain video.

    Raises StageError for a coding that libswscale cannot undo.
    """

    def __init__(self, frame: av.VideoFrame, where: object = ""):
        if (coding := CANNOT.get(frame.colorspace)) is not None:
            what = f"its colours are coded as {coding}, which FFmpeg's libswscale cannot convert"
            raise StageError(what, where, "Convert it first: ffmpeg -i it -vf libplacebo=colorspace=bt709 other.mp4")
        self.transfer = TRANSFERS.get(frame.color_trc, "")
        number = frame.color_primaries
        if number == UNSPECIFIED and self.transfer:
            number = 9
        self.primaries, self._corners = PRIMARIES.get(number, PRIMARIES[1])
        self.peak = (_peak(frame) or PQ_PEAK) if self.transfer == "PQ" else HLG_PEAK
        self._table: _Table | None = None

    @property
    def line(self) -> str:
        if self.transfer:
            how = f"tone-mapped (Moebius curve, {WHITE:.0f} of {self.peak:.0f} cd/m2 are white)"
            return f"its colours are {self.transfer} with {self.primaries} primaries: {how} to BT.709"
        return "" if self.primaries == "BT.709" else f"its colours have {self.primaries} primaries: converted to BT.709"

    def rgb(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        """-> (height, width, 3) uint8; transparency over white."""
        options = {"width": width, "height": height} | self._matrix(frame)
        transparent = any(component.is_alpha for component in frame.format.components)
        if not transparent:
            return self._mapped(frame, options) if self.line else frame.to_ndarray(format="rgb24", **options)
        rgba = frame.to_ndarray(format="rgba", **options)
        return over_white(self._mapped(frame, options) if self.line else rgba[..., :3], rgba[..., 3:])

    def table(self) -> np.ndarray:
        """(n,n,n,3) of 0..1: what red, green and blue as coded (axes in this order) become."""
        grid = np.stack(np.meshgrid(*[np.linspace(0, 1, SIDE)] * 3, indexing="ij"), -1)
        return self.mapped(grid)

    def mapped(self, coded: np.ndarray) -> np.ndarray:
        """(...,3) R'G'B' of 0..1 as coded -> (...,3) as a BT.709 screen wants them, 0..1."""
        light = _LIGHT[self.transfer](coded) / (WHITE if self.transfer else 1)
        light = light @ (np.linalg.inv(to_xyz(PRIMARIES[1][1])) @ to_xyz(self._corners)).T
        if self.transfer:
            brightest = np.maximum(light.max(-1, keepdims=True), 1e-6)
            light = light * (tone(brightest, self.peak / WHITE) / brightest)
        return light.clip(0, 1) ** (1 / DISPLAY)

    def _matrix(self, frame: av.VideoFrame) -> dict:
        """Which matrix players take where the video does not say, as an option of reformat; nothing: what it says."""
        if frame.colorspace not in STATED:
            frame.colorspace = UNSPECIFIED  # reserved numbers, which libswscale refuses
        if frame.colorspace != UNSPECIFIED or not frame.format.name.startswith("yuv"):
            return {}
        if self.transfer or self.primaries == "BT.2020":
            return {"src_colorspace": Colorspace.BT2020}
        return {"src_colorspace": Colorspace.ITU709} if frame.width >= 1280 or frame.height > 576 else {}

    def _mapped(self, frame: av.VideoFrame, options: dict) -> np.ndarray:
        if self._table is None:
            self._table = _Table(self.table())
        return self._table.apply(frame.reformat(format="gbrp16le", **options))


class _Table:
    """A table of three dimensions, applied to gbrp16le frames of one size by libavfilter."""

    def __init__(self, table: np.ndarray):
        self._rows = table.transpose(2, 1, 0, 3).reshape(-1, 3)  # a .cube file counts red fastest
        self._graph: Graph | None = None
        self._size = (0, 0)
        self._count = 0

    def apply(self, frame: av.VideoFrame) -> np.ndarray:
        if self._size != (frame.width, frame.height):
            self._size = frame.width, frame.height
            self._graph = self._made(*self._size)
        frame.pts, self._count = self._count, self._count + 1
        self._graph.vpush(frame)
        return self._graph.vpull().to_ndarray(format="rgb24")

    def _made(self, width: int, height: int) -> Graph:
        graph = Graph()
        with tempfile.TemporaryDirectory() as folder:
            cube = Path(folder) / "table.cube"
            with cube.open("w") as file:
                file.write(f"LUT_3D_SIZE {SIDE}\n")
                np.savetxt(file, self._rows, "%.6f")
            source = graph.add("buffer", f"video_size={width}x{height}:pix_fmt=gbrp16le:time_base=1/25")
            lut = graph.add("lut3d", file=str(cube), interp="tetrahedral")
            graph.link_nodes(source, lut, graph.add("buffersink")).configure()
        return graph


def over_white(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(h,w,3) uint8 and (h,w,1) uint8, straight alpha -> (h,w,3)."""
    alpha = alpha.astype(np.uint16)
    return ((image * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def tone(light: np.ndarray, peak: float) -> np.ndarray:
    """1 is white. Unchanged up to KNEE, from there a Moebius curve that leaves with slope 1 and ends at (peak, 1)."""
    above = np.maximum(light - KNEE, 0)
    return np.minimum(light, KNEE) + above / (1 + above * (1 / (1 - KNEE) - 1 / (peak - KNEE)))


def to_xyz(corners: tuple[float, ...]) -> np.ndarray:
    """(3,3): linear RGB of these primaries and white D65 to XYZ, as SMPTE RP 177 derives it."""
    x, y = np.array([*corners, *D65]).reshape(4, 2).T
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def _pq(coded: np.ndarray) -> np.ndarray:
    """Its EOTF, in cd/m2."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = coded ** (1 / m2)
    return 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg(coded: np.ndarray) -> np.ndarray:
    """Its inverse OETF and the system gamma of a screen of HLG_PEAK, in cd/m2.

    The gamma is put on red, green and blue, as SDR television's is (and FFmpeg's zscale does), not on luminance as
    BT.2100 has it for an HDR screen: that picture is paler than what the camera would have recorded in SDR.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return HLG_PEAK * scene**1.2


_LIGHT = {"PQ": _pq, "HLG": _hlg, "": lambda coded: coded**DISPLAY}


def _peak(frame: av.VideoFrame) -> float | None:
    """cd/m2 that the brightest pixel has, or else the screen on which the video was graded, where it says so."""
    said = {data.type.name: bytes(data) for data in frame.side_data}
    brightest = graded = 0.0
    if level := said.get("CONTENT_LIGHT_LEVEL"):
        brightest = float(np.frombuffer(level, np.uint32)[0])
    # AVMasteringDisplayMetadata: 10 rationals, the last of which is the most light; then what of them is set
    if screen := said.get("MASTERING_DISPLAY_METADATA"):
        numbers = np.frombuffer(screen, np.int32)
        graded = float(numbers[18] / numbers[19]) if numbers[21] and numbers[19] else 0.0
    return next((min(peak, 10000.0) for peak in (brightest, graded) if peak >= 2 * WHITE), None)
