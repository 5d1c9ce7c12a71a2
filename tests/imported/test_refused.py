"""What would show another head is refused, with the file, by how much and what to do; and nothing is written."""

import json

import numpy as np
import pytest

from avatarmake.errors import Exit
from avatarmake.geometry import rotations
from tests.imported import sources


@pytest.fixture
def theirs(tmp_path):
    return sources.flashavatar(tmp_path / "theirs")


@pytest.fixture
def refused(subject, bring):
    def run(folder, *options):
        before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
        code, said = bring(folder, *options)
        assert code == Exit.BAD_INPUT, said
        assert len([line for line in said.splitlines() if line.startswith("imported: ")]) == 1, said
        assert not any(subject.directory(name).exists() for name in ("frames", "tracking", "dataset", "masks"))
        assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
        return said

    return run


def edit(folder, i: int, group: str, **values):
    content = sources.payload(i, sources.intrinsics())
    content[group] |= values
    sources.write_frame(folder / f"checkpoint/{i:05d}.frame", content)


def without_pytorch3d(folder, i: int, **opencv):
    """An edit that the file's second camera does not give away."""
    content = sources.payload(i, sources.intrinsics())
    content["opencv"] |= opencv
    del content["camera"]
    sources.write_frame(folder / f"checkpoint/{i:05d}.frame", content)


def test_a_transposed_rotation(theirs, refused):
    r, _ = sources.pose(3)
    edit(theirs, 3, "opencv", R=r.T[None].astype(np.float32))
    said = refused(theirs)
    off = np.degrees(np.linalg.norm(rotations.axis_angle_from_matrix(r @ r)))
    assert "00003.frame" in said and f"turned by {off:.1f} degrees" in said


def test_a_k_of_another_size(theirs, refused):
    edit(theirs, 2, "opencv", K=sources.intrinsics(700.0, (128, 128))[None].astype(np.float32))
    assert "differ by 700.00 px" in refused(theirs)


def test_a_mirrored_camera(theirs, refused):
    r, _ = sources.pose(1)
    without_pytorch3d(theirs, 1, R=(r * (-1, 1, 1))[None].astype(np.float32))
    said = refused(theirs)
    assert "00001.frame" in said and "mirrors" in said and "left-handed" in said


def test_what_is_no_rotation(theirs, refused):
    r, _ = sources.pose(1)
    without_pytorch3d(theirs, 1, R=(1.1 * r)[None].astype(np.float32))
    assert "R^T R is 0.21 from the identity" in refused(theirs)


def test_a_head_behind_the_camera(theirs, refused):
    without_pytorch3d(theirs, 0, t=np.array([[0, 0, -0.9]], np.float32))
    assert "behind the camera (z is -0.90 m)" in refused(theirs)


def test_opengl_cameras_that_are_opencvs(tmp_path, refused):
    """A VHAP export whose y and z somebody has turned round."""
    folder = sources.vhap(tmp_path / "theirs", still=True)
    content = json.loads((folder / "transforms.json").read_text())
    for frame in content["frames"]:
        frame["transform_matrix"] = (sources.opengl_camera() @ np.diag([1, -1, -1, 1])).tolist()
    (folder / "transforms.json").write_text(json.dumps(content))
    assert "behind the camera" in refused(folder)


def test_another_focal_length(theirs, refused):
    without_pytorch3d(theirs, 4, K=sources.intrinsics(1410)[None].astype(np.float32))
    said = refused(theirs)
    assert "1410.00" in said and "1400.00" in said and "00004.frame" in said


def test_a_principal_point_that_wanders(theirs, refused):
    without_pytorch3d(theirs, 4, K=sources.intrinsics(centre=(258.5, 256))[None].astype(np.float32))
    assert "principal point is 2.50 px from that of" in refused(theirs)


def test_a_principal_point_in_the_corner(theirs, refused):
    for i in range(sources.FRAMES):
        without_pytorch3d(theirs, i, K=sources.intrinsics(centre=(512, 512))[None].astype(np.float32))
    assert "(512.0, 512.0) of 512 x 512: 50% of a side" in refused(theirs)


def test_another_shape(theirs, refused):
    other = sources.shape()
    other[7] += 0.5
    edit(theirs, 2, "flame", shape=other[None])
    assert "a number differs by 0.5" in refused(theirs)


def test_numbers_that_are_none(theirs, refused):
    edit(theirs, 2, "flame", exp=np.full((1, 100), np.nan, np.float32))
    assert "00002.frame" in refused(theirs)


@pytest.mark.parametrize("missing", ["exp", "eyelids", "jaw"])
def test_parameters_that_are_not_there(missing, theirs, refused):
    content = sources.payload(1, sources.intrinsics())
    del content["flame"][missing]
    sources.write_frame(theirs / "checkpoint/00001.frame", content)
    assert f"has no {missing}" in refused(theirs)


def test_more_parameters_than_flame_has(tmp_path, refused):
    assert "has 120 numbers, expected at most 100" in refused(
        sources.metrical_tracker(tmp_path / "theirs", expressions=120)
    )


def test_a_pickle_that_runs_something(theirs, refused):
    import os
    import pickle
    import zipfile

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(theirs / "ran"),)

    with zipfile.ZipFile(theirs / "checkpoint/00000.frame", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"flame": Evil()}, 2))
    assert "nothing of it was run" in refused(theirs)
    assert not (theirs / "ran").exists()


def test_a_picture_of_another_size(theirs, refused):
    sources.save(sources.picture(np.zeros(2), (256, 256)), theirs / "imgs/00003.jpg")
    assert "is 256 x 256, its camera is of 512 x 512" in refused(theirs)


def test_a_mask_of_another_size(theirs, refused):
    sources.save(sources.mask((256, 256)), theirs / "alpha/00002.jpg")
    assert "00002.jpg" in refused(theirs)


def test_a_picture_that_is_none(theirs, refused):
    (theirs / "imgs/00002.jpg").write_bytes(b"no picture")
    assert "00002.jpg" in refused(theirs)


def test_pictures_that_are_counted_otherwise(theirs, refused):
    """None of them has the number of a frame, plus one."""
    for path in sorted((theirs / "imgs").iterdir(), reverse=True):
        path.rename(path.with_name(f"{int(path.stem) + 100:05d}.jpg"))
    assert "N.frame is image N + 1" in refused(theirs)


def test_insta_s_camera_is_its_frames(tmp_path, refused):
    folder = sources.insta(tmp_path / "theirs")
    content = sources.payload(2, sources.intrinsics(centre=(250, 261)))
    moved = content["opencv"]["t"] + np.array([[0.01, 0, 0]], np.float32)
    content["opencv"]["t"] = moved
    del content["camera"]
    sources.write_frame(folder / "checkpoint/00002.frame", content)
    assert "px from that of transforms.json" in refused(folder)


def test_insta_without_a_shape(tmp_path, refused):
    said = refused(sources.insta(tmp_path / "theirs", checkpoint=False))
    assert "nothing says the person's shape" in said and "identity.npy" in said


def test_a_frame_that_names_no_file(tmp_path, refused):
    folder = sources.vhap(tmp_path / "theirs", still=True)
    (folder / "flame_param/00003.npz").unlink()
    assert "flame_param/00003.npz" in refused(folder)


def test_a_torn_npz(tmp_path, refused):
    folder = sources.head_tracker(tmp_path / "theirs")
    whole = (folder / "3.npz").read_bytes()
    (folder / "3.npz").write_bytes(whole[: len(whole) // 2])
    assert "3.npz" in refused(folder)


def test_results_without_a_picture(tmp_path, refused):
    assert "no images and no video beside them" in refused(sources.head_tracker(tmp_path / "theirs", "none"))


def test_a_folder_of_no_kind(tmp_path, refused):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/notes.txt").touch()
    said = refused(tmp_path / "theirs")
    assert "it holds notes.txt" in said and "metrical-tracker: checkpoint/" in said
