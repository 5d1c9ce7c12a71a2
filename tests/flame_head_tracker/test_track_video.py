"""Upstream's own way in, on a video file: matting in place, the pixels kept, a second run that has nothing to do."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from avatarmake import assets
from avatarmake.contract import layout
from avatarmake.formats import images
from tests.flame_head_tracker.conftest import BLANK, FRAMES


class Matting(torch.nn.Module):
    """RobustVideoMatting's interface: everything is in front, but the left quarter."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))  # says on which device it is

    def forward(self, rgb: torch.Tensor, a: None, b: None, c: None, d: None, downsample_ratio: float):
        alpha = torch.ones_like(rgb[:, :1])
        alpha[..., : rgb.shape[-1] // 4] = 0
        return rgb, alpha, a, b, c, d


@pytest.fixture(scope="module")
def configuration(tmp_path_factory, subject, weights) -> dict:
    """Of a video of 16 frames, every second of which is a frame of the subject's."""
    folder = tmp_path_factory.mktemp("video")
    writer = cv2.VideoWriter(str(folder / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 50, (512, 512))
    for i in range(2 * FRAMES):
        image = images.read_rgb(layout.frame_image(subject.directory("frames"), i // 2 + 1))
        writer.write(image[..., ::-1] if i % 2 == 0 else np.zeros_like(image))
    writer.release()
    torch.jit.script(Matting()).save(str(folder / "matting.pt"))
    paths = {name: str(weights / assets.manifest()[name].file) for name in ("flame2020", "deca", "mica")}
    return {
        "video_path": str(folder / "film.avi"),
        "save_path": str(folder),
        "original_fps": 50,
        "subsample_fps": 25,
        "batch_size": 4,
        "realign": False,
        "photometric_fitting": False,
        "use_matting": True,
        "matting_model_path": str(folder / "matting.pt"),
        "device": "cpu",
        "result_img_size": 512,
        "iterations": 2,
        "rigid_iterations": 30,
        "flame_model_path": paths["flame2020"],
        "deca_model_path": paths["deca"],
        "mica_model_path": paths["mica"],
        "flame_lmk_embedding_path": str(weights / assets.manifest()["flame_landmark_embedding"].file),
        "mediapipe_face_landmarker_v2_path": str(weights / "face_landmarker.task"),
    }


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_track_video(configuration, patched, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(patched))
    import tracker_video

    torch.set_num_threads(1)
    tracker_video.track_video(configuration)
    folder = Path(configuration["save_path"]) / "film"
    faces = [i for i in range(FRAMES) if i not in BLANK]
    assert sorted(int(p.stem) for p in folder.glob("*.npz")) == faces
    assert sorted(p.name for p in folder.glob("*_no_face")) == [f"{i}_no_face" for i in BLANK]
    with np.load(folder / "0.npz") as npz:
        assert npz["cam"].shape == (1, 6) and not {"img", "img_rendered", "parsing"} & set(npz.files)
    matted, whole = (cv2.imread(str(folder / name)).astype(int) for name in ("0.jpg", "0_unmatted.jpg"))
    assert matted[:, :120].min() > 240, "its background is white"
    assert np.abs(matted[:, 136:] - whole[:, 136:]).mean() < 2, "its face is the unmatted one's"
    assert whole[:, :120].min() < 200

    monkeypatch.setattr(tracker_video, "track_batch", lambda *given: pytest.fail("a frame is fitted again"))
    tracker_video.track_video(configuration)


def test_photometric_fitting_is_refused_before_anything_is_loaded(configuration, patched, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(patched))
    import tracker_video

    with pytest.raises(ValueError, match="landmarks only"):
        tracker_video.track_video(configuration | {"photometric_fitting": True})
