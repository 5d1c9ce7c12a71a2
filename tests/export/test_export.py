"""What leaves: arrays with a reader that needs nothing of ours, and .ply as viewers read them."""

import importlib.util

import numpy as np
import pytest

from avatarmake.avatar import pixels, ply, tracked
from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import Avatar, view_of
from avatarmake.avatar.rasteriser import rasterise
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit
from stages.export import STAGE, expressions
from stages.export.__main__ import run
from tests.avatar import subject as small
from tests.rounding import rounding


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Subject:
    subject = Subject(tmp_path_factory.mktemp("data"), "roman")
    small.trained(subject.root)
    words = ["roman", f"--data={subject.data}", "--sequence=3"]
    assert command(STAGE, run, words) == Exit.OK
    return subject


@pytest.fixture(scope="module")
def reader(exported):
    """The reader that lies beside the arrays, as a user would take it."""
    path = exported.directory("export") / "read_avatar.py"
    spec = importlib.util.spec_from_file_location("read_avatar", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.numbers
def test_the_reader_poses_it_as_we_do(exported, reader):
    avatar = Avatar.read(exported)
    own = tracked.of_dataset(exported.directory("dataset"), "roman")
    rng = np.random.default_rng(0)
    everything = Parameters(*(rng.normal(size=n).astype(np.float32) * 0.3 for n in (100, 3, 6, 2)))
    with np.load(exported.directory("export") / "avatar.npz") as a:
        for p, view in ((own.parameters(5), view_of(own.R[5])), (everything, np.array([0.1, -0.4, 0.2], np.float32))):
            theirs, ours = reader.gaussians(a, *p, view), avatar.gaussians(p, view)
            for x, y in zip(theirs, ours, strict=True):
                # sums of 114 and 102, 48 terms, of numbers about 1; a triangle's frame divides by edges of 1 mm
                np.testing.assert_allclose(x, y, atol=rounding(114 * 48) * max(np.abs(y).max(), 1))


def test_the_reader_is_short_and_of_numpy_alone(exported):
    text = (exported.directory("export") / "read_avatar.py").read_text()
    assert [line for line in text.splitlines() if "import" in line] == ["import numpy as np"]
    assert len(text.splitlines()) <= 60


def test_ply_is_upright_where_y_goes_down(exported):
    avatar = Avatar.read(exported)
    means, axes, opacities, colours = avatar.gaussians(Parameters.neutral())
    columns = ply.read(exported.directory("export") / "neutral.ply")
    assert list(columns) == ply.FIELDS
    assert np.allclose(columns["x"], means[:, 0]) and np.allclose(columns["y"], -means[:, 1])
    assert np.allclose(columns["z"], -means[:, 2])
    w, x, y, z = (columns[f"rot_{k}"].astype(np.float64) for k in range(4))
    first = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], 1)
    scale = np.exp(columns["scale_0"])[:, None]
    assert np.allclose(first * scale, axes[:, :, 0] * [1, -1, -1], atol=1e-6)
    assert np.allclose(1 / (1 + np.exp(-columns["opacity"])), opacities, atol=1e-5)
    assert np.allclose(columns["f_dc_0"] * 0.28209479 + 0.5, colours[:, 0], atol=1e-5)


def as_viewers_read(path) -> dict[str, np.ndarray]:
    """By the names of its properties alone, as gsplat's load_ply_to_splats, SuperSplat and Blender's add-on do."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = [line.split() for line in header.decode("ascii").splitlines()]
    assert lines[0] == ["ply"] and ["format", "binary_little_endian", "1.0"] in lines
    kinds = {"float": "<f4", "double": "<f8", "uchar": "u1"}
    row = np.dtype([(words[2], kinds[words[1]]) for words in lines if words[0] == "property"])
    vertex = np.frombuffer(body, row)
    assert ["element", "vertex", str(len(vertex))] in lines
    columns = {"means": "x y z", "sh0": "f_dc_0 f_dc_1 f_dc_2", "scales": "scale_0 scale_1 scale_2",
               "quats": "rot_0 rot_1 rot_2 rot_3"}  # fmt: skip
    found = {name: np.stack([vertex[n] for n in names.split()], 1) for name, names in columns.items()}
    return found | {"opacities": vertex["opacity"]}


def test_what_viewers_read_is_the_same_picture(exported):
    """Of the sequence's first frame, by what 3DGS means by each number: log scales, quaternions with w first, opacity
    before the sigmoid, colour = 0.5 + SH0 f_dc. Any of them in another order gives another picture."""
    avatar = Avatar.read(exported)
    own = tracked.of_dataset(exported.directory("dataset"), "roman")
    read = as_viewers_read(exported.directory("export") / "sequence" / "00001.ply")
    w, x, y, z = read["quats"].T.astype(np.float64)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z)]
    rows += [1 - 2 * (x * x + z * z), 2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x)]
    turn = np.stack([*rows, 1 - 2 * (x * x + y * y)], 1).reshape(-1, 3, 3)
    gaussians = (
        read["means"],
        turn * np.exp(read["scales"])[:, None],
        1 / (1 + np.exp(-read["opacities"])),
        0.5 + 0.28209479177387814 * read["sh0"],
    )
    from_the_front = own.R[0] @ np.diag([1, -1, -1])  # whose world has y down
    camera = (from_the_front, own.t[0], avatar.camera(96))
    parts = [np.ascontiguousarray(a, np.float32) for a in (*gaussians, *camera[:2])]
    theirs = pixels.opaque(rasterise(*parts, camera[2]).image)
    ours = avatar.draw(own.parameters(0), own.R[0], own.t[0], camera[2], body=avatar.body(own).of(0))
    assert ours.min() < 100  # there is something to see
    assert np.abs(theirs.astype(int) - ours).max() <= 2  # rounding, and what it makes of the cut at 1/255


def test_expressions_and_a_sequence(exported):
    place = exported.directory("export")
    assert {p.stem for p in place.glob("*.ply")} == {"neutral", "smile", "jaw_open", "blink"}
    assert sorted(p.name for p in (place / "sequence").iterdir()) == ["00001.ply", "00002.ply", "00003.ply"]
    y = [ply.read(place / f"{name}.ply")["y"] for name in ("neutral", "jaw_open")]
    assert (y[1] - y[0]).max() > 0.005  # the chin goes down, and that is up here


def test_names(exported, capsys):
    assert set(expressions.chosen("all", "open")) > {"neutral", "wink_left", "brow_knit"}
    words = ["roman", f"--data={exported.data}", "--expressions=smile,grin"]
    assert command(STAGE, run, words) == Exit.USAGE
    assert "no expression 'grin'" in capsys.readouterr().err
    with pytest.raises(Exception, match="no expression 'smile'"):
        expressions.chosen("smile", "flame")
