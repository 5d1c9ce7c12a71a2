"""Label maps are held against the tracked head: what is safe is converted and said, the rest refused and named."""

from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from avatarmake import head_model  # noqa: E402
from avatarmake.errors import StageError  # noqa: E402
from avatarmake.formats.frame import FrameRecord  # noqa: E402
from avatarmake.formats.images import LABEL, resize_labels, write_png  # noqa: E402
from avatarmake.geometry import cameras  # noqa: E402
from stages.mask import agreement, label_maps, numbering  # noqa: E402
from stages.mask.framing import Source  # noqa: E402
from stages.mask.geometry import HeadProjector, HeadView  # noqa: E402
from stages.mask.parsing import solid_mask  # noqa: E402

COUNT = 20
FOCAL = 1500.0
SOURCE = {"size": [1920, 1080], "box": [1200, 300, 600]}


@pytest.fixture(scope="module")
def views() -> list[HeadView]:
    """A head that sways by 15 pixels."""
    level = np.eye(3, dtype=np.float32)[:2].ravel()
    nothing = np.zeros(300, np.float32)
    intrinsics = cameras.intrinsics_from_focal(FOCAL, (512, 512))
    still = FrameRecord(
        nothing, nothing[:100], level, np.tile(level, 2), nothing[:2], cameras.FLIP, np.array([0, 0, 1.2]), intrinsics
    )
    records = [replace(still, t=np.array([0.012 * np.sin(i), 0, 1.2])) for i in range(COUNT)]
    return HeadProjector(head_model.load("open"), nothing).views(records)


def drawn(view: HeadView) -> np.ndarray:
    """(512,512) BiSeNet's map of such a head, with hair and a shirt."""
    labels = np.zeros((512, 512), np.uint8)
    rows, columns = np.mgrid[:512, :512] + 0.5
    aside = np.clip(np.abs(columns - view.pivot[0]) / view.scale - 0.05, 0, 0.12)
    labels[(rows - view.pivot[1]) / view.scale > 0.17 - 0.5 * aside] = LABEL["cloth"]
    solid = solid_mask(view)
    labels[solid] = LABEL["skin"]
    labels[solid & (np.arange(512)[:, None] < view.nose[1] - 0.09 * view.scale)] = LABEL["hair"]
    cv2.circle(labels, tuple(int(c) for c in view.nose), 18, LABEL["nose"], cv2.FILLED)
    cv2.fillPoly(labels, [np.round(view.lips).astype(np.int32)], LABEL["upper_lip"])
    labels[int(view.mouth[1]) :][labels[int(view.mouth[1]) :] == LABEL["upper_lip"]] = LABEL["lower_lip"]
    return labels


@pytest.fixture(scope="module")
def right(views) -> list[np.ndarray]:
    return [drawn(view) for view in views]


@pytest.fixture
def folder(tmp_path):
    """Writes maps -> their folder."""

    def write(maps: list[np.ndarray], first: int = 1):
        for n, labels in enumerate(maps, first):
            write_png(tmp_path / f"{n:05d}.png", labels)
        return tmp_path

    return write


def found(folder, views, asked="auto", source=SOURCE, images=None):
    index = {"images": images or list(range(1, len(views) + 1)), "source": source}
    return label_maps.found(folder, asked, index, lambda numbers: [views[n - 1] for n in numbers])


def renumbered(labels: np.ndarray, names: str) -> np.ndarray:
    """BiSeNet's map in the numbering of these names."""
    table = np.zeros(256, np.uint8)
    for number, name in enumerate(names.split()):
        table[LABEL[name]] = number
    return table[labels]


CELEBAMASK = " ".join(numbering.NUMBERINGS["celebamask"])
LAPA = "background skin left_brow right_brow left_eye right_eye nose upper_lip mouth lower_lip hair"


def test_right_maps_are_taken_without_a_word(views, right, folder, capsys):
    maps = found(folder(right), views)
    assert len(maps) == COUNT and 0 not in maps and capsys.readouterr().out == ""
    assert all(np.array_equal(maps.read(n), right[n - 1]) for n in (1, COUNT))


def test_celebamask_s_numbering_is_found_and_converted(views, right, folder, capsys):
    theirs = folder([renumbered(labels, CELEBAMASK) for labels in right])
    maps = found(theirs, views)
    assert "in CelebAMask-HQ's numbering, converted" in capsys.readouterr().out
    assert np.array_equal(maps.read(3), right[2])
    assert np.array_equal(found(theirs, views, "bisenet").read(3), renumbered(right[2], CELEBAMASK))
    assert "look as if they were in CelebAMask-HQ's numbering" in capsys.readouterr().out
    assert np.array_equal(found(theirs, views, "celebamask").read(3), right[2])


def test_a_numbering_that_nobody_knows_is_refused_and_named(views, right, folder):
    with pytest.raises(StageError, match="another numbering.*6 lies on the nose and [79] lies on the mouth"):
        found(folder([renumbered(labels, LAPA) for labels in right]), views)


def test_coarse_maps_have_no_numbering_to_doubt(views, right, folder, capsys):
    coarse = [np.where(np.isin(m, (10, 11, 12, 13)), 1, m).astype(np.uint8) for m in right]
    assert np.array_equal(found(folder(coarse), views).read(1), coarse[0]) and capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", [COUNT, COUNT - 5])
def test_maps_numbered_from_0(views, right, folder, capsys, kept):
    maps = found(folder(right[:kept], first=0), views)
    assert "numbered from 0: 00000.png is image 1's" in capsys.readouterr().out
    assert len(maps) == kept and np.array_equal(maps.read(1), right[0])


@pytest.mark.parametrize("late", [-1, 1])
def test_maps_that_are_one_off_as_the_head_moves(views, right, folder, capsys, late):
    maps = found(folder(right, first=1 + late), views, images=list(range(1, COUNT + 1)))
    out = capsys.readouterr().out
    assert np.array_equal(maps.read(3), right[2])
    assert ("because so the label maps move with the head" in out) == (late > 0)


def test_maps_of_frames_with_gaps(views, right, folder, capsys):
    """More maps than images: they are those of frames/, whose images 4 to 6 show no face."""
    images = [n for n in range(1, COUNT + 1) if n not in (4, 5, 6)]
    maps = found(folder(right), [views[n - 1] for n in images], images=images)
    assert capsys.readouterr().out == ""
    assert np.array_equal(maps.read(4), right[6])


@pytest.mark.parametrize("first", [0, 1])
def test_maps_of_a_video_of_which_a_part_was_taken(views, right, folder, first):
    """Every second frame is an image, and there is a map for each frame."""
    index = {"images": list(range(1, 11)), "source_frames": list(range(0, 20, 2)), "source": SOURCE}
    taken = views[::2]
    maps = label_maps.found(folder(right, first), "auto", index, lambda numbers: [taken[n - 1] for n in numbers])
    assert len(maps) == 10 and all(np.array_equal(maps.read(n), right[2 * n - 2]) for n in (1, 6, 10))


@pytest.mark.parametrize("scale", [1, 0.5])
def test_maps_of_whole_frames_are_cut(views, right, folder, capsys, scale):
    x, y, side = (round(v * scale) for v in SOURCE["box"])
    frames = []
    for labels in right:
        frame = np.zeros((round(1080 * scale), round(1920 * scale)), np.uint8)
        frame[y : y + side, x : x + side] = resize_labels(labels, (side, side))
        frames.append(frame)
    where = folder(frames)
    maps = found(where, views)
    assert "show the whole frame, 1920 x 1080" in capsys.readouterr().out
    assert (maps.read(1) == right[0]).mean() > 0.98
    for other in (None, {"size": [640, 480], "box": [0, 0, 400]}):
        with pytest.raises(StageError, match="neither square, as the crops are, nor of the video's proportions"):
            found(where, views, source=other)


def test_another_person_s_maps_are_refused(views, right, folder):
    aside = [np.roll(labels, 160, 1) for labels in right]
    with pytest.raises(StageError, match="of the tracked head a head"):
        found(folder(aside), views)
    near = [np.roll(labels, 45, 1) for labels in right]
    with pytest.raises(StageError, match="lies 4 cm from the tracked one"):
        found(folder(near), views)


def test_maps_that_move_otherwise_are_refused(views, right, folder):
    with pytest.raises(StageError, match="moves otherwise than the tracked one"):
        found(folder(right[::-1]), views)


def test_a_head_that_is_still_tells_no_shift():
    still = np.random.default_rng(1).normal(0, 0.2, (20, 2))
    assert agreement.better_shift({0: still + 5, 1: np.roll(still, 1) + 5, -1: still * np.nan}, still * 0) == 0


def test_real_maps_come_to_the_same(shared_data):
    """One portrait's, in the other numbering and pasted into a frame."""
    portrait, faults = shared_data / "parsing" / "1112_labels.png", shared_data / "faults"
    if not faults.exists():
        pytest.skip(f"needs {faults}")
    right = label_maps.raw(portrait, None)
    celeb = label_maps.raw(faults / "labels_celeb_order/00001.png", None)
    assert np.array_equal(numbering.table("celebamask")[celeb], right)
    source = Source((1920, 1080), (1200, 300, 512))
    assert np.array_equal(label_maps.raw(faults / "labels_whole_frame/00001.png", source), right)
