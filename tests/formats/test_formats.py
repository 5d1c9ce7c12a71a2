"""Tracker npz and .frame: what is written can be read by us and by torch, and what is wrong is named."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from avatarmake.errors import StageError
from avatarmake.formats import memo, torch_archive, zips
from avatarmake.formats.frame import _FRAME, FrameRecord, read_frame, write_frame
from avatarmake.formats.tracking import read_tracking, tracked_file, tracked_indices, write_tracking
from avatarmake.geometry import rotations
from tests.rounding import rounding
from tests.synthetic import performance


@pytest.fixture
def npz(tmp_path):
    folder = tmp_path / "roman" / "tracking"
    folder.mkdir(parents=True)
    write_tracking(folder / "17.npz", performance(17))
    return folder / "17.npz"


def rewrite(path, **changes):
    """The same npz with some keys replaced, or dropped where the value is None."""
    with np.load(path) as f:
        arrays = {**dict(f), **changes}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


def record(seed=0):
    rng = np.random.default_rng(seed)
    rotation = rotations.matrix_from_axis_angle(rng.normal(size=3))
    return FrameRecord(
        shape=rng.normal(size=300),
        expression=rng.normal(size=100),
        jaw_rot6d=rng.normal(size=6),
        eyes_rot6d=rng.normal(size=12),
        eyelids=rng.uniform(size=2),
        R=rotation,
        t=np.array([0.01, 0.02, 0.9]),
        intrinsics=np.array([[1300.0, 0, 256], [0, 1300, 256], [0, 0, 1]]),
    )


# --- npz ---


def test_tracking_survives_a_round_trip(npz):
    wrote, read = performance(17), read_tracking(npz)
    for name in ("shape", "expression", "jaw_pose", "eye_pose", "cam", "eyelids", "landmarks", "intrinsics"):
        np.testing.assert_array_equal(getattr(read, name), np.float32(getattr(wrote, name)), err_msg=name)
    assert read.blendshapes is None and not read.head_pose.any() and not read.neck_pose.any()
    read.expression *= 0.5  # a reader's own copy


def test_npz_has_upstreams_schema(npz):
    with np.load(npz, allow_pickle=False) as f:
        shapes = {k: f[k].shape for k in f.files}
        assert {f[k].dtype for k in f.files} == {np.dtype(np.float32)}
        focal = f["K"][0, 0, 0]
        assert focal == 650 and f["K"][0, 0, 2] == 128  # refers to 256 px
        assert np.isclose(f["fov"][0], np.degrees(2 * np.arctan(128 / focal)))
    assert shapes == {
        "shape": (1, 300), "exp": (1, 100), "head_pose": (1, 3), "jaw_pose": (1, 3), "neck_pose": (1, 3),
        "eye_pose": (1, 6), "tex": (1, 50), "light": (1, 9, 3), "cam": (1, 6), "fov": (1,), "K": (1, 3, 3),
        "eyelids": (1, 2), "landmarks": (1, 478, 2),
    }  # fmt: skip


def test_upstreams_own_file_reads(npz):
    scores = np.arange(52, dtype=np.float32)[None] / 52
    images = {"img": np.zeros((1, 8, 8, 3), np.uint8), "lmks_68": np.zeros((1, 68, 3))}
    rewrite(npz, eyelids=None, landmarks=None, neck_pose=None, blendshape_scores=scores, **images)
    read = read_tracking(npz)
    assert read.eyelids is None and read.landmarks is None
    np.testing.assert_array_equal(read.eyelid_closure, scores[0, 9:11])  # eyeBlinkLeft, eyeBlinkRight


def test_same_values_same_bytes(tmp_path):
    for name in ("1", "2"):
        write_tracking(tmp_path / f"{name}.npz", performance(3))
        write_frame(tmp_path / f"{name}.frame", record(), frame_id=4)
    for suffix in (".npz", ".frame"):
        assert (tmp_path / f"1{suffix}").read_bytes() == (tmp_path / f"2{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4  # nothing half-written left beside them


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jaw_pose": np.zeros((1, 6), "f4")}, "jaw_pose is (6,), expected (3,) axis-angle"),
        ({"jaw_pose": np.zeros(4, "f4")}, "jaw_pose is (4,), expected (1, 3) axis-angle"),
        ({"exp": np.full((1, 100), np.nan, "f4")}, "exp holds NaN or infinity"),
        ({"cam": np.zeros((1, 6), "i4")}, "cam is int32, expected floats"),
        ({"K": None}, "has no K"),
        ({"shape": np.zeros((2, 300), "f4")}, "shape is (2, 300), expected (1, 300) identity"),
        ({"landmarks": np.zeros((1, 68, 2), "f4")}, "landmarks is (68, 2), expected (478, 2) pixels"),
    ],
)
def test_wrong_arrays_are_named(npz, changes, message):
    rewrite(npz, **changes)
    with pytest.raises(StageError) as e:
        read_tracking(npz)
    assert str(e.value) == f"tracking/17.npz: {message}. Run: make track ID=roman"


def test_a_batch_axis_too_few_or_too_many_says_nothing(npz):
    with np.load(npz) as f:
        more, fewer = {k: f[k][None] for k in ("exp", "K")}, {k: f[k][0] for k in ("jaw_pose", "landmarks")}
    before = read_tracking(npz)
    rewrite(npz, **more, **fewer, cam=before.cam.astype(np.float64)[None])
    after = read_tracking(npz)
    for name in ("expression", "intrinsics", "jaw_pose", "landmarks", "cam"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name), err_msg=name)


def test_bytes_behind_arrays_and_archive_are_of_no_matter(npz):
    before = read_tracking(npz)
    with zipfile.ZipFile(npz) as old:
        records = {n: old.read(n) for n in old.namelist()}
    with zipfile.ZipFile(npz, "w") as new:
        for name, raw in records.items():
            new.writestr(name, raw + bytes(512 - len(raw) % 512))
    with npz.open("ab") as f:
        f.write(bytes(4096))
    np.testing.assert_array_equal(read_tracking(npz).expression, before.expression)


def test_an_array_that_claims_more_than_there_is(npz):
    with zipfile.ZipFile(npz) as old:
        records = {n: old.read(n) for n in old.namelist()}
    records["exp.npy"] = records["exp.npy"].replace(b"(1, 100)", b"(9**9,)")
    records["cam.npy"] = records["cam.npy"].replace(b"(1, 6), }  ", b"(99999999,),")
    for name in ("exp.npy", "cam.npy"):
        with zipfile.ZipFile(npz, "w") as new:
            for n, raw in records.items():
                if n in ("exp.npy", "cam.npy") and n != name:
                    continue
                new.writestr(n, raw)
        with pytest.raises(StageError, match="truncated or corrupt|has no"):
            read_tracking(npz)


def test_files_padded_with_zeros_are_found(npz):
    root = npz.parent
    npz.rename(root / "00017.npz")
    write_tracking(root / "3.npz", performance(3))
    (root / "notes.npz").write_bytes(b"")
    assert tracked_indices(root) == [3, 17]
    assert [tracked_file(root, i).name for i in (3, 17, 20)] == ["3.npz", "00017.npz", "20.npz"]
    write_tracking(root / "17.npz", performance(17))
    with pytest.raises(StageError, match="is frame 17, and so is"):
        tracked_indices(root)


def test_a_pickle_inside_an_npz_is_not_run(npz, tmp_path):
    rewrite(npz, jaw_pose=np.array([Touch(tmp_path / "touched")], object))
    with pytest.raises(StageError, match="tracking/17.npz: is no readable .npz"):
        read_tracking(npz)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("keep", [0, 10, 1000, -40])
def test_truncated_npz(npz, keep):
    npz.write_bytes(npz.read_bytes()[:keep])
    with pytest.raises(StageError, match="truncated or corrupt"):
        read_tracking(npz)


def test_arrays_that_lie_about_their_size(npz):
    """A header of (1, 3) over the data of something shorter."""
    with zipfile.ZipFile(npz) as old:
        members = {n: old.read(n) for n in old.namelist()}
    members["cam.npy"] = members["cam.npy"][:-4]
    with zipfile.ZipFile(npz, "w") as new:
        for name, raw in members.items():
            new.writestr(name, raw)
    with pytest.raises(StageError, match="truncated or corrupt"):
        read_tracking(npz)


def test_compressed_and_fortran_ordered_as_upstream_may_write(npz):
    with np.load(npz) as f:
        arrays = dict(f)
    arrays["K"] = np.asfortranarray(arrays["K"])
    np.savez_compressed(npz, **arrays)
    np.testing.assert_array_equal(read_tracking(npz).intrinsics, np.float32(performance(17).intrinsics))


def test_flipped_byte_in_npz(npz):
    data = bytearray(npz.read_bytes())
    data[len(data) // 2] ^= 0xFF
    npz.write_bytes(data)
    with pytest.raises(StageError):
        read_tracking(npz)


def test_other_image_sizes_are_refused(tmp_path):
    t = performance(0)
    t.image_size = (720, 720)
    with pytest.raises(ValueError, match="720"):
        write_tracking(tmp_path / "0.npz", t)


# --- .frame ---


def test_frame_survives_a_round_trip(tmp_path):
    wrote = record()
    write_frame(tmp_path / "00000.frame", wrote, frame_id=0)
    read = read_frame(tmp_path / "00000.frame")
    assert read.image_size == (512, 512)
    for name in _FRAME:
        np.testing.assert_array_equal(getattr(read, name), np.float32(getattr(wrote, name)), err_msg=name)


def test_torch_reads_our_frame(tmp_path):
    torch = pytest.importorskip("torch")
    write_frame(tmp_path / "00003.frame", record(), frame_id=3)
    payload = torch.load(tmp_path / "00003.frame", weights_only=False)
    shapes = {k: v.shape for k, v in payload["flame"].items()}
    assert shapes == {
        "exp": (1, 100), "shape": (1, 300), "tex": (1, 140), "sh": (1, 9, 3), "eyes": (1, 12), "eyelids": (1, 2),
        "jaw": (1, 6),
    }  # fmt: skip
    assert {k: v.shape for k, v in payload["camera"].items()} == {"R": (1, 6), "t": (1, 3), "fl": (1, 1), "pp": (1, 2)}
    assert {k: v.shape for k, v in payload["opencv"].items()} == {"R": (1, 3, 3), "t": (1, 3), "K": (1, 3, 3)}
    arrays = [v for group in ("flame", "camera", "opencv") for v in payload[group].values()]
    # float64 breaks FlashAvatar's Linear layers, torch tensors its R.transpose()
    assert all(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in arrays)
    assert payload["img_size"].tolist() == [512, 512] and payload["img_size"].dtype == np.int64
    assert payload["frame_id"] == 3
    assert np.isclose(payload["camera"]["fl"][0, 0], 1300 / 256) and not payload["camera"]["pp"].any()


def test_torch_reads_our_frame_with_weights_only(tmp_path):
    torch = pytest.importorskip("torch")
    from numpy.core.multiarray import _reconstruct

    write_frame(tmp_path / "00000.frame", record(), frame_id=0)
    allowed = [_reconstruct, np.ndarray, np.dtype, type(np.dtype(np.float32)), type(np.dtype(np.int64))]
    with torch.serialization.safe_globals(allowed):
        payload = torch.load(tmp_path / "00000.frame", weights_only=True)
    np.testing.assert_array_equal(payload["opencv"]["R"][0], np.float32(record().R))


@pytest.mark.numbers
def test_pytorch3d_camera_in_frame(tmp_path):
    """PyTorch3D looks along +z with x left and y up: its view of a point is OpenCV's, x and y negated."""
    r = record()
    write_frame(tmp_path / "0.frame", r, frame_id=0)
    camera = torch_archive.load(tmp_path / "0.frame")["camera"]
    view = rotations.matrix_from_rot6d(camera["R"][0])
    point = np.array([0.03, -0.05, 0.08])
    np.testing.assert_allclose(
        point @ view + camera["t"][0], (r.R @ point + r.t) * [-1, -1, 1], atol=rounding(4)
    )  # row vectors; float32 on disk


@pytest.mark.parametrize("tensors", [False, True])
def test_frames_written_by_torch_read(tmp_path, tensors):
    torch = pytest.importorskip("torch")
    write_frame(tmp_path / "ours.frame", record(), frame_id=0)
    payload = torch_archive.load(tmp_path / "ours.frame")
    if tensors:  # also one that is a transposed view of a larger storage
        payload["opencv"] = {k: torch.as_tensor(v) for k, v in payload["opencv"].items()}
        payload["opencv"]["R"] = payload["opencv"]["R"].mT.contiguous().mT
        payload["flame"]["shape"] = torch.nn.Parameter(torch.as_tensor(payload["flame"]["shape"]))
    torch.save(payload, tmp_path / "theirs.frame")
    ours, theirs = (read_frame(tmp_path / f"{n}.frame") for n in ("ours", "theirs"))
    for name in _FRAME:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


class Touch:
    """What an attacker would put into a pickle: a call of their choice on loading."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def malicious(path, value):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))


def test_malicious_frame_runs_nothing_and_is_named(tmp_path):
    malicious(tmp_path / "00007.frame", {"flame": Touch(tmp_path / "touched")})
    with pytest.raises(StageError, match=r"00007.frame: its pickle asks for posix.mkdir") as e:
        read_frame(tmp_path / "00007.frame")
    assert e.value.exit == 3
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__"])
def test_builtins_are_refused(tmp_path, name):
    path = tmp_path / "0.frame"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", f"cbuiltins\n{name}\n(S'1'\ntR.".encode())
    with pytest.raises(StageError, match=f"asks for builtins.{name}"):
        torch_archive.load(path)


def test_object_arrays_are_refused(tmp_path):
    malicious(tmp_path / "0.frame", {"flame": np.array([{}, []], object)})
    with pytest.raises(StageError, match="expected numbers"):
        torch_archive.load(tmp_path / "0.frame")


def test_a_tensor_may_not_reach_outside_its_storage(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.arange(1000.0)[:4]}, tmp_path / "0.frame")
    with zipfile.ZipFile(tmp_path / "0.frame") as old, zipfile.ZipFile(tmp_path / "1.frame", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[:8] if "/data/" in name else content)
    with pytest.raises(StageError, match="reaches outside"):
        torch_archive.load(tmp_path / "1.frame")


def test_old_torch_format_is_said(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": 1}, tmp_path / "0.frame", _use_new_zipfile_serialization=False)
    with pytest.raises(StageError, match="from before 1.6.*Save it again"):
        read_frame(tmp_path / "0.frame")


@pytest.mark.parametrize("keep", [0, 3, 2000])
def test_truncated_frame(tmp_path, keep):
    path = tmp_path / "0.frame"
    write_frame(path, record(), frame_id=0)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StageError, match="truncated"):
        read_frame(path)


def test_wrong_shape_in_frame_is_named(tmp_path):
    path = tmp_path / "roman" / "dataset" / "checkpoint" / "00009.frame"
    path.parent.mkdir(parents=True)
    write_frame(path, record(), frame_id=9)
    payload = torch_archive.load(path)
    payload["flame"]["jaw"] = np.zeros((1, 3), np.float32)
    torch_archive.dump(payload, path)
    with pytest.raises(StageError) as e:
        read_frame(path)
    expected = "checkpoint/00009.frame: flame.jaw is (3,), expected (6,) 6D rotation. Run: make convert ID=roman"
    assert str(e.value) == expected
    payload["flame"]["jaw"] = np.zeros((1, 6), np.float32)
    for broken in ({}, [], {**payload, "opencv": None}):
        torch_archive.dump(broken, path)
        with pytest.raises(StageError, match="has no "):
            read_frame(path)


@pytest.mark.parametrize(
    "greedy", [b"\x80\x02}r" + (1 << 27).to_bytes(4, "little") + b".", b"\x80\x02}p134217728\n.", b"\x80\x02\xff."]
)
def test_a_pickle_that_asks_for_memory_is_refused(tmp_path, greedy):
    """Ten bytes that make Python's C unpickler take two gigabytes."""
    path = tmp_path / "1.frame"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", greedy)
    with pytest.raises(StageError, match="cannot be unpickled"):
        torch_archive.load(path)


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_are_walked_to_their_end(protocol):
    value = {"a": [1, 2.5, None, True, 1 << 70], "b": (b"x" * 300, "y" * 300, bytearray(9)), "c": os.path.join}
    whole = pickle.dumps([value, value, np.arange(9.0)], protocol)
    assert memo.bounded(whole) == whole
    for cut in range(0, len(whole), 7):
        memo.bounded(whole[:cut])


def test_zips_that_lie_about_sizes(npz):
    raw = npz.read_bytes()
    at = raw.rindex(b"PK\x01\x02")
    for size in (raw[: at + 20] + b"\xff\xff\xff\x7f" * 2 + raw[at + 28 :], raw[: at + 8] + b"\x01" + raw[at + 9 :]):
        npz.write_bytes(size)
        with zips.opened(npz) as archive, pytest.raises(zipfile.BadZipFile, match="says that it has|password"):
            zips.read(archive, archive.namelist()[-1], 1 << 40)
