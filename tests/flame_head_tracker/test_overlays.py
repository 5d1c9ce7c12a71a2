"""The modules of ours that take the place of upstream's, each by itself."""

import io
import pickle
import sys
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from avatarmake.errors import StageError
from tests.flame_head_tracker.conftest import OVERLAY


@pytest.fixture
def overlay(monkeypatch):
    """import what(name): a module of the overlay; `stand_in` puts a stand-in for one of upstream's beside it."""
    monkeypatch.syspath_prepend(str(OVERLAY))

    def stand_in(name, **values):
        made = ModuleType(name)
        vars(made).update(values)
        monkeypatch.setitem(sys.modules, name, made)

    return SimpleNamespace(stand_in=stand_in)


# --- video -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """60 frames, each as bright as its number says; 320 x 180."""
    path = str(tmp_path_factory.mktemp("video") / "grey.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 60, (320, 180))
    for i in range(60):
        writer.write(np.full((180, 320, 3), 4 * i, np.uint8))
    writer.release()
    return path


def numbers(frames) -> list[int]:
    return [round(float(frame.mean()) / 4) for frame in frames]


@pytest.mark.parametrize("wanted", [60, 30, 25, 24, 7])
def test_video_takes_source_frame_int_of_i_times_interval(overlay, video, wanted):
    from utils.video_utils import video_to_images

    interval = 60 / wanted
    # upstream's own list stops one early where 60 / interval is not whole: all that lie in the video are given here
    expected = [int(i * interval) for i in range(60) if int(i * interval) < 60]
    assert numbers(video_to_images(video, 60, wanted)) == expected


def test_video_at_a_higher_rate_repeats_frames(overlay, video):
    from utils.video_utils import video_to_images

    assert numbers(video_to_images(video, 60, 120))[:6] == [0, 0, 1, 1, 2, 2]


def test_video_is_read_as_it_is_asked_for(overlay, video, monkeypatch):
    """And not all of it before the first frame is given."""
    from utils import video_utils

    grabbed = []

    class Watched:
        def __init__(self, path):
            self.video = cv2.VideoCapture(path)

        def grab(self):
            grabbed.append(1)
            return self.video.grab()

        def __getattr__(self, name):
            return getattr(self.video, name)

    monkeypatch.setattr(video_utils, "cv2", SimpleNamespace(**{**vars(cv2), "VideoCapture": Watched}))
    frames = video_utils.video_to_images(video, 60, 30)
    next(frames), next(frames)
    assert len(grabbed) == 3


@pytest.mark.parametrize(("most", "size"), [(1024, (180, 320)), (160, (90, 160))])
def test_video_s_size_is_capped(overlay, video, most, size):
    from utils.video_utils import video_to_images

    assert next(video_to_images(video, 60, 30, most)).shape == (*size, 3)


def test_no_video(overlay, tmp_path):
    from utils.video_utils import video_to_images

    with pytest.raises(ValueError, match="cannot be opened"):
        next(video_to_images(str(tmp_path / "none.mp4")))


# --- files -----------------------------------------------------------------------------------------------------------

EMBEDDING = {
    "static_lmk_faces_idx": np.arange(51, dtype=np.uint32),
    "static_lmk_bary_coords": np.full((51, 3), 1 / 3),
    "dynamic_lmk_faces_idx": torch.arange(79 * 17).reshape(79, 17),
    "dynamic_lmk_bary_coords": torch.full((79, 17, 3), 1 / 3),
    "full_lmk_faces_idx": np.arange(68)[None],
    "full_lmk_bary_coords": np.full((1, 68, 3), 1 / 3),
}


class Harm:
    def __reduce__(self):
        return (print, ("run",))


def test_embedding_of_arrays_and_tensors(overlay, tmp_path):
    from plain_files import landmark_embedding

    np.save(tmp_path / "e.npy", EMBEDDING, allow_pickle=True)
    read = landmark_embedding(tmp_path / "e.npy")
    assert all(isinstance(value, np.ndarray) for value in read.values())
    for name, value in EMBEDDING.items():
        np.testing.assert_array_equal(read[name], np.asarray(value))


@pytest.mark.parametrize("what", ["code", "code in a tensor", "torn", "another dict"])
def test_embedding_that_is_none(overlay, tmp_path, capsys, what):
    from plain_files import landmark_embedding

    path = tmp_path / "e.npy"
    if what == "code in a tensor":  # torch would load its numbers by pickle
        inner = io.BytesIO()
        torch.save(Harm(), inner)
        np.save(path, EMBEDDING | {"x": _Bytes(inner.getvalue())}, allow_pickle=True)
    else:
        np.save(path, {"code": EMBEDDING | {"x": Harm()}, "another dict": {"a": 1}}.get(what, EMBEDDING))
    if what == "torn":
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(StageError) as e:
        landmark_embedding(path)
    assert e.value.where == str(path) and "run" not in capsys.readouterr().out


class _Bytes:
    def __init__(self, raw):
        self.raw = raw

    def __reduce__(self):
        return (torch.storage._load_from_bytes, (self.raw,))


def test_checkpoint_that_would_run_something(overlay, tmp_path, capsys):
    from plain_files import weights

    path = tmp_path / "mica.tar"
    torch.save({"arcface": Harm()}, path)
    with pytest.raises(StageError, match="cannot be read as weights"):
        weights(path, "arcface")
    path.write_bytes(pickle.dumps({"arcface": Harm()}, 2))  # torch.save's protocol: else it warns
    with pytest.raises(StageError, match="cannot be read as weights"):
        weights(path, "arcface")
    assert capsys.readouterr().out == ""


def test_checkpoint_with_a_training_script_s_numbers(overlay, tmp_path):
    from plain_files import weights

    torch.save({"arcface": {"w": torch.ones(2)}, "step": np.int64(3), "lr": np.float64(0.1)}, tmp_path / "m.tar")
    assert weights(tmp_path / "m.tar", "arcface")["lr"] == 0.1


def test_checkpoint_of_another_network(overlay, tmp_path):
    from plain_files import filled, weights

    torch.save({"other": 1}, tmp_path / "m.tar")
    with pytest.raises(StageError, match="has no arcface"):
        weights(tmp_path / "m.tar", "arcface")
    weight, bias = {"0.weight": torch.ones(2, 2)}, {"0.bias": torch.ones(2)}

    def make():
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2, affine=False))

    norm = {"1.running_mean": torch.zeros(2), "1.running_var": torch.ones(2)}
    with pytest.raises(StageError, match="has no 0.bias"):
        filled("m.tar", make, weight | norm)
    with pytest.raises(StageError, match="another shape for 0.weight"):
        filled("m.tar", make, {"0.weight": torch.ones(3, 2)} | bias | norm)
    model = filled("m.tar", make, weight | bias | norm | {"more": torch.ones(1)})
    assert not model.training and (model(torch.ones(1, 2)) > 2.9).all()


# --- the encoders' crops ---------------------------------------------------------------------------------------------


def test_deca_s_crop_is_about_the_landmarks(overlay):
    overlay.stand_in("submodules.decalib.models.encoders", ResnetEncoder=None)
    from utils.deca_inference_utils import MARGIN, SIDE, crop

    y, x = np.mgrid[:300, :300]
    img = np.stack([x, y, 0 * x], -1).clip(0, 255).astype(np.uint8)
    box = np.array([(100.0, 80.0), (180.0, 160.0)])  # 80 x 80 about (140, 120)
    got = crop(img, box)
    side = 80 * MARGIN
    corners = got[[0, 0, -1], [0, -1, 0], :2].astype(float)
    expected = np.array(
        [(140 - side / 2, 120 - side / 2), (140 + side / 2, 120 - side / 2), (140 - side / 2, 120 + side / 2)]
    )
    assert got.shape == (SIDE, SIDE, 3) and np.abs(corners - expected).max() < 1.01
    assert (crop(img, box - 300)[0, 0] == 0).all()  # beyond the image


# --- batches ---------------------------------------------------------------------------------------------------------


class FakeTracker:
    """Frames are numbers: below zero there is no face, and 13 makes a batch fail."""

    canonical_shape = None

    def prepare_intermediate_data_from_image(self, frame, realign):
        return None if frame < 0 else {"shape": np.full((1, 300), float(frame))}

    def run(self, frames, realign, shape_code, temporal_smoothing):
        assert self.canonical_shape is shape_code and temporal_smoothing
        valid = [i for i, frame in enumerate(frames) if frame >= 0]
        if not valid or 13 in frames:
            return None, None
        return {"exp": np.array([[frames[i]] for i in valid])}, np.array(valid)


@pytest.fixture
def tracker_video(overlay):
    overlay.stand_in("tracker_base", Tracker=FakeTracker)
    overlay.stand_in("utils.matting_utils", matting_video_frames=lambda model, frames: (f + 100 for f in frames))
    import tracker_video

    return tracker_video


def tracked(tracker_video, frames):
    results = tracker_video.track_batch(FakeTracker(), frames, np.zeros((1, 300)))
    return [None if r is None else float(r["exp"][0, 0]) for r in results]


def test_frames_without_a_face_cost_themselves_only(tracker_video):
    assert tracked(tracker_video, [1, -1, 3]) == [1, None, 3]
    assert tracked(tracker_video, [-1, -1]) == [None, None]


def test_a_batch_that_fails_is_tried_frame_by_frame(tracker_video):
    assert tracked(tracker_video, [1, 13, 3]) == [1, None, 3]


def test_batches(tracker_video):
    assert list(tracker_video.batches(iter(range(5)), 2)) == [(0, [0, 1]), (2, [2, 3]), (4, [4])]


def test_shape_is_of_the_first_frames_with_a_face(tracker_video):
    asked = iter([-1, 2, -1, 3, 4, 5, 6])
    shape = tracker_video.estimate_shape(FakeTracker(), asked, False)
    assert shape.shape == (1, 300) and (shape == 3).all() and list(asked) == [5, 6]
    assert tracker_video.estimate_shape(FakeTracker(), [-1, -1], False) is None
