"""BiSeNet from PyTorch's weights: the network gives what PyTorch gives, the stage takes it."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from avatarmake import assets
from avatarmake.contract.layout import dataset_image, parsing_mask
from avatarmake.errors import Exit, StageError
from avatarmake.formats.images import LABEL, read_mask, read_rgb
from stages.mask import HEAD_LABELS, STAGE, MaskConfig, bisenet, torch_file
from stages.mask.networks import FaceParser
from tests.mask.test_networks import DEVIATION, MEAN, facts, mask
from tests.mask.test_networks import bisenet as standin
from tests.mask.test_torch_file import FILE, FORMATS, saved
from tests.rounding import rounding


@pytest.fixture(scope="module", autouse=True)
def _torch():
    """By the first test that runs and not when tests are collected: it takes as long as all the rest."""
    global torch, functional
    import torch
    from torch.nn import functional


class Network:
    """BiSeNet by torch.nn.functional; weights that it lacks are drawn at random when they are first asked for.

    `terms`: of all its convolutions' sums, one after the other; nearly all of them lie on the longest way through.
    """

    def __init__(self):
        self.weights, self.random, self.terms = {}, torch.Generator().manual_seed(79999), 0

    def __call__(self, x):
        """(N,3,512,512) -> logits (N,19,512,512)."""
        x = functional.max_pool2d(self.conv(x, "cp.resnet.conv1", 64, 7, 2, "cp.resnet.bn1").relu(), 3, 2, 1)
        seen = []
        for layer, channels in enumerate((64, 128, 256, 512), 1):
            for block in (0, 1):
                x = self.residual(x, f"cp.resnet.layer{layer}.{block}", channels)
            seen.append(x)
        context = self.block(seen[3].mean((2, 3), keepdim=True), "cp.conv_avg", 128, 1)
        for x, step in ((seen[3], 32), (seen[2], 16)):
            x = self.block(x, f"cp.arm{step}.conv", 128)
            arm = x.mean((2, 3), keepdim=True)
            arm = self.conv(arm, f"cp.arm{step}.conv_atten", 128, 1, norm=f"cp.arm{step}.bn_atten")
            context = functional.interpolate(x * arm.sigmoid() + context, scale_factor=2)
            context = self.block(context, f"cp.conv_head{step}", 128)
        x = self.block(torch.cat([seen[1], context], 1), "ffm.convblk", 256, 1)
        weight = self.conv(x.mean((2, 3), keepdim=True), "ffm.conv1", 64, 1).relu()
        x = x + x * self.conv(weight, "ffm.conv2", 256, 1).sigmoid()
        x = self.conv(self.block(x, "conv_out.conv", 256), "conv_out.conv_out", 19, 1)
        return functional.interpolate(x, (512, 512), mode="bilinear", align_corners=True)

    def residual(self, x, name, out):
        stride = 1 if x.shape[1] == out else 2
        y = self.conv(x, f"{name}.conv1", out, 3, stride, f"{name}.bn1").relu()
        y = self.conv(y, f"{name}.conv2", out, norm=f"{name}.bn2")
        if stride == 2:
            x = self.conv(x, f"{name}.downsample.0", out, 1, 2, f"{name}.downsample.1")
        return (x + y).relu()

    def block(self, x, name, out, size=3):
        return self.conv(x, f"{name}.conv", out, size, norm=f"{name}.bn").relu()

    def conv(self, x, name, out, size=3, stride=1, norm=""):
        inputs = x.shape[1] * size * size
        self.terms += inputs
        # without a mean, or what all inputs have in common (they are positive) would drown the rest
        filters = self.weight(
            f"{name}.weight", lambda w: (w - w.mean(1, True)) / inputs**0.5, out, x.shape[1], size, size
        )
        x = functional.conv2d(x, filters, stride=stride, padding=size // 2)
        if norm:
            self.weights[f"{norm}.num_batches_tracked"] = torch.tensor(79999)
            scale = self.weight(f"{norm}.weight", lambda w: 1 + w / 4, out)
            shift, mean = (self.weight(f"{norm}.{part}", lambda w: w / 4, out) for part in ("bias", "running_mean"))
            variance = self.weight(f"{norm}.running_var", lambda w: torch.exp(w / 2) / 4, out)
            x = functional.batch_norm(x, mean, variance, scale, shift)
        return x

    def weight(self, name, drawn, *shape):
        if name not in self.weights:
            self.weights[name] = drawn(torch.randn(*shape, generator=self.random))
        return self.weights[name]


def normalised(images):
    """Images (512,512,3) RGB -> (N,3,512,512), as the network was trained."""
    return torch.tensor(((np.stack(images) / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).astype(np.float32))


@pytest.fixture(scope="module")
def network(_torch, images) -> Network:
    """With all weights, those of the heads that only training has use for too."""
    made = Network()
    with torch.no_grad():
        made.logits = made(normalised(images[:2])).numpy()
        made.tolerance = rounding(made.terms)  # 44,243 terms: 1.5e-4 of the logits' range
        for head in ("conv_out16", "conv_out32"):
            made.conv(made.block(torch.zeros(1, 128, 4, 4), f"{head}.conv", 64), f"{head}.conv_out", 19, 1)
    return made


@pytest.fixture(scope="module", params=FORMATS)
def file(request, network, tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("weights") / FILE, network.weights, request.param)


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.numbers
def test_logits_and_labels_are_those_of_pytorch(network, file, images):
    wanted = network.logits
    session = onnxruntime.InferenceSession(bisenet.model(file), providers=["CPUExecutionProvider"])
    got = session.run(["output"], {"input": normalised(images[:2]).numpy()})[0]
    tolerance = network.tolerance * np.ptp(wanted)
    assert np.abs(got - wanted).max() < tolerance
    labels = np.array(FaceParser(file, at_once=2).labels(images[:2]))
    taken = np.take_along_axis(wanted, labels[:, None].astype(int), 1)[:, 0]
    assert (wanted.max(1) - taken).max() < 2 * tolerance and len(np.unique(labels)) > 3


def test_the_file_has_the_names_and_the_sizes_of_the_real_one(network, file):
    read = torch_file.read(file)
    assert len(read) == 191 and abs(file.stat().st_size - assets.manifest()["bisenet_torch"].size) < 50_000
    assert list(read) == list(network.weights)
    assert all(np.array_equal(read[name], tensor.numpy()) for name, tensor in network.weights.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: {"ffm.conv1.weight": None}, "19 classes: ffm.conv1.weight is missing. Remove it"),
        (lambda: {"ffm.conv1.weight": torch.zeros(64, 256)}, "weight is float32 (64, 256), expected float (64, 256,"),
        (lambda: {"ffm.conv1.weight": torch.zeros(64, 256, 1, 1).int()}, "ffm.conv1.weight is int32"),
        (lambda: {"cp.arm16.bn_atten.bias": torch.full((128,), torch.nan)}, "has numbers that are not finite"),
        (lambda: {"sp.conv1.conv.weight": torch.zeros(64)}, "sp.conv1.conv.weight is not known"),
        (lambda: {"conv_out.conv_out.weight": torch.zeros(11, 256, 1, 1)}, "(11, 256, 1, 1), expected float (19, 256,"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(network, tmp_path, change, words):
    weights = {name: tensor for name, tensor in (network.weights | change()).items() if tensor is not None}
    with pytest.raises(StageError) as e:
        bisenet.model(saved(tmp_path / FILE, weights, "zip"))
    assert words in str(e.value) and str(tmp_path / FILE) in str(e.value) and e.value.exit == Exit.MISSING_ASSET


def test_of_many_that_do_not_fit_the_first_are_named(network, tmp_path):
    weights = {f"module.{name}": tensor for name, tensor in network.weights.items()}
    with pytest.raises(StageError, match=r"cp.resnet.conv1.weight is missing; cp.resnet.bn1.weight is .* and \d+ more"):
        bisenet.model(saved(tmp_path / FILE, weights, "pickles"))


# --- the stage -------------------------------------------------------------------------------------------------------


def test_masks_by_pytorchs_weights(network, subject, weights, capsys):
    saved(weights / FILE, network.weights, "pickles")
    assert mask(subject, "--parser", "bisenet") == Exit.OK
    assert f"neckhead and mouth from {FILE}" in capsys.readouterr().out and facts(subject)["parser"] == FILE
    with torch.no_grad():
        logits = network(normalised([read_rgb(dataset_image(subject.directory("dataset"), 1))]))[0].numpy()
    labels, (second, first) = logits.argmax(0), np.sort(logits, 0)[-2:]
    either = first - second < 2 * network.tolerance * np.ptp(logits)
    for part, wanted in (("neckhead", HEAD_LABELS), ("mouth", {LABEL[x] for x in ("mouth", "upper_lip", "lower_lip")})):
        got = read_mask(parsing_mask(subject.directory("masks"), 1, part)) > 0
        assert ((got == np.isin(labels, list(wanted))) | either).mean() > 0.9999 and either.mean() < 0.01


def test_the_onnx_comes_first(subject, weights, capsys):
    (weights / FILE).write_bytes(b"never looked at")
    standin(weights / "face_parsing_resnet18.onnx")
    assert mask(subject) == Exit.OK and facts(subject)["parser"] == "face_parsing_resnet18.onnx"
    (weights / "face_parsing_resnet18.onnx").unlink()
    assert mask(subject) == Exit.MISSING_ASSET
    err = capsys.readouterr().err
    assert "is not what torch.save writes: it begins with b'never looked at'" in err and str(weights / FILE) in err


def test_both_files_are_in_the_key_and_either_will_do():
    both = ("bisenet", "bisenet_torch")
    assert set(STAGE.assets(MaskConfig())) >= set(both) and STAGE.needs(MaskConfig(parser="bisenet")) == (both,)
    assert not set(STAGE.assets(MaskConfig(parser="head_model"))) & set(both) and STAGE.needs(MaskConfig()) == ()
