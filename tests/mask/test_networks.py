"""BiSeNet and RobustVideoMatting as a user's ONNX files: small stand-ins with the real ones' inputs and outputs."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from avatarmake.contract.command import command  # noqa: E402
from avatarmake.contract.layout import alpha_mask, dataset_image, parsing_mask  # noqa: E402
from avatarmake.errors import Exit, StageError  # noqa: E402
from avatarmake.files.digests import digest_path  # noqa: E402
from avatarmake.formats.images import LABEL, read_mask, write_jpeg, write_png  # noqa: E402
from stages.mask import STAGE, __main__, networks  # noqa: E402
from stages.mask.__main__ import run  # noqa: E402
from stages.mask.networks import FaceParser, InOrder, VideoMatting  # noqa: E402
from tests.mask.conftest import FRAMES  # noqa: E402

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PAINT = {
    "background": (40, 40, 40),
    "skin": (220, 170, 150),
    "mouth": (120, 20, 20),
    "cloth": (20, 60, 200),
    "hair": (90, 60, 10),
    "hat": (20, 200, 60),
}  # the stand-in's classes by their colours


def save(path: Path, nodes, inputs, outputs, constants) -> Path:
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    assert all(a.dtype in kinds for a in constants.values())
    graph = helper.make_graph(
        nodes,
        "standin",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(a, name) for name, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def bisenet(path: Path, batch: int | str = "batch_size", classes: int = 19) -> Path:
    """Logits by distance from each class's colour: -|x - c|^2 but for |x|^2, of normalised colours."""
    weights, bias = np.zeros((classes, 3, 1, 1), np.float32), np.full(classes, -1e6, np.float32)
    for name, colour in PAINT.items():
        c = (np.array(colour) / 255 - MEAN) / DEVIATION
        weights[LABEL[name] % classes, :, 0, 0], bias[LABEL[name] % classes] = 2 * c, -(c @ c)
    nodes = [helper.make_node("Conv", ["input", "w", "b"], ["output"])]
    sizes = {"input": [batch, 3, 512, 512]}, {"output": [batch, classes, 512, 512]}
    return save(path, nodes, *sizes, {"w": weights, "b": bias})


def robust(path: Path) -> Path:
    """Alpha is half of red and half of a memory of red that fades by half from image to image."""
    nodes = [
        helper.make_node("Slice", ["src", "zero", "one", "axis"], ["red"]),
        helper.make_node("Mul", ["r1i", "half"], ["faded"]),
        helper.make_node("Mul", ["red", "half"], ["share"]),
        helper.make_node("Add", ["faded", "share"], ["r1o"]),
        helper.make_node("Mul", ["r1i", "half"], ["memory"]),
        helper.make_node("Add", ["memory", "share"], ["mixed"]),
        helper.make_node("Mul", ["mixed", "downsample_ratio"], ["pha"]),
        helper.make_node("Identity", ["src"], ["fgr"]),
        *(helper.make_node("Identity", [f"r{i}i"], [f"r{i}o"]) for i in (2, 3, 4)),
    ]
    any_size = [None, None, None, None]
    inputs = {"src": [1, 3, "h", "w"], **{f"r{i}i": any_size for i in (1, 2, 3, 4)}, "downsample_ratio": [1]}
    outputs = {"fgr": [1, 3, "h", "w"], "pha": [1, 1, "h", "w"], **{f"r{i}o": any_size for i in (1, 2, 3, 4)}}
    numbers = {"zero": np.array([0]), "one": np.array([1]), "axis": np.array([1]), "half": np.float32([0.5])}
    return save(path, nodes, inputs, outputs, numbers)


def mask(subject, *options: object, workers: int = 1) -> Exit:
    words = [subject.name, "--data", str(subject.data), "--workers", str(workers), *map(str, options)]
    return command(STAGE, run, words)


def facts(subject) -> dict:
    return json.loads((subject.directory("masks") / "stage.json").read_text())["facts"]


def painted(number: int) -> np.ndarray:
    """(512,512) labels of a person who moves to the right."""
    labels = np.zeros((512, 512), np.uint8)
    x = 200 + 5 * number
    for name, (low, high, half) in {
        "cloth": (400, 512, 150),
        "skin": (100, 420, 90),
        "hair": (40, 140, 100),
        "hat": (0, 44, 60),
        "mouth": (250, 280, 30),
    }.items():
        labels[low:high, x - half : x + half] = LABEL[name]
    return labels


@pytest.fixture
def drawn(subject):
    """The subject with images in the colours that the stand-in knows."""
    colours = np.zeros((19, 3), np.uint8)
    for name, colour in PAINT.items():
        colours[LABEL[name]] = colour
    for n in range(1, FRAMES + 1):
        write_jpeg(dataset_image(subject.directory("dataset"), n), colours[painted(n)])
    return subject


def test_masks_by_bisenet(drawn, weights, capsys):
    bisenet(weights / "face_parsing_resnet18.onnx")
    assert mask(drawn) == Exit.OK
    assert "mouth from face_parsing_resnet18.onnx, alpha from the selfie network" in capsys.readouterr().out
    assert (facts(drawn)["parser"], facts(drawn)["matting"]) == ("face_parsing_resnet18.onnx", "selfie")
    masks = drawn.directory("masks")
    for n in (1, FRAMES):
        labels = painted(n)
        neckhead, mouth = (read_mask(parsing_mask(masks, n, part)) > 0 for part in ("neckhead", "mouth"))
        for got, names in ((neckhead, ("skin", "hair", "mouth")), (mouth, ("mouth",))):
            wanted = np.isin(labels, [LABEL[name] for name in names])
            assert (got != wanted).mean() < 0.005  # JPEG blurs edges
    before = digest_path(parsing_mask(masks, 1, "neckhead"))
    assert mask(drawn, "--hat") == Exit.OK and digest_path(parsing_mask(masks, 1, "neckhead")) != before
    assert mask(drawn, "--parser", "head_model") == Exit.OK and facts(drawn)["parser"] == "head_model"


def test_given_label_maps_come_before_the_parser(drawn, weights, tmp_path):
    bisenet(weights / "face_parsing_resnet18.onnx")
    folder = tmp_path / "labels"
    folder.mkdir()
    write_png(folder / "00002.png", np.full((512, 512), LABEL["mouth"], np.uint8))
    assert mask(drawn, "--labels", folder) == Exit.OK
    masks = drawn.directory("masks")
    assert read_mask(parsing_mask(masks, 2, "mouth")).all()
    assert 0 < (read_mask(parsing_mask(masks, 3, "mouth")) > 0).mean() < 0.02
    assert facts(drawn)["label_maps"] == 1


@pytest.mark.parametrize(("batch", "at_once"), [("batch_size", 0), ("batch_size", 2), (1, 4), (3, 0)])
def test_parser_takes_what_the_file_takes_at_once(tmp_path, batch, at_once):
    images = [np.full((512, 512, 3), colour, np.uint8) for colour in PAINT.values()][:5]
    maps = FaceParser(bisenet(tmp_path / "b.onnx", batch), at_once).labels(images)
    assert [np.unique(m).tolist() for m in maps] == [[LABEL[name]] for name in list(PAINT)[:5]]


def test_each_image_is_decoded_once(drawn, weights, monkeypatch):
    bisenet(weights / "face_parsing_resnet18.onnx")
    decode, decoded = cv2.imdecode, []
    monkeypatch.setattr(cv2, "imdecode", lambda *args: decoded.append(1) or decode(*args))
    assert mask(drawn) == Exit.OK
    assert len(decoded) == FRAMES + FRAMES  # once for what the ground is by itself, of which so few are all looked at


def test_alpha_by_robust_video_matting(drawn, weights, capsys):
    robust(weights / "rvm_mobilenetv3_fp32.onnx")
    assert mask(drawn) == Exit.OK
    assert "from the head model, alpha from rvm_mobilenetv3_fp32.onnx" in capsys.readouterr().out
    assert facts(drawn)["matting"] == "rvm_mobilenetv3_fp32.onnx"
    masks = drawn.directory("masks")
    alpha = read_mask(alpha_mask(masks, 3))
    # by now the memory of red has come up to what stands still: background 40, skin 220
    assert abs(int(alpha[300, 20]) - 40) < 5 and abs(int(alpha[390, 215]) - 220) < 9
    assert abs(int(alpha[450, 200 + 15 + 150 - 2]) - 30) < 6  # cloth (20) since this image, background (40) before
    assert read_mask(parsing_mask(masks, 3, "neckhead")).any()


def test_alpha_does_not_depend_on_processes_nor_on_a_kill(drawn, weights, monkeypatch):
    robust(weights / "rvm_mobilenetv3_fp32.onnx")

    def digests(root):
        return [digest_path(alpha_mask(root, n)) for n in range(1, FRAMES + 1)]

    assert mask(drawn) == Exit.OK
    undisturbed = digests(drawn.directory("masks"))
    assert len(set(undisturbed)) == FRAMES
    monkeypatch.setattr(__main__, "CHUNK", 2)
    assert mask(drawn, "--force", workers=2) == Exit.OK
    assert digests(drawn.directory("masks")) == undisturbed
    line = [sys.executable, "-m", "stages.mask", drawn.name, "--data", str(drawn.data), "--workers", "1", "--force"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    partial = drawn.partial("masks")
    while not list(partial.glob("alpha/00002.jpg")) and process.poll() is None:
        pass
    process.kill()
    process.wait()
    assert mask(drawn, "--force") == Exit.OK
    assert digests(drawn.directory("masks")) == undisturbed


class Fading:
    """A network whose alpha tells which images it has seen, and in which order."""

    def restart(self):
        self.seen = ()

    def alpha(self, number):
        self.seen += (number,)
        return self.seen


def test_segments_are_seen_from_before_their_beginning(monkeypatch):
    monkeypatch.setattr(networks, "SEGMENT", 4)
    monkeypatch.setattr(networks, "WARM_UP", 2)
    straight = InOrder(Fading(), lambda n: n, 10)
    expected = {n: straight.alpha(n) for n in range(1, 11)}
    assert expected[2] == (3, 2, 1, 2) and expected[7] == (3, 4, 5, 6, 7) and expected[10] == (7, 8, 9, 10)
    jumping = InOrder(Fading(), lambda n: n, 10)
    for n in (10, 6, 7, 7, 1, 4, 3, 9):
        assert jumping.alpha(n) == expected[n]
    assert InOrder(Fading(), lambda n: n, 1).alpha(1) == (1,)


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("face_parsing_resnet18.onnx", robust, "is no BiSeNet: src [1, 3, 'h', 'w']"),
        ("face_parsing_resnet18.onnx", lambda p: bisenet(p, classes=11), "output ['batch_size', 11, 512, 512]"),
        ("face_parsing_resnet18.onnx", lambda p: p.write_bytes(b"<html>404"), "cannot be loaded as an ONNX model"),
        ("rvm_mobilenetv3_fp32.onnx", bisenet, "is no RobustVideoMatting: inputs input"),
        ("rvm_mobilenetv3_fp32.onnx", lambda p: p.write_bytes(b""), "cannot be loaded as an ONNX model"),
    ],
)
def test_what_is_another_network(subject, weights, name, make, words, capfd):
    make(weights / name)
    assert mask(subject) == Exit.MISSING_ASSET
    err = capfd.readouterr().err
    assert words in err and str(weights / name) in err and "make assets GET=" in err and len(err.splitlines()) <= 2
    assert not subject.directory("masks").exists()


@pytest.mark.parametrize(
    ("options", "file"),
    [(("--parser", "bisenet"), "face_parsing_resnet18.onnx"), (("--matting", "robust"), "rvm_mobilenetv3_fp32.onnx")],
)
def test_asked_for_and_not_there(subject, weights, options, file, capsys):
    assert mask(subject, *options) == Exit.MISSING_ASSET
    assert file in capsys.readouterr().err


@pytest.mark.parametrize("option", ["parser", "matting"])
def test_unknown_ways(subject, option, capsys):
    assert mask(subject, f"--{option}", "magic") == Exit.USAGE
    assert f"{option} is 'magic'" in capsys.readouterr().err


def test_a_parser_that_gives_other_shapes_than_it_says(tmp_path):
    nodes = [helper.make_node("Identity", ["input"], ["output"])]
    path = save(tmp_path / "b.onnx", nodes, {"input": ["n", "c", "h", "w"]}, {"output": ["n", "c", "h", "w"]}, {})
    with pytest.raises(StageError, match="it gives"):
        FaceParser(path).labels([np.zeros((512, 512, 3), np.uint8)])


def test_matting_forgets_at_restart(tmp_path):
    matting = VideoMatting(robust(tmp_path / "r.onnx"))
    image = np.full((512, 512, 3), 200, np.uint8)
    first, second = matting.alpha(image), matting.alpha(image)
    matting.restart()
    assert first[0, 0] == 100 and second[0, 0] == 150 and np.array_equal(matting.alpha(image), first)
