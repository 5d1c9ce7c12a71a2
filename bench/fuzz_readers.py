"""What reads a user's files, and small whole ones to begin with."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import numpy as np
from PIL import Image

from avatarmake import assets
from avatarmake.assets import pins
from avatarmake.avatar.model import read_checkpoint
from avatarmake.avatar.performance import Performance
from avatarmake.contract.key import finished, is_done
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import load
from avatarmake.flashavatar_tree.plain import frame_values, image_format
from avatarmake.formats import images, torch_archive
from avatarmake.formats.descriptions import read_crop, read_index, read_tracker
from avatarmake.formats.frame import FrameRecord, read_frame, write_frame
from avatarmake.formats.tracking import Tracking, read_tracking, write_tracking
from avatarmake.geometry import cameras
from avatarmake.head_model.flame import files, pickles, public
from stages.drive import arkit
from stages.frames.video import Video
from stages.mask import audit, label_maps, torch_file
from stages.mask.framing import Source
from stages.mask.geometry import HeadView

MOST_FRAMES = 40  # of a damaged video; it may say that it has more
SUBJECT = "someone"
FRAME = Source((640, 360), (200, 40, 256))


@dataclass(frozen=True)
class Reader:
    """`file` is where the damaged one lies below a folder that holds nothing else, but for `around`."""

    name: str
    file: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    around: dict[str, bytes] = field(default_factory=dict)

    def lay(self, folder: Path) -> Path:
        for name, content in self.around.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        place = folder / self.file
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


# --- videos --------------------------------------------------------------------------------------------------------


def _videos() -> list[bytes]:
    kinds = (("mp4", "h264"), ("matroska", "mpeg4"), ("avi", "mjpeg"), ("mpegts", "mpeg2video"), ("webm", "libvpx"))
    return [_video(*kind) for kind in kinds]


def _video(container: str, codec: str) -> bytes:
    """Twelve frames of 64 x 48 that move."""
    out = io.BytesIO()
    pixels = np.arange(64 * 48 * 3, dtype=np.uint32).reshape(48, 64, 3)
    with av.open(out, "w", format=container) as video:
        stream = video.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(12):
            picture = ((pixels >> 3) + 9 * i).astype(np.uint8)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        video.mux(stream.encode())
    return out.getvalue()


def _read_video(path: Path) -> None:
    with Video(path) as video:
        for frame, _ in zip(video.samples(4), range(4), strict=False):
            frame.rgb()
        for frame, _ in zip(video.frames(), range(MOST_FRAMES), strict=False):
            frame.rgb()


# --- numbers -------------------------------------------------------------------------------------------------------


def _written(write: Callable[[Path], object], suffix: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"1{suffix}"
        write(path)
        return path.read_bytes()


def _trackings() -> list[bytes]:
    nothing = np.zeros(300)
    tracking = Tracking(
        shape=nothing,
        expression=nothing[:100],
        jaw_pose=nothing[:3],
        eye_pose=nothing[:6],
        cam=np.array([0, 0, 0, 0, 0, 1.0]),
        intrinsics=cameras.intrinsics_from_focal(1300, (512, 512)),
        landmarks=np.zeros((478, 2)),
    )
    stored = _written(lambda path: write_tracking(path, tracking), ".npz")
    with np.load(io.BytesIO(stored)) as arrays:
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
    return [stored, packed.getvalue()]


def _performances() -> list[bytes]:
    still = Performance(
        head_model="open",
        head_model_digest="0" * 64,
        fps=25.0,
        times=np.arange(3) / 25,
        expression=np.zeros((3, 100)),
        jaw_pose=np.zeros((3, 3)),
        eye_pose=np.zeros((3, 6)),
        eyelids=np.zeros((3, 2)),
        R=np.tile(cameras.FLIP, (3, 1, 1)),
        t=np.tile([0, 0, 1.0], (3, 1)),
        intrinsics=cameras.intrinsics_from_focal(1300, (512, 512)),
        image_size=(512, 512),
    )
    return [_written(still.write, ".npz")]


def _blendshapes() -> list[bytes]:
    """As Live Link Face writes it, and with seconds."""
    names = sorted(arkit.table())
    files = []
    for clock, form in (("Timecode", "00:00:01:{:02}.1"), ("time", "{}e-2")):
        rows = [[clock, *names], *([form.format(k), *["0.25"] * len(names)] for k in range(4))]
        files.append("\n".join(map(",".join, rows)).encode())
    return files


def _checkpoints() -> list[bytes]:
    """As `train` writes it, of four Gaussians."""

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    network = {"code.mean": zeros(114), "code.components": zeros(32, 114), "code.range": zeros(2, 32)}
    network |= {"hidden.weight": zeros(64, 32), "hidden.bias": zeros(64), "layer.weight": zeros(544, 64)}
    network |= {"layer.bias": zeros(544), "latent": zeros(4, 16), "base": zeros(4, 14), "out.weight": zeros(14, 32)}
    surface = {"corners": np.zeros((4, 3), np.int32), "weights": zeros(4, 3), "spacing": zeros(4)}
    poses = {"own": np.zeros((5, 6)), "shared": np.zeros((6, 32)), "steps": np.zeros(5, np.int64)}
    state = {"step": 9, "surface": surface, "network": network, "poses": poses, "body": np.float64(2)}
    return [_written(lambda path: torch_archive.dump(state, path), ".pt")]


def _frames() -> list[bytes]:
    nothing, level = np.zeros(300), np.eye(3)[:2].ravel()
    camera = {"R": cameras.FLIP, "t": np.array([0, 0, 1.0]), "intrinsics": np.diag([1300.0, 1300, 1])}
    record = FrameRecord(nothing, nothing[:100], level, np.tile(level, 2), nothing[:2], **camera)
    return [_written(lambda path: write_frame(path, record, 1), ".frame")]


def _weights() -> list[bytes]:
    """A state dict in both of torch.save's formats, by hand: no torch is needed."""
    four = struct.pack("<4f", 1, 2, 3, 4)
    storage = b"(X\x07\x00\x00\x00storagectorch\n%s\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%ctQ"
    made = []
    for kind, count in ((b"FloatStorage", 4), (b"BFloat16Storage", 8)):
        tensor = (
            b"ctorch._utils\n_rebuild_tensor_v2\n(%sK\x01(K\x01K\x02t(K\x02K\x01t\x89ccollections\nOrderedDict\n)RtR"
        )
        held = b"\x80\x02}X\x01\x00\x00\x00w" + tensor % (storage % (kind, count)) + b"s."
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, content in (("data.pkl", held), ("byteorder", b"little"), ("version", b"3"), ("data/0", four)):
                archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
        start = [torch_file.MAGIC, pickle.dumps(torch_file.PROTOCOL, 2), pickle.dumps({"little_endian": True}, 2)]
        old = held.replace(b"cpuK%ctQ" % count, b"cpuK%cNtQ" % count)
        made += [out.getvalue(), b"".join([*start, old, pickle.dumps(["0"], 2), struct.pack("<q", count), four])]
    return made


class _Chumpy:
    """Pickles under chumpy's name."""


class _Sparse:
    """Pickles under scipy's name."""


def _models() -> list[bytes]:
    """Small dicts as FLAME's files keep them: chumpy, scipy, plain, of every kind of protocol; an .npz, a zip."""
    points, matrix = _Chumpy(), _Sparse()
    points.x = np.arange(24.0).reshape(8, 3)
    parts = {"data": np.ones(3), "indices": np.array([0, 1, 1]), "indptr": np.array([0, 1, 2, 3])}
    matrix.__dict__.update({"_shape": (2, 3), **parts})
    content = {"v_template": points, "J_regressor": matrix, "f": np.eye(3, dtype=np.uint32), "bs_type": "lrotmin"}
    made = []
    for protocol in (0, 2, 4, 5):
        raw = pickle.dumps(content, protocol)
        if protocol < 4:
            here = __name__.encode()
            raw = raw.replace(here + b"\n_Chumpy", b"chumpy.ch\nCh")
            raw = raw.replace(here + b"\n_Sparse", b"scipy.sparse\ncsc_matrix")
        else:
            raw = pickle.dumps({"f": content["f"], "weights": points.x, "list": [[1, 2], [3, 4]]}, protocol)
        made.append(raw)
    arrays, zipped = io.BytesIO(), io.BytesIO()
    np.savez(arrays, v_template=points.x, f=content["f"], J_regressor=np.array({"a": np.ones(3)}, object))
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("FLAME2020/generic_model.pkl", made[1])
        archive.writestr("Readme.txt", "no model")
    return [*made, arrays.getvalue(), zipped.getvalue()]


def _read_model(path: Path) -> None:
    for value in files.read(path).values():
        try:
            pickles.dense(value)
        except (ValueError, RecursionError, TypeError):  # as flame.model takes them
            continue


def _embeddings() -> list[bytes]:
    out = io.BytesIO()
    n = 105
    np.savez(out, landmark_indices=np.arange(n), lmk_face_idx=np.arange(n), lmk_b_coords=np.full((n, 3), 1 / 3))
    return [out.getvalue()]


def _templates() -> list[bytes]:
    return [b"# head\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1\nf 1/1/1 2/2/1 3/3/1\n"]


# --- pictures ------------------------------------------------------------------------------------------------------


@cache
def _head() -> HeadView:
    """A head in the middle of the image."""
    y, x = np.mgrid[-1:1:60j, -1:1:60j]
    inside = np.hypot(x, y) < 1
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    lips = np.float32([256, 330]) + 30 * np.float32([np.cos(turn), 0.5 * np.sin(turn)]).T
    solid = np.float32([256 + 90 * x[inside], 260 + 120 * y[inside]]).T
    round_about = np.linspace(-np.pi / 2, 1.5 * np.pi, 36, endpoint=False)  # forehead to chin
    oval = np.float32([256 + 90 * np.cos(round_about), 260 + 120 * np.sin(round_about)]).T
    nose, chin, pivot = np.float32([[256, 280], [256, 380], [256, 260]])
    return HeadView(solid, lips, nose, oval, chin, pivot, 1200.0)


def _encoded(array: np.ndarray, mode: str, kind: str, **more) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).convert(mode).save(out, kind, **more)
    return out.getvalue()


def _pictures(levels: int, shape: tuple[int, int] = (512, 512)) -> np.ndarray:
    """(H,W) uint8 below `levels`, in blocks: small files."""
    y, x = np.indices(shape) // 32
    return ((x * 7 + y * 3) % levels * (255 // (levels - 1) if levels == 2 else 1)).astype(np.uint8)


def _masks() -> list[bytes]:
    mask = _pictures(2)
    small = [_encoded(mask[::8, ::8], mode, "PNG") for mode in ("L", "P", "RGB", "1", "LA", "I;16", "RGBA")]
    return [_encoded(mask, "L", "PNG"), *small, _encoded(mask[::4, ::4], "L", "JPEG"), _encoded(mask, "RGB", "JPEG")]


def _label_maps() -> list[bytes]:
    return [
        _encoded(_pictures(19), "L", "PNG"),
        _encoded(_pictures(19)[::8, ::8], "P", "PNG"),
        _encoded(_pictures(19, (360, 640)), "L", "PNG"),
    ]


def _photographs() -> list[bytes]:
    image = _pictures(200)[::4, ::4]
    return [_encoded(image, "RGB", "JPEG", progressive=p) for p in (False, True)] + [_encoded(image, "RGB", "PNG")]


def _read_mask(path: Path) -> None:
    audit.as_it_looks(path, "alpha")
    audit.inspect(path, "mouth", _head(), None, FRAME)


# --- words ---------------------------------------------------------------------------------------------------------

ASSETS = b"""[thing]
file = "thing.bin"
purpose = "for a test"
stages = ["track"]
licence = "none"
page = "https://example.org/"
url = "https://example.org/thing.bin"
size = 12
sha256 = "00"
"""
PINS = b'[thing]\nurl = "https://example.org/thing.bin"\nsize = 12\nsha256 = "00"\n'
CROP = {
    "source": {"name": "v.mp4", "width": 640, "height": 512, "fps": 25, "frames": 9},
    "box": [64, 0, 512],
    "fps": 25.0,
    "image_size": [512, 512],
    "source_frames": [0, 2, 4],
    "times": [0.0, 0.08, 0.16],
}
TRACKER = {"tracker": "avatarmake", "head_model": "open", "head_model_digest": "0" * 64, "tracked": [0, 1, 2]}
INDEX = {
    "head_model": "open",
    "head_model_digest": "0" * 64,
    "image_size": [512, 512],
    "source": {"size": [640, 512], "box": [64, 0, 512]},
    "fps": 25.0,
    "focal": 1300.0,
    "images": [1, 2, 3],
    "source_frames": [0, 2, 4],
    "times": [0.0, 0.08, 0.16],
}
RECEIPT = {
    "stage": "track",
    "subject": SUBJECT,
    "key": "0" * 64,
    "parts": {"frames/": "0" * 64, "code": "1" * 64},
    "config": {"head_model": "open"},
    "facts": {"frames_in": 3},
    "outputs": {"digest": "2" * 64, "files": 4, "bytes": 1000},
    "environment": {"engine": "local", "lock": "3" * 64, "options": {"head_model": "open"}},
}


def _json(value: dict) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(value).encode(), json.dumps(value, indent=1).encode()]


def _read_index(path: Path) -> None:
    index = read_index(path, SUBJECT)
    Source.of(index)
    label_maps.by_name({0, 1, 2}, index["images"])


def _read_receipt(path: Path) -> None:
    subject = Subject(path.parents[2], SUBJECT)
    finished(subject, "tracking")
    is_done(load("track"), subject, load("track").config(), {"frames/": "0" * 64, "code": "4" * 64})


def _read_pins(path: Path) -> None:
    pins.LOCK = path
    pins.read()


READERS = (
    Reader("video", "video.mp4", _videos, _read_video),
    Reader("tracking.npz", f"{SUBJECT}/tracking/1.npz", _trackings, read_tracking),
    Reader("parameters.npz", "move.npz", _performances, Performance.read),
    Reader("ARKit's csv", "face.csv", _blendshapes, arkit.columns),
    Reader("checkpoint", f"{SUBJECT}/avatar/checkpoint.pt", _checkpoints, lambda path: read_checkpoint(path, SUBJECT)),
    Reader("frame", f"{SUBJECT}/dataset/checkpoint/00001.frame", _frames, read_frame),
    Reader("frame on the host", f"{SUBJECT}/dataset/checkpoint/00001.frame", _frames, frame_values),
    Reader("weights.pth", "79999_iter.pth", _weights, torch_file.read),
    Reader("torch archive", "weights.pth", lambda: _weights()[::2], torch_archive.load),
    Reader("FLAME", "generic_model.pkl", _models, _read_model),
    Reader("landmarks.npz", "landmarks.npz", _embeddings, lambda path: public.embedding(path, 9976)),
    Reader("template.obj", "head.obj", _templates, lambda path: public.texture(path, np.array([[0, 1, 2]]))),
    Reader("mask", "00001.png", _masks, _read_mask),
    Reader("label map", "00001.png", _label_maps, lambda path: label_maps.raw(path, FRAME)),
    Reader("image", "00001.jpg", _photographs, images.read_rgb),
    Reader("image on the host", "00001.jpg", _photographs, image_format),
    Reader("assets.toml", "assets.toml", lambda: [ASSETS, assets.MANIFEST.read_bytes()], assets.listed),
    Reader("assets.lock", "assets.lock", lambda: [PINS], _read_pins),
    Reader("crop.json", "crop.json", _json(CROP), lambda path: read_crop(path, SUBJECT)),
    Reader("tracker.json", "tracker.json", _json(TRACKER), lambda path: read_tracker(path, SUBJECT)),
    Reader("index.json", "index.json", _json(INDEX), _read_index),
    Reader("stage.json", f"{SUBJECT}/tracking/stage.json", _json(RECEIPT), _read_receipt),
)
