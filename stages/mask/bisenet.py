"""BiSeNet as an ONNX model, made from the weights that zllrunning/face-parsing.PyTorch published as 79999_iter.pth.

The network: Yu et al., BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation, ECCV 2018, over
ResNet-18 (He et al., CVPR 2016). As trained there, the second block of ResNet takes the place of the spatial path, and
attention goes from coarse to fine. Names, shapes and strides are the checkpoint's. Of its three heads only the main one
is made; the others, on coarser features, were for training.

Values are (batch, channels, rows, columns); the number in a name like x_8 says how many pixels of the image a row is.
"""

import re
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import Exit, StageError
from avatarmake.formats.images import LABELS
from stages.mask import torch_file

EPSILON = 1e-5  # PyTorch's, added to a variance before its root is taken
UNUSED = re.compile(r"conv_out(16|32)\..+|.+\.num_batches_tracked")
OPSET, IR = 17, 8
SHOWN = 3  # of the tensors that do not fit, how many are named


def model(path: Path) -> bytes:
    """The ONNX model with the weights at `path`: images (N,3,512,512) in, logits (N,19,512,512) out.

    Raises StageError for a file that holds anything else than these weights.
    """
    graph = Graph(torch_file.read(path))
    _network(graph)
    troubles = graph.troubles + [f"{name} is not known" for name in graph.tensors]
    if troubles:
        more = f" and {len(troubles) - SHOWN} more" if len(troubles) > SHOWN else ""
        what = f"is not the BiSeNet of {len(LABELS)} classes: {'; '.join(troubles[:SHOWN])}{more}"
        raise StageError(what, path, torch_file.AGAIN, Exit.MISSING_ASSET)
    return graph.onnx()


class Graph:
    """Nodes and constants, in the order in which they were asked for. A value goes by its name."""

    def __init__(self, tensors: dict[str, np.ndarray]):
        self.tensors = {name: t for name, t in tensors.items() if not UNUSED.fullmatch(name)}  # not yet taken
        self.troubles: list[str] = []
        self._nodes, self._constants = [], {}

    def add(self, operator: str, *inputs: str, output: str = "", **attributes) -> str:
        output = output or f"{operator}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def conv(self, x: str, name: str, shape: tuple[int, int, int], norm: str = "", stride: int = 1) -> str:
        """A convolution without bias, `shape` (out, in, size), padded by half its size, and the batch norm behind it.

        (W x - mean) / sqrt(variance + EPSILON) * scale + shift is a convolution itself, with a bias.
        """
        out, into, size = shape
        weights = self._take(f"{name}.weight", out, into, size, size)
        if norm:
            parts = ("weight", "bias", "running_mean", "running_var")
            scale, shift, mean, variance = (self._take(f"{norm}.{part}", out) for part in parts)
            factor = scale / np.sqrt(variance + EPSILON)
            weights, bias = weights * factor[:, None, None, None], shift - mean * factor
        inputs = [self.constant(f"{name}.weight", weights)] + ([self.constant(f"{name}.bias", bias)] if norm else [])
        return self.add("Conv", x, *inputs, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4)

    def block(self, x: str, name: str, shape: tuple[int, int, int]) -> str:
        """Convolution, batch norm, ReLU."""
        return self.add("Relu", self.conv(x, f"{name}.conv", shape, f"{name}.bn"))

    def larger(self, x: str, times: int, **attributes) -> str:
        """x with so many times the rows and columns; the attributes are Resize's."""
        scales = self.constant(f"times{times}", np.array([1, 1, times, times]))
        return self.add("Resize", x, "", scales, **attributes)

    def constant(self, name: str, value: np.ndarray) -> str:
        self._constants[name] = numpy_helper.from_array(value.astype(np.float32), name)
        return name

    def onnx(self) -> bytes:
        images, logits = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch_size", channels, IMAGE_SIZE, IMAGE_SIZE])
            for name, channels in (("input", 3), ("output", len(LABELS)))
        )
        graph = helper.make_graph(self._nodes, "BiSeNet", [images], [logits], list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR).SerializeToString()

    def _take(self, name: str, *shape: int) -> np.ndarray:
        """A tensor, float64; where there is none that fits, a note of that, and zeros to go on with."""
        found = self.tensors.pop(name, None)
        if found is None:
            self.troubles.append(f"{name} is missing")
        elif found.shape != shape or found.dtype.kind != "f":
            self.troubles.append(f"{name} is {found.dtype} {found.shape}, expected float {shape}")
        elif not np.isfinite(found).all():
            self.troubles.append(f"{name} has numbers that are not finite")
        else:
            return found.astype(np.float64)
        return np.zeros(shape)


def _network(g: Graph) -> None:
    x_8, x_16, x_32 = _resnet(g)
    # context path: what is seen everywhere, and 32, 16 and 8 pixels at a time
    everywhere = g.block(g.add("GlobalAveragePool", x_32), "cp.conv_avg", (128, 512, 1))
    context_16 = _refined(g, x_32, 512, everywhere, 32)
    context_8 = _refined(g, x_16, 256, context_16, 16)
    # feature fusion
    both_8 = g.block(g.add("Concat", x_8, context_8, axis=1), "ffm.convblk", (256, 256, 1))
    squeezed = g.add("Relu", g.conv(g.add("GlobalAveragePool", both_8), "ffm.conv1", (64, 256, 1)))
    weight = g.add("Sigmoid", g.conv(squeezed, "ffm.conv2", (256, 64, 1)))
    fused_8 = g.add("Add", both_8, g.add("Mul", both_8, weight))
    # head
    logits_8 = g.conv(g.block(fused_8, "conv_out.conv", (256, 256, 3)), "conv_out.conv_out", (len(LABELS), 256, 1))
    g.larger(logits_8, 8, mode="linear", coordinate_transformation_mode="align_corners", output="output")


def _resnet(g: Graph) -> list[str]:
    """What its last three layers give, of 128, 256 and 512 channels."""
    x = g.add("Relu", g.conv("input", "cp.resnet.conv1", (64, 3, 7), "cp.resnet.bn1", stride=2))
    x = g.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    layers, before = [], 64
    for layer, width in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            x = _residual(g, x, f"cp.resnet.layer{layer}.{block}", before, width)
            before = width
        layers.append(x)
    return layers[1:]


def _residual(g: Graph, x: str, name: str, before: int, width: int) -> str:
    """ResNet's basic block: twice the channels on half the rows and columns, or as many on as many."""
    stride = width // before
    y = g.add("Relu", g.conv(x, f"{name}.conv1", (width, before, 3), f"{name}.bn1", stride))
    y = g.conv(y, f"{name}.conv2", (width, width, 3), f"{name}.bn2")
    if stride > 1:
        x = g.conv(x, f"{name}.downsample.0", (width, before, 1), f"{name}.downsample.1", stride)
    return g.add("Relu", g.add("Add", x, y))


def _refined(g: Graph, x: str, channels: int, coarser: str, step: int) -> str:
    """Attention refinement of x at `step` pixels, with what was seen coarser, at twice the rows and columns."""
    arm = f"cp.arm{step}"
    x = g.block(x, f"{arm}.conv", (128, channels, 3))
    seen = g.conv(g.add("GlobalAveragePool", x), f"{arm}.conv_atten", (128, 128, 1), f"{arm}.bn_atten")
    x = g.add("Add", g.add("Mul", x, g.add("Sigmoid", seen)), coarser)
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return g.block(g.larger(x, 2, **nearest), f"cp.conv_head{step}", (128, 128, 3))
