"""The stage, on the real upstream checkout and real faces; licensed weights are stand-ins of the right shapes."""

import json
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avatarmake import assets, patches
from avatarmake.contract import layout
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit
from avatarmake.formats import images
from avatarmake.formats.tracking import read_tracking, tracked_indices
from avatarmake.geometry import cameras
from stages.convert import STAGE as CONVERT
from stages.convert.__main__ import run as convert
from stages.flame_head_tracker import READS, STAGE, FlameHeadTrackerConfig
from stages.flame_head_tracker.__main__ import run
from tests.flame_head_tracker.conftest import BATCH, BLANK, FRAMES
from tests.synthetic import finish

OPTIONS = (f"--batch-size={BATCH}", "--iterations=4", "--rigid-iterations=120", "--device=cpu")


@pytest.fixture
def environment(monkeypatch, patched, weights, tmp_path_factory):
    """What the engines give the stage; and no network."""
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(weights))
    monkeypatch.setenv("AVATARMAKE_UPSTREAM", str(patched))
    monkeypatch.setenv("AVATARMAKE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)  # two that wait for each other take ten times as long on a busy machine
    monkeypatch.setattr(socket.socket, "connect", lambda *given: pytest.fail("something wants the network"))


def track(subject: Subject, *options) -> Exit:
    return command(STAGE, run, [subject.name, f"--data={subject.data}", *OPTIONS, *options])


@pytest.fixture
def tracking(subject, environment, capsys) -> Path:
    """The finished tracking/, made by the first test that asks for it."""
    folder = subject.directory("tracking")
    if not (folder / "stage.json").exists():
        assert track(subject) == Exit.OK, capsys.readouterr().err
    return folder


@pytest.fixture
def again(subject, tmp_path) -> Subject:
    """The same frames, not tracked yet."""
    other = Subject(tmp_path, subject.name)
    shutil.copytree(subject.directory("frames"), other.directory("frames"))
    return other


@pytest.fixture(scope="module")
def made() -> list:
    return []


@pytest.fixture
def one_tracker(environment, made, monkeypatch):
    """The stage's tracker, made once for all tests that ask for it."""
    from stages.flame_head_tracker import __main__ as stage
    from stages.flame_head_tracker.tracker import UpstreamTracker

    if not made:
        made.append(UpstreamTracker(STAGE, FlameHeadTrackerConfig("cpu", BATCH, iterations=4, rigid_iterations=120)))
    monkeypatch.setattr(stage, "UpstreamTracker", lambda stage, config: made[0])
    return made[0]


def test_what_it_writes(tracking, patched):
    faces = [i for i in range(FRAMES) if i not in BLANK]
    assert tracked_indices(tracking) == faces
    for i in faces:
        with np.load(layout.tracking_file(tracking, i)) as npz:
            assert all(npz[k].shape[0] == 1 and npz[k].dtype == np.float32 for k in npz.files)
            assert npz["landmarks"].shape == (1, 478, 2) and npz["blendshape_scores"].shape == (1, 52)
            assert npz["fov"] == pytest.approx(20, abs=1e-4) and "img" not in npz
    summary = json.loads((tracking / "tracker.json").read_text())
    assert (summary["tracker"], summary["head_model"]) == ("flame-head-tracker", "flame")
    assert (summary["tracked"], summary["missing"], summary["frames"]) == (faces, list(BLANK), FRAMES)
    assert summary["focal"] == pytest.approx(256 / np.tan(np.radians(10)))
    assert summary["quality"]["landmark_error_px"]["median"] < 15  # after so few steps; 2.5 after all of them
    facts = json.loads((tracking / "stage.json").read_text())["facts"]
    assert (facts["frames_in"], facts["frames_out"], facts["missing"]) == (FRAMES, len(faces), list(BLANK))
    assert not list(tracking.glob("batches")) and not list(patched.rglob("__pycache__"))


def test_the_detections_are_of_our_pixels(tracking, subject, shared_data):
    from avatarmake.detection import FaceLandmarker

    image = images.read_rgb(layout.frame_image(subject.directory("frames"), 1))
    with FaceLandmarker(shared_data / "face_landmarker.task") as landmarker:
        landmarks, scores = landmarker.examine(image)
    ours = read_tracking(layout.tracking_file(tracking, 0))
    np.testing.assert_allclose(ours.landmarks, landmarks[:, :2], atol=1e-3)
    np.testing.assert_allclose(ours.blendshapes, scores, atol=1e-6)


def test_our_projection_agrees_with_upstream_s_own(tracking, patched, monkeypatch):
    """Its pose as an axis and an angle, its clip space and screen, against our extrinsics of what lies on disk."""
    monkeypatch.syspath_prepend(str(patched))
    from utils import graphics_utils as theirs

    points = np.random.default_rng(0).uniform(-0.12, 0.12, (500, 3))
    for i in tracked_indices(tracking):
        path = layout.tracking_file(tracking, i)
        with np.load(path) as npz:
            cam, k = torch.from_numpy(npz["cam"]).double(), torch.from_numpy(npz["K"]).double()
        pose = torch.cat([theirs.euler_angles_to_rotation_vector(cam[:, :3]), cam[:, 3:]], 1).float()
        given = {"verts": torch.from_numpy(points)[None].float(), "camera_pose": pose, "K": k.float()}
        clip = theirs.batch_perspective_projection(**given, image_size=256, near=0.01, far=100.0)
        screen = theirs.batch_verts_ndc_to_screen(theirs.batch_verts_clip_to_ndc(clip), image_size=256)
        t = read_tracking(path)
        ours = cameras.project(points, *cameras.extrinsics_from_cam(t.cam), t.intrinsics.astype(np.float64))
        assert np.abs(ours - 2 * screen[0, :, :2].double().numpy()).max() < 1e-3


def test_convert_accepts_it(tracking, subject, capsys):
    assert command(CONVERT, convert, [subject.name, f"--data={subject.data}"]) == Exit.OK, capsys.readouterr().err
    facts = json.loads((subject.directory("dataset") / "stage.json").read_text())["facts"]
    assert facts["frames_out"] == FRAMES - len(BLANK) and facts["reprojection_px_max"] < 1e-3


def test_a_killed_run_goes_on(tracking, one_tracker, again, monkeypatch, capsys):
    """It fits no frame twice, and its result is that of a run that was not killed."""
    fit, fitted = one_tracker.track, []

    def killed(batch, shape):
        fitted.append(len(batch))
        if len(fitted) == 2:
            raise KeyboardInterrupt
        return fit(batch, shape)

    monkeypatch.setattr(one_tracker, "track", killed)
    assert track(again) == 130
    before = {p.name: p.stat().st_mtime_ns for p in again.partial("tracking").glob("*.npz")}
    assert before.keys() == {"0.npz", "1.npz"}
    assert track(again) == Exit.OK, capsys.readouterr().err
    assert fitted == [3, 3, 3, 2]
    for path in sorted(tracking.glob("*.npz")):
        same = again.directory("tracking") / path.name
        assert same.read_bytes() == path.read_bytes()
        assert path.name not in before or same.stat().st_mtime_ns == before[path.name]


def test_no_face_at_all(subject, one_tracker, tmp_path, capsys):
    other = Subject(tmp_path, "nobody")
    frames = other.directory("frames")
    frames.mkdir(parents=True)
    shutil.copy(layout.frame_image(subject.directory("frames"), BLANK[0] + 1), layout.frame_image(frames, 1))
    (frames / "crop.json").write_text(json.dumps({"fps": 25.0, "source_frames": [0], "times": [0]}))
    finish(frames)
    assert track(other) == Exit.BAD_INPUT
    assert "no face was found in its 1 images" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["CUDA out of memory. Tried to", "DefaultCPUAllocator: can't allocate memory: you"])
def test_not_enough_memory(tracking, one_tracker, again, monkeypatch, capsys, words):
    def full(*given, **named):
        raise RuntimeError(words)

    monkeypatch.setattr(one_tracker._tracker, "run_fitting", full)
    assert track(again) == Exit.ENVIRONMENT
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].endswith("not enough memory on cpu for a batch of 3 frames. Give a smaller one, --batch-size=1")


@pytest.mark.parametrize("name", READS)
def test_a_missing_asset_is_one_line(again, environment, weights, tmp_path, monkeypatch, capsys, name):
    folder = tmp_path / "assets"
    shutil.copytree(weights, folder, symlinks=True, copy_function=lambda a, b: Path(b).symlink_to(a))
    (folder / assets.manifest()[name].file).unlink()
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(folder))
    assert track(again) == Exit.MISSING_ASSET
    said = capsys.readouterr().err.strip()
    asset = assets.manifest()[name]
    assert len(said.splitlines()) == 1 and str(folder / asset.file) in said
    assert asset.licence in said and f"make assets GET={name}" in said and asset.page in said


@pytest.mark.parametrize("name", ["face_landmarker", "flame_landmark_embedding", "deca", "mica"])
def test_a_torn_asset_is_one_line(again, environment, weights, tmp_path, monkeypatch, capsys, name):
    folder = tmp_path / "assets"
    shutil.copytree(weights, folder, symlinks=True, copy_function=lambda a, b: Path(b).symlink_to(a))
    place = folder / assets.manifest()[name].file
    start = place.resolve().read_bytes()[:10_000]
    place.unlink()
    place.write_bytes(start)
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(folder))
    assert track(again) == Exit.MISSING_ASSET
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and str(place) in said and "make assets" in said


def test_no_checkout_is_one_line(monkeypatch, tmp_path):
    from avatarmake.errors import StageError
    from avatarmake.patches import checkout

    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    monkeypatch.setattr(patches.registry, "HOME", tmp_path / ".venv")
    with pytest.raises(StageError) as e:
        patches.prepare("flame-head-tracker")
    said = str(e.value)
    assert e.value.exit == Exit.MISSING_ASSET and "\n" not in said
    assert "git clone https://github.com/PeizhiYan/flame-head-tracker upstream/flame-head-tracker" in said
    assert "0752b00" in said and "non-commercial" in said


def test_the_key_has_all_that_it_reads():
    names = STAGE.assets(FlameHeadTrackerConfig())
    assert set(names) == set(READS) | set(assets.HEAD_MODEL) - {"flame2023"} and len(names) == len(set(names))


@pytest.mark.parametrize(
    "word", ["--device=tpu", "--batch-size=0", "--iterations=1", "--rigid-iterations=0", "--fov=9", "--fov=51"]
)
def test_options_out_of_range(tmp_path, capsys, word):
    assert command(STAGE, run, ["roman", f"--data={tmp_path}", word]) == Exit.USAGE
    assert "Give" in capsys.readouterr().err


def test_the_host_reads_the_declaration_without_torch():
    code = "import sys, stages.flame_head_tracker; assert not {'torch', 'numpy', 'cv2'} & set(sys.modules)"
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True)
