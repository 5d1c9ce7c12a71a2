"""PyTorch's weights are read without PyTorch, in both of its formats, and nothing that the file names is run."""

import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from avatarmake.errors import Exit, StageError
from stages.mask import torch_file

FILE = "79999_iter.pth"
FORMATS = ("pickles", "zip")


@pytest.fixture(scope="module", autouse=True)
def _torch():
    """By the first test that runs and not when tests are collected: it takes as long as all the rest."""
    global torch
    import torch


def saved(path: Path, value, format: str) -> Path:
    import torch

    torch.save(value, path, _use_new_zipfile_serialization=format == "zip")
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_tensors_of_every_kind(tmp_path, format):
    base = torch.arange(24, dtype=torch.float64).reshape(2, 3, 4)
    weights = torch.nn.Linear(2, 3).state_dict()  # an OrderedDict with an attribute, `_metadata`
    weights |= {
        "whole": base,
        "a part of the same numbers": base[1, 1:],
        "other order": base.permute(2, 0, 1),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        **{str(kind): torch.tensor([[1, 2]], dtype=kind) for kind in (torch.float16, torch.float32, torch.int32)},
    }
    read = torch_file.read(saved(tmp_path / FILE, weights, format))
    for name, tensor in weights.items():
        assert read[name].dtype == tensor.numpy().dtype and np.array_equal(read[name], tensor.numpy()), name


@pytest.mark.parametrize("format", FORMATS)
def test_bfloat16_is_read(tmp_path, format):
    """It is the upper half of a float32."""
    values = torch.linspace(-3, 1e6, 24).to(torch.bfloat16).reshape(4, 6)
    read = torch_file.read(saved(tmp_path / FILE, {"w": values.T, "b": values[1], "f": torch.ones(2)}, format))
    assert np.array_equal(read["w"], values.T.float().numpy()) and np.array_equal(read["b"], values[1].float().numpy())
    assert read["f"].tolist() == [1, 1]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", [torch.complex64, torch.float8_e4m3fn, torch.uint16])
def test_other_kinds_of_numbers_are_named_and_accused_of_nothing(tmp_path, format, kind):
    path = saved(tmp_path / FILE, {"w": torch.ones(3).to(kind)}, format)
    with pytest.raises(StageError, match="holds a kind of numbers that is not read here: torch") as e:
        torch_file.read(path)
    assert "as float32" in e.value.next and "code" not in str(e.value) and "run" not in e.value.what


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (lambda mark: Calls(os.system, f"touch {mark}"), "posix.system"),
        (lambda mark: Calls(exec, f"open({str(mark)!r}, 'w').close()"), "exec"),
        (lambda mark: torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (lambda mark: [{"x": (Calls(getattr, {}, "keys"),)}], "getattr"),
    ],
)
def test_a_malicious_pickle_is_named_and_not_run(tmp_path, format, evil, named):
    mark = tmp_path / "ran"
    path = saved(tmp_path / FILE, {"cp.resnet.conv1.weight": torch.zeros(3), "x": evil(mark)}, format)
    with pytest.raises(StageError, match="nothing of it was run") as e:
        torch_file.read(path)
    assert named in str(e.value) and e.value.where == str(path) and not mark.exists()


def pickles(dictionary: bytes, keys: object = (), storages: bytes = b"") -> bytes:
    """The old format around the dict's pickle."""
    start = [torch_file.MAGIC, *(pickle.dumps(x, 2) for x in (torch_file.PROTOCOL, {"little_endian": True}))]
    return b"".join([*start, dictionary, pickle.dumps(keys, 2), storages])


def storage(count: int) -> bytes:
    return b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuI%d\nNtQ" % count


def tensor(count: int, offset: int, size: int, stride: int) -> bytes:
    """The pickle of {"x": a tensor of one axis}."""
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(%sI%d\n(I%d\nt(I%d\nttR"
    return b"\x80\x02}X\x01\x00\x00\x00x" + rebuild % (storage(count), offset, size, stride) + b"s."


FOUR = struct.pack("<q4f", 4, 1, 2, 3, 4)


def test_the_old_format_by_hand(tmp_path):
    path = tmp_path / FILE
    path.write_bytes(pickles(tensor(4, 1, 2, 2), ["0"], FOUR))
    assert torch_file.read(path)["x"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not what torch.save writes"),
        (b"<!DOCTYPE html><html>quota", "it begins with b'<!DOCTYPE html><'"),
        (pickle.dumps({"x": 1}, 2), "is not what torch.save writes"),
        (pickles(b"\x80\x02]."), "it holds a list"),
        (pickles(b"\x80\x02}K\x01K\x02s."), "1 is a int, and not a tensor"),
        (pickles(b"\x80\x02}X\x05\x00\x00\x00epochK\x02s."), "epoch is a int, and not a tensor"),
        (pickles(b"\x80\x02\x82\x07."), "asks for extension 7"),
        (pickles(b"\x80\x02cavatarmake.assets\nneed\n."), "asks for avatarmake.assets.need"),
        (pickles(b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"."), "KeyError"),  # a bytearray of a terabyte
        (pickles(b"\x80\x02]" + b"]" * (1 << 21)), "EOFError"),  # two million lists
        (pickles(tensor(1, 0, 1 << 40, 0), ["0"], struct.pack("<qf", 1, 1)), "x reaches beyond its storage"),
        (pickles(tensor(4, 2, 2, 2), ["0"], FOUR), "x reaches beyond its storage"),
        (pickles(tensor(4, 2, 2, -1), ["0"], FOUR), "x reaches beyond its storage"),
        (pickles(tensor(4, 0, -1, 1), ["0"], FOUR), "x reaches beyond its storage"),
        (pickles(tensor(1 << 40, 0, 2, 1), ["0"], struct.pack("<q4f", 1 << 40, 1, 2, 3, 4)), "storage 0 breaks off"),
        (pickles(tensor(-1, 0, 2, 1), ["0"], FOUR), "a storage has no count"),
        (pickles(tensor(3, 0, 2, 1), ["0"], FOUR), "storage 0 has not the 3 numbers"),
        (pickles(tensor(4, 0, 2, 1), [], FOUR), "KeyError"),
        (pickles(tensor(4, 0, 2, 1), ["0"], FOUR[:-1]), "storage 0 breaks off"),
    ],
)  # fmt: skip
def test_torn_foreign_and_greedy_files(tmp_path, content, words):
    path = tmp_path / FILE
    path.write_bytes(content)
    with pytest.raises(StageError) as e:
        torch_file.read(path)
    assert words in str(e.value) and e.value.where == str(path) and e.value.exit == Exit.MISSING_ASSET
    assert e.value.next.endswith("Remove it, then type: make assets GET=bisenet_torch")


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_breaks_off_anywhere(tmp_path, format):
    whole = saved(tmp_path / "whole.pth", {f"w{i}": torch.full((50,), float(i)) for i in range(3)}, format).read_bytes()
    path = tmp_path / FILE
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StageError, match="is no whole state dict|is not what torch.save writes|truncated"):
            torch_file.read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data/0": bytes(12)}, "reaches outside its storage"),
        ({"data/0": None}, "KeyError.*data/0"),
        ({"data.pkl": None}, "holds no data.pkl"),
        ({"data.pkl": tensor(4, 0, 1 << 40, 0).replace(b"NtQ", b"tQ")}, "a tensor of 1099511627776 numbers"),
        ({"data/1": bytes(1 << 20)}, "compressed records"),  # to a thousandth
        ({"byteorder": b"big"}, "big-endian"),
    ],
)
def test_zips_that_are_something_else(tmp_path, change, words):
    records = {"data.pkl": tensor(4, 1, 2, 2).replace(b"NtQ", b"tQ"), "byteorder": b"little", "data/0": FOUR[8:]}
    path = tmp_path / FILE

    def write(records):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in records.items():
                archive.writestr(
                    f"archive/{name}", content, zipfile.ZIP_DEFLATED if len(content) > 999 else zipfile.ZIP_STORED
                )

    write(records)
    assert torch_file.read(path)["x"].tolist() == [2, 4]
    write({name: content for name, content in (records | change).items() if content is not None})
    with pytest.raises(StageError, match=words):
        torch_file.read(path)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / FILE
    with path.open("wb") as f:
        f.truncate(torch_file.LARGEST + 1)
    with pytest.raises(StageError, match="bytes, 79999_iter.pth has 53 million"):
        torch_file.read(path)
