"""FLAME's pickle is read and never run: what a real one holds comes out, everything else is refused and named."""

import io
import os
import pickle
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from avatarmake.errors import Exit, StageError
from avatarmake.head_model.flame import pickles
from avatarmake.head_model.flame.model import SHAPES, read_model
from tests import flame_model

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"a": np.arange(24.0).reshape(2, 3, 4), "f": np.asfortranarray(np.arange(6, dtype=np.uint32).reshape(2, 3))}


def written(path, content, protocol=2):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


# --- what it reads -------------------------------------------------------------------------------------------------


def same_as_made(model):
    made = flame_model.arrays()
    for name, ours in (("v_template", model.v_template), ("shapedirs", model.shapedirs), ("weights", model.weights),
                       ("posedirs", model.posedirs), ("J_regressor", model.regressor), ("f", model.faces)):  # fmt: skip
        assert ours.shape == SHAPES[name] and np.array_equal(ours, made[name]), name


def test_the_stand_in_comes_out_as_it_was_made(flame_pickle):
    same_as_made(read_model(flame_pickle))


CHUMPY = """
import pickle, sys
import chumpy, numpy as np, scipy.sparse
content = dict(np.load(sys.argv[1]))
content = {k: str(v) if v.dtype.kind == "U" else v for k, v in content.items()}
for name in ("v_template", "posedirs", "weights"):
    content[name] = chumpy.array(content[name])
both = np.concatenate([content["shapedirs"], content["shapedirs"][:, :, :2]], 2)
content["shapedirs"] = chumpy.array(both)[:, :, :400]  # a Select over a Ch, as SMPL's files have it
content["J"] = chumpy.array(np.eye(5, 3)).T.T  # what nobody needs may be what it wants
content["J_regressor"] = scipy.sparse.csc_matrix(content["J_regressor"])
pickle.dump(content, open(sys.argv[2], "wb"), 2)
print(type(content["shapedirs"]).__name__, chumpy.__version__)
"""


def test_what_chumpy_itself_wrote(chumpy_python, tmp_path):
    np.savez(tmp_path / "made.npz", **flame_model.arrays())
    command = [chumpy_python, "-c", CHUMPY, tmp_path / "made.npz", tmp_path / "generic_model.pkl"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Select" in done.stdout
    same_as_made(read_model(tmp_path / "generic_model.pkl"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol(tmp_path, protocol):
    found = pickles.read(written(tmp_path / "p.pkl", SMALL, protocol))
    for name, array in SMALL.items():
        assert np.array_equal(pickles.array(found[name]), array) and pickles.array(found[name]).dtype == array.dtype


def test_what_python_2_wrote(tmp_path):
    """Its arrays' bytes are a str, in quotes at protocol 0 (FLAME_masks.pkl), behind a length at protocol 2 (FLAME)."""
    data = np.array([1.5, -2e-300, 3e200]).tobytes()
    head = b"(dS'x'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I3\ntcnumpy\ndtype\n"
    head += b"(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    quoted = "".join(f"\\x{b:02x}" for b in data).encode()
    for content in (b"S'" + quoted + b"'\n", b"T" + len(data).to_bytes(4, "little") + data):
        found = pickles.read(written(tmp_path / "p.pkl", head + content + b"tbs."))
        assert pickles.array(found["x"]).tobytes() == data


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix"])
def test_sparse_matrices_without_scipy(tmp_path, kind):
    dense = np.random.default_rng(1).normal(size=(5, 40)) * (np.random.default_rng(2).random((5, 40)) < 0.2)
    state = flame_model.columns(dense if kind == "csc_matrix" else dense.T) | {"_shape": dense.shape}
    with flame_model.named("scipy.sparse", kind) as made:
        written(tmp_path / "p.pkl", {"J": made.with_state(state)})
    assert np.array_equal(pickles.dense(pickles.read(tmp_path / "p.pkl")["J"]), dense)
    state["indices"][3] = 41
    with flame_model.named("scipy.sparse", kind) as made:
        written(tmp_path / "p.pkl", {"J": made.with_state(state)})
    with pytest.raises(ValueError, match="do not fit"):
        pickles.dense(pickles.read(tmp_path / "p.pkl")["J"])


@pytest.mark.parametrize("protocol", [0, 1, 5])
def test_flame_in_other_protocols(tmp_path, protocol, monkeypatch):
    """0 and 1 are what Python 2 wrote when it was not asked for more: objects by way of copy_reg."""
    dumps = pickle.dumps
    monkeypatch.setattr(flame_model.pickle, "dumps", lambda content, _: dumps(content, protocol))
    same_as_made(read_model(flame_model.write(tmp_path / "m.pkl")))


def test_flame_as_an_npz(tmp_path):
    """As users convert it, to do without chumpy: dense, or with scipy's matrix as an array of one object."""
    path = tmp_path / "generic_model.pkl"
    with path.open("wb") as f:
        np.savez(f, **flame_model.arrays())
    same_as_made(read_model(path))
    arrays = dict(flame_model.arrays())
    with flame_model.named("scipy.sparse", "csc_matrix") as csc:
        one = np.empty((), object)
        one[()] = csc.with_state(flame_model.columns(arrays["J_regressor"]))
        with path.open("wb") as f:
            np.savez_compressed(f, **{**arrays, "J_regressor": one})
    same_as_made(read_model(path))


def test_flame_s_zip(tmp_path):
    model = flame_model.write(tmp_path / "made.pkl")
    path = tmp_path / "generic_model.pkl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(model, "FLAME2020/generic_model.pkl")
        for other in ("FLAME2020/male_model.pkl", "Readme.txt", "__MACOSX/._generic_model.pkl"):
            archive.writestr(other, "x")
    same_as_made(read_model(path))


# --- what it refuses -----------------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def evil(mark):
    """name -> (content, what the message must name). Each would leave the file `mark` if anything of it were run."""
    touch = f"open({str(mark)!r}, 'w').close()"
    system = Calls(os.system, f"touch {mark}")
    with flame_model.named("chumpy.ch", "Ch") as ch:
        inside_chumpy = pickle.dumps({"v_template": ch.with_state({"x": system})}, 2)
    return {
        "os.system": ({"v_template": system}, "posix.system"),
        "eval": ({"f": Calls(eval, touch)}, "eval"),
        "exec": ({"f": Calls(exec, touch)}, "exec"),
        "getattr": ({"f": Calls(getattr, {}, "keys")}, "getattr"),
        "numpy, but no constructor": ({"f": Calls(np.save, str(mark), 1)}, "numpy.save"),
        "within a list within a dict": ({"f": [1, {"x": (system,)}]}, "posix.system"),
        "within chumpy's state": (inside_chumpy, "posix.system"),
        "a name with a dot": (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "ndarray.tofile"),
        "an installed package": (b"\x80\x02csubprocess\nPopen\n.", "subprocess.Popen"),
        "something of ours": (b"\x80\x02cavatarmake.assets\nneed\n.", "avatarmake.assets.need"),
        "an object outside": (b"\x80\x02}U\x01fPx\n.", "outside"),
        "an extension": (b"\x80\x02\x82\x07.", "extension"),
    }


@pytest.mark.parametrize("name", evil("x"))
def test_malicious_pickles_are_named_and_not_run(tmp_path, name):
    mark = tmp_path / "ran"
    content, named = evil(mark)[name]
    path = written(tmp_path / "generic_model.pkl", content)
    with pytest.raises(StageError, match="nothing of it was run") as e:
        pickles.read(path)
    assert e.value.exit == Exit.BAD_INPUT and str(path) == e.value.where
    assert named in str(e.value) and not mark.exists()


@pytest.mark.parametrize(
    "name", ["numpy.core.multiarray _reconstruct", "numpy ndarray", "__builtin__ object", "chumpy.ch Ch"]
)
def test_allowed_names_are_notes_not_the_real_thing(tmp_path, name):
    path = written(tmp_path / "p.pkl", b"\x80\x02}U\x01xc" + name.replace(" ", "\n").encode() + b"\ns.")
    found = pickles.read(path)["x"]
    assert issubclass(found, pickles.Note) and found.name == name


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "generic_model.pkl"
    with path.open("wb") as f:
        f.truncate(pickles.LARGEST + 1)
    with pytest.raises(StageError, match="bytes, which no file of FLAME has"):
        pickles.read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r\xff\xff\xff\xff.",  # the C reader makes room for 2^32 remembered objects
        b"\x80\x04}\x8e" + (1 << 60).to_bytes(8, "little") + b"abc",  # bytes that are not there
        b"\x80\x02}",
        b"",
        b"\x93NUMPY" + bytes(100),
        pickle.dumps(SMALL, 2)[:-40],
    ],
)  # fmt: skip
def test_torn_and_greedy_files(tmp_path, content):
    path = written(tmp_path / "p.pkl", content)
    try:
        assert pickles.read(path) == {}
    except StageError as e:
        assert "cannot be read as a pickle" in str(e) and e.exit == Exit.BAD_INPUT


def test_zips_that_hold_something_else(tmp_path):
    path = tmp_path / "m.pkl"

    def said(members: dict) -> str:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(StageError) as e:
            read_model(path)
        return str(e.value)

    assert "is a zip of no pickle, but Readme.txt" in said({"Readme.txt": "x"})
    assert "is a zip of 2 pickles: a.pkl, b.pkl" in said({"a.pkl": "x", "b.pkl": "x"})
    assert "nothing of it was run" in said({"a.pkl": pickle.dumps(Calls(os.system, "true"))})
    objects = io.BytesIO()
    np.save(objects, np.array(Calls(os.system, "true"), object), allow_pickle=True)
    assert "nothing of it was run" in said({"J_regressor.npy": objects.getvalue()})
    assert "its f.npy is no .npy array" in said({"f.npy": b"x"})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(StageError, match="is a zip .* that cannot be read"):
        read_model(path)


def test_what_was_copied_as_text_and_other_sparse_matrices_are_named(tmp_path):
    content = b"(dp0\nVf\np1\n(lp2\nI1\naI2\nas.".replace(b"\n", b"\r\n")[:-3]
    with pytest.raises(StageError, match="was copied as a text"):
        pickles.read(written(tmp_path / "p.pkl", content))
    with flame_model.named("scipy.sparse.coo", "coo_matrix") as made:
        written(tmp_path / "p.pkl", {"J": made.with_state({"_shape": (2, 2)})})
    with pytest.raises(ValueError, match="coo_matrix; of sparse matrices, csc and csr are read"):
        pickles.dense(pickles.read(tmp_path / "p.pkl")["J"])


def test_an_array_must_have_the_bytes_that_its_shape_asks_for(tmp_path):
    greedy = pickle.dumps(SMALL["a"], 2).replace(b"K\x02K\x03K\x04", b"K\xffK\xffK\xff")
    path = written(tmp_path / "p.pkl", b"\x80\x02}U\x01x" + greedy[2:-1] + b"s.")
    with pytest.raises(ValueError, match="255 x 255 x 255 numbers and has 192 bytes"):
        pickles.array(pickles.read(path)["x"])
    objects = np.array([{}, []], object)
    with pytest.raises(ValueError, match="something else than numbers"):
        pickles.array(pickles.read(written(path, {"x": objects}))["x"])


# --- FLAME's own sizes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, said",
    [
        ({"v_template": np.zeros((10475, 3))}, "v_template is 10475 x 3, expected 5023 x 3"),
        ({"shapedirs": np.zeros((5023, 3, 150))}, "shapedirs is 5023 x 3 x 150, expected 5023 x 3 x 400"),
        ({"J_regressor": np.zeros((5, 100))}, "J_regressor is 5 x 100, expected 5 x 5023"),
        ({"f": np.full((9976, 3), 5023)}, "f names vertices 5023 to 5023 of 5023"),
        ({"kintree_table": np.zeros((2, 5), int)}, "parents"),
        ({"posedirs": "none"}, "posedirs is a str"),
        ({"weights": np.full((5023, 5), 0.3)}, "weights do not sum to 1"),
        ({"v_template": np.full((5023, 3), np.nan)}, "v_template holds numbers that are not finite"),
        ({"weights": None}, "has no weights, it holds: v_template"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(tmp_path, change, said):
    content = {**flame_model.arrays(), "shapedirs": np.zeros((5023, 3, 400)), **change}
    path = flame_model.write(tmp_path / "m.pkl", {k: v for k, v in content.items() if v is not None})
    with pytest.raises(StageError) as e:
        read_model(path)
    assert said in str(e.value) and e.value.exit == Exit.BAD_INPUT and e.value.where == str(path)
