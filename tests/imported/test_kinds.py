"""What each kind looks like, how its parts are found and paired, and what is said of what is left out."""

import json
import shutil

import av
import numpy as np
import pytest

from avatarmake import flashavatar_tree
from avatarmake.contract import layout
from avatarmake.errors import Exit, StageError
from avatarmake.formats import images
from avatarmake.formats.frame import read_frame
from stages.imported import ImportConfig, flashavatar, kinds
from tests.imported import sources

KINDS = {
    "flashavatar": sources.flashavatar,
    "metrical-tracker": sources.metrical_tracker,
    "insta": sources.insta,
    "vhap": lambda root: sources.vhap(root, still=True),
    "flame-head-tracker": sources.head_tracker,
}


def read(folder, **options):
    return kinds.read(folder, "roman", ImportConfig(**options))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_recognised(kind, tmp_path):
    KINDS[kind](tmp_path / "theirs")
    found = read(tmp_path / "theirs")
    assert found.kind == kind and read(tmp_path / "theirs", kind=kind).kind == kind
    assert [shot.number for shot in found.shots] == ([0, 1, 3, 4] if "head" in kind else [0, 1, 2, 3, 4])


def test_every_kind_is_an_option():
    from stages.imported import KINDS as named

    assert set(named) == set(kinds.READERS) == set(KINDS)
    with pytest.raises(StageError, match="kind is 'nerf'"):
        ImportConfig(kind="nerf")


def test_a_tree_in_two_folders(tmp_path):
    """FlashAvatar's checkout: dataset/<id> and metrical-tracker/output/<id>; any of its folders will do."""
    sources.flashavatar(tmp_path / "dataset/roman")
    output = tmp_path / "metrical-tracker/output/roman"
    output.mkdir(parents=True)
    (tmp_path / "dataset/roman/checkpoint").rename(output / "checkpoint")
    for folder in (tmp_path, tmp_path / "dataset/roman"):
        assert len(read(folder).shots) == sources.FRAMES
    shutil.copytree(tmp_path / "dataset/roman", tmp_path / "dataset/anna")
    assert len(read(tmp_path).shots) == sources.FRAMES  # the one that is named as the subject
    with pytest.raises(StageError, match="whose data of these is not said: anna, roman"):
        kinds.read(tmp_path, "eva", ImportConfig())


def test_the_mark_of_our_own_tree():
    assert flashavatar.MARK == flashavatar_tree.MARK


def test_the_tracker_s_images_are_numbered_as_its_frames(tmp_path):
    """input/00003.png is that of 00003.frame; images/, which it was given, count from 1."""
    folder = sources.metrical_tracker(tmp_path / "theirs")
    found = read(folder)
    assert found.shots[3].image.name == "00003.png" and found.parts == ()
    assert any("1 image (100) without a .frame" in note for note in found.notes)
    (folder / "input/00100.png").unlink()
    (folder / "input").rename(folder / "images")
    for path in sorted((folder / "images").iterdir(), reverse=True):
        path.rename(path.with_name(f"{int(path.stem) + 1:05d}.png"))
    assert read(folder).shots[3].image.name == "00004.png"


def test_frames_without_an_image_are_dropped_and_said(tmp_path):
    folder = sources.flashavatar(tmp_path / "theirs")
    (folder / "imgs/00002.jpg").unlink()
    sources.save(sources.picture(np.zeros(2)), folder / "imgs/00009.jpg")
    found = read(folder)
    assert [shot.number for shot in found.shots] == [0, 2, 3, 4]
    assert [shot.image.name for shot in found.shots][:2] == ["00001.jpg", "00003.jpg"]
    assert "1 .frame (1) without an image: dropped" in found.notes
    assert "1 image (9) without a .frame: dropped" in found.notes


def test_shorter_vectors_are_padded_and_said(tmp_path):
    found = read(sources.metrical_tracker(tmp_path / "theirs", shapes=100, expressions=50))
    record = found.shots[2].record
    np.testing.assert_array_equal(record.expression[:50], sources.expression(2, 50))
    assert not record.expression[50:].any() and not record.shape[100:].any()
    assert "its shape has 100 numbers of 300: the rest is zero" in found.notes
    assert "its expression has 50 numbers of 100: the rest is zero" in found.notes


def test_tensors_of_a_gpu(tmp_path):
    folder = sources.metrical_tracker(tmp_path / "theirs")
    content = sources.payload(2, sources.intrinsics())
    sources.as_saved_from_a_gpu(content, folder / "checkpoint/00002.frame")
    record = read(folder).shots[2].record
    np.testing.assert_array_equal(record.expression, sources.expression(2))
    np.testing.assert_array_equal(record.R, content["opencv"]["R"][0])


# --- masks -----------------------------------------------------------------------------------------------------------


def test_masks_of_0_and_1(tmp_path, subject, bring):
    """FlashAvatar divides by 255: they would vanish."""
    code, said = bring(sources.flashavatar(tmp_path / "theirs", value=1))
    assert code == Exit.OK and "15 x mask of 0 and 1" in said
    masks = subject.directory("masks")
    assert images.read_mask(layout.parsing_mask(masks, 2, "mouth")).max() == 255
    assert images.read_mask(layout.alpha_mask(masks, 2)).max() > 250


def test_png_pictures_become_jpegs(tmp_path, subject, bring):
    assert bring(sources.metrical_tracker(tmp_path / "theirs"))[0] == Exit.OK
    path = layout.dataset_image(subject.directory("dataset"), 3)
    assert path.read_bytes().startswith(b"\xff\xd8") and images.read_rgb(path).shape == (512, 512, 3)
    assert not subject.directory("masks").exists()


def test_insta_s_colours_are_labels(tmp_path, subject, bring):
    code, said = bring(sources.insta(tmp_path / "theirs", centre=(256, 256)))
    assert code == Exit.OK and "clothes are blank" in said
    neckhead, mouth = (
        images.read_mask(layout.parsing_mask(subject.directory("masks"), 1, part)) for part in ("neckhead", "mouth")
    )
    assert neckhead[200, 200] == neckhead[310, 250] == 255 and neckhead[450, 200] == neckhead[50, 50] == 0
    assert mouth[310, 250] == 255 and mouth[200, 200] == 0
    assert images.read_mask(layout.alpha_mask(subject.directory("masks"), 1))[256, 256] == 255


def test_insta_with_expressions_and_an_identity(tmp_path):
    folder = sources.insta(tmp_path / "theirs", checkpoint=False)
    np.save(folder / "identity.npy", sources.shape()[None])
    found = read(folder)
    np.testing.assert_allclose(found.shots[3].record.expression, sources.expression(3), atol=1e-7)
    np.testing.assert_array_equal(found.shots[3].record.shape, sources.shape())
    assert any("jaw's joint and the lids are taken to be at rest" in note for note in found.notes)
    r, t = sources.pose(3)
    np.testing.assert_allclose(found.shots[3].record.R, r, atol=1e-6)
    np.testing.assert_allclose(found.shots[3].record.t, t, atol=1e-6)


# --- VHAP ------------------------------------------------------------------------------------------------------------


def test_of_several_cameras_the_most_frontal_one(tmp_path):
    folder = sources.vhap(tmp_path / "theirs", cameras=(2, 0, 1), still=True)
    found = read(folder)
    assert found.shots[0].image.name == "00000_00.png"
    assert any("camera 0 of 3 is taken" in note for note in found.notes)
    assert read(folder, camera="2").shots[4].image.name == "00004_02.png"
    with pytest.raises(StageError, match="there is no camera '7'"):
        read(folder, camera="7")


def test_gaussian_avatars_pieces_of_an_export(tmp_path):
    """Its own data may come as train, val and test alone; names may lack .png."""
    folder = sources.vhap(tmp_path / "theirs", still=True)
    content = json.loads((folder / "transforms.json").read_text())
    (folder / "transforms.json").unlink()
    for name, part in (("train", slice(0, 3)), ("val", slice(0, 0)), ("test", slice(2, 5))):
        frames = [f | {"file_path": f["file_path"].removesuffix(".png")} for f in content["frames"][part]]
        (folder / f"transforms_{name}.json").write_text(json.dumps({"frames": frames}))
    found = read(folder)
    assert [shot.number for shot in found.shots] == [0, 1, 2, 3, 4] and found.parts == ("alpha",)


def test_vhap_pads_as_well(tmp_path):
    found = read(sources.vhap(tmp_path / "theirs", expressions=50, shapes=100, still=True))
    assert not found.shots[1].record.expression[50:].any()
    assert "its expression has 50 numbers of 100: the rest is zero" in found.notes


# --- flame-head-tracker ----------------------------------------------------------------------------------------------


def test_pictures_beside_the_results(tmp_path, subject, bring):
    assert bring(sources.head_tracker(tmp_path / "theirs", "beside"))[0] == Exit.OK
    frames = subject.directory("frames")
    assert [round(sources.centre(images.read_rgb(layout.frame_image(frames, n)))[0]) for n in (1, 2, 3, 4)] == [
        100, 140, 220, 260
    ]  # fmt: skip


def test_the_video_beside_the_results(tmp_path, subject, bring):
    """Every second frame of it was tracked: upstream takes frame int(i interval)."""
    folder = sources.head_tracker(tmp_path / "theirs", "none")
    with av.open(str(tmp_path / "theirs.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "10"})
        stream.width = stream.height = 512
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(sources.picture(np.array([100.0 + 20 * i, 256])), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    code, said = bring(folder, "--fps", "10")
    assert code == Exit.OK and "every 2." in said, said
    frames = subject.directory("frames")
    found = [sources.centre(images.read_rgb(layout.frame_image(frames, n)))[0] for n in (1, 2, 3, 4)]
    np.testing.assert_allclose(found, [100, 140, 220, 260], atol=0.5)
    code, said = bring(folder, "--fps", "4")
    assert code == Exit.BAD_INPUT and "has 10 frames, and the tracking goes to number 4" in said


def test_what_it_renders_is_left_behind(tmp_path, subject, bring):
    folder = sources.head_tracker(tmp_path / "theirs")
    assert bring(folder)[0] == Exit.OK
    tracking = subject.directory("tracking")
    assert (tracking / "0.npz").stat().st_size < (folder / "0.npz").stat().st_size
    assert not (tracking / "tracker.json").exists()  # without FLAME: convert takes them for upstream's own


def test_frames_are_read_as_they_lie(tmp_path, subject, bring):
    """What is written is what FlashAvatar's loader and ours read: numpy arrays, a batch axis, float32."""
    assert bring(sources.metrical_tracker(tmp_path / "theirs"))[0] == Exit.OK
    record = read_frame(layout.checkpoint_file(subject.directory("dataset"), 4))
    np.testing.assert_array_equal(record.expression, sources.expression(4))
    np.testing.assert_array_equal(record.eyelids, np.float32([0.1, 0.2]))
