"""HEAD_MODEL=flame, on the stand-in of its format and sizes: what FLAME lacks is computed, or of public files."""

import pickle

import numpy as np
import pytest

from avatarmake import assets, head_model
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.head_model import flame
from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.flame import eyes, public, surface
from avatarmake.head_model.model import JAW, LEFT_EYE, REGIONS, RIGHT_EYE
from stages.track.points import FACE_OVAL
from tests import flame_model
from tests.rounding import rounding

MM = 1e-3
COMPUTED = "computed from the model's geometry"


def loaded():
    return head_model.load("flame")


def marks_of(model, **pose):
    return model.landmarks(model.vertices(np.zeros(300), **pose))[0]


def true_marks():
    ours = head_model.load("open")
    return marks_of(ours) + flame_model.ORIGIN


# --- FLAME's own ---------------------------------------------------------------------------------------------------


def test_flames_arrays_are_where_they_belong(user):
    model, made = loaded(), flame_model.arrays()
    assert model.name == "flame" and model.v_template.shape == (5023, 3)
    np.testing.assert_array_equal(model.shapedirs, made["shapedirs"][..., :300].astype(np.float32))
    np.testing.assert_array_equal(model.exprdirs, made["shapedirs"][..., 300:].astype(np.float32))
    np.testing.assert_array_equal(model.faces[:9976], made["f"])
    v, c, k = 300, 2, 13  # as FLAME's own code lays them out: (V,3,36) -> (36, V 3)
    assert model.posedirs[k, v, c] == np.float32(made["posedirs"][v, c, k])
    shape = np.random.default_rng(1).normal(size=300)
    expected = made["J_regressor"] @ (made["v_template"] + made["shapedirs"][..., :300] @ shape)
    np.testing.assert_allclose(model.joints(shape), expected, atol=0.2 * rounding(300))
    assert model.parents.tolist() == [-1, 0, 1, 1, 1]


def test_pose_directions_move_the_skin(user):
    model = loaded()
    still = model.__class__(**{**model.__dict__, "posedirs": np.zeros_like(model.posedirs)})
    pose = {"jaw_pose": np.array([[0.3, 0, 0]])}
    apart = np.linalg.norm(model.vertices(np.zeros(300), **pose) - still.vertices(np.zeros(300), **pose), axis=-1)
    assert apart.max() > 0.5 * MM and apart[0, flame_model.SKIN :].max() < 0.2 * rounding(100)


# --- what is computed ----------------------------------------------------------------------------------------------


def test_landmarks_are_found_by_geometry_alone(user):
    model = loaded()
    assert model.sources["landmarks"] == COMPUTED
    assert model.landmark_ids.tolist() == list(range(478))
    off = np.linalg.norm(marks_of(model) - true_marks(), axis=1)
    inner = ~np.isin(np.arange(478), FACE_OVAL)
    assert np.median(off) < 1 * MM and off[inner].max() < 4 * MM
    assert off[list(names.RIGHT_EYE.iris + names.LEFT_EYE.iris)].max() < 0.2 * MM
    assert model.landmark_weights.min() > -rounding(1)
    assert np.allclose(model.landmark_weights.sum(1), 1, atol=rounding(3))


def test_upper_and_lower_lips_part_when_the_jaw_opens(user):
    model = loaded()
    moved = marks_of(model, jaw_pose=np.array([[0.25, 0, 0]])) - marks_of(model)
    upper, lower = list(names.LIPS_INNER_UPPER[2:-2]), list(names.LIPS_INNER_LOWER[2:-2])
    assert np.abs(moved[upper]).max() < 2 * MM and moved[lower, 1].max() < -6 * MM


@pytest.mark.parametrize("which", [0, 1])
def test_lids_close_over_the_eyeball_and_one_by_one(user, which):
    model = loaded()
    ball = model.weights[:, (LEFT_EYE, RIGHT_EYE)[which]] > 0.5
    closed = np.eye(2)[which][None]

    def opening(lids):
        v = model.vertices(np.zeros(300), eyelids=lids)[0].astype(float)
        found = eyes.eye(v, model.faces[:9976].astype(int), ball)
        return 0 if found is None else (found.upper - found.lower).max()

    assert opening(0 * closed) > 6 * MM
    assert opening(0.5 * closed) == pytest.approx(opening(0 * closed) / 2, rel=0.3)
    assert opening(closed) < 1 * MM
    assert opening(closed[:, ::-1]) == pytest.approx(opening(0 * closed), abs=1e-5)
    moved = np.linalg.norm(model.eyeliddirs[which], axis=1) > 0.3 * MM
    ends = (model.v_template + model.eyeliddirs[which])[moved] - model.joint_template[(LEFT_EYE, RIGHT_EYE)[which]]
    assert np.linalg.norm(ends, axis=1).min() > 0.0125
    assert not model.eyeliddirs[which, flame_model.SKIN :].any()


def test_every_face_has_a_region(user):
    model, ours = loaded(), head_model.load("open")
    assert set(model.regions) == set(REGIONS)
    assert (sum(m.astype(int) for m in model.regions.values()) == 1).all()
    for k, name in enumerate(("left_eyeball", "right_eyeball")):
        first = flame_model.SKIN + k * flame_model.BALL
        assert model.vertex_region(name).nonzero()[0].tolist() == list(range(first, first + flame_model.BALL))
    for name in ("face", "scalp", "neck", "lips"):  # the stand-in's skin is ours
        assert model.regions[name].sum() == pytest.approx(ours.regions[name].sum(), rel=0.12), name
    assert not model.regions["shoulders"].any()


def test_the_hole_behind_the_lips_is_covered(user):
    """Else an open mouth shows nothing that Gaussians could sit on."""
    model = loaded()
    skin = (model.faces < flame_model.SKIN).all(1)
    assert [len(loop) for loop in surface.boundary_loops(model.faces[:9976][skin[:9976]])] == [32, 30]
    assert len(surface.boundary_loops(model.faces[skin])) == 1 and len(model.faces) == 9976 + 30
    assert model.regions["mouth"][9976:].all()
    edges = np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # neighbours agree on the outside
    assert model.weights[np.unique(model.faces[9976:]), JAW].max() > 0.9


def test_texture_coordinates_have_room(user):
    uv = loaded().uv
    assert uv.min() >= 0 and uv.max() <= 1
    a, b, c = uv.transpose(1, 0, 2)
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    assert (area[:7000] > 1e-9).mean() > 0.99


# --- public files --------------------------------------------------------------------------------------------------

GIVEN = np.array([*names.LIPS_OUTER, *names.RIGHT_EYE.brow])


def on_corners(count):
    return np.roll(np.eye(3), 1, 0)[np.arange(count) % 3]


@pytest.fixture
def everything(user, tmp_path):
    """A user who has all public files about FLAME, here made of what is computed. -> what was computed."""
    before = loaded()
    faces = {tuple(f): k for k, f in enumerate(before.faces.tolist())}
    index = [faces[tuple(t)] for t in before.landmark_vertices[GIVEN].tolist()]
    np.savez(tmp_path / "e.npz", landmark_indices=GIVEN, lmk_face_idx=np.array(index, np.uint32),
             lmk_b_coords=on_corners(len(GIVEN)))  # fmt: skip
    for name, lid in zip("rl", before.eyeliddirs, strict=True):  # the wrong way round
        np.save(tmp_path / f"{name}.npy", 0.5 * lid)
    masks = {"scalp": "scalp", "neck": "neck", "boundary": "neck", "left_ear": "ears", "right_ear": "ears",
             "lips": "lips", "left_eyeball": "left_eyeball", "right_eyeball": "right_eyeball"}  # fmt: skip
    masks = {name: np.flatnonzero(before.vertex_region(region)) for name, region in masks.items()}
    (tmp_path / "masks.pkl").write_bytes(pickle.dumps(masks | {"nose": np.arange(9)}, 0))
    corners = [f"f {a}/1 {b}/2 {c}/3" for a, b, c in before.faces[:9976] + 1]
    (tmp_path / "t.obj").write_text("\n".join(["# ours", "vt 0 0", "vt 1 0.25", "vt 0.5 1", *corners]))
    user("flame_left_eyelid", tmp_path / "l.npy")
    assert loaded().sources["eyelids"] == COMPUTED  # one alone is none
    user("flame_right_eyelid", tmp_path / "r.npy")
    user("mediapipe_landmark_embedding", tmp_path / "e.npz")
    user("flame_masks", tmp_path / "masks.pkl")
    user("head_template", tmp_path / "t.obj")
    return before


def test_public_files_are_taken_where_they_are(everything):
    model = loaded()
    np.testing.assert_array_equal(model.landmark_weights[GIVEN], on_corners(len(GIVEN)))
    assert len(model.landmark_ids) == 478  # the rest is computed
    half = 0.5 * everything.eyeliddirs  # the subject's left first; they are kept to whole micrometres
    np.testing.assert_allclose(model.eyeliddirs, half, atol=0.5e-6 + 0.2 * rounding(3))
    assert (sum(m.astype(int) for m in model.regions.values()) == 1).all()
    for name in ("scalp", "neck", "lips"):
        before = everything.regions[name]
        assert (model.regions[name] & before).sum() > 0.8 * before.sum(), name
    assert model.uv[5].tolist() == [[0, 1], [1, 0.75], [0.5, 0]]  # v counts down with us
    assert [model.sources[what].split(".")[-1][:3] for what in ("model", "eyelids", "regions", "uv")] == [
        *("pkl", "npy", "pkl", "obj")
    ]
    assert model.sources["landmarks"].startswith("mediapipe_landmark_embedding.npz")
    assert model.digest != everything.digest


def test_bad_public_files_say_what_is_wrong(user, tmp_path):
    cases = {
        "head_template": ("\n".join(["v 0 0 0"] * 3), "has no texture coordinates"),
        "mediapipe_landmark_embedding": ("nothing", "cannot be read"),
        "flame_masks": ("cos\nsystem\n.", "os.system"),
    }
    for name, (text, said) in cases.items():
        (tmp_path / "bad").write_text(text)
        place = user(name, tmp_path / "bad")
        with pytest.raises(StageError, match=said) as e:
            loaded()
        assert e.value.exit == Exit.BAD_INPUT and e.value.where == str(place)
        place.unlink()
    np.save(tmp_path / "lid.npy", np.zeros((10475, 3)))
    with pytest.raises(StageError, match=r"\(10475, 3\), expected floats \(5023, 3\)"):
        public.eyelids((tmp_path / "lid.npy",) * 2, np.zeros((5023, 3)))


# --- kept, found, missing ------------------------------------------------------------------------------------------


def test_the_conversion_is_kept_and_a_torn_one_made_again(user, flame_cache, monkeypatch):
    first = loaded()
    path = assets.find("flame2020")
    kept = flame._kept(path.name, digest_path(path), {})
    assert kept.exists() and kept.parent == flame_cache
    made = []
    monkeypatch.setattr(flame, "read_model", lambda path: None)
    monkeypatch.setattr(flame, "assembled", lambda *a: made.append(a) or first)
    flame._load.cache_clear()
    again = loaded()
    assert again.digest == first.digest and again.sources == first.sources and not made
    kept.write_bytes(kept.read_bytes()[:-1000])
    flame._load.cache_clear()
    assert loaded().digest == first.digest and len(made) == 1
    flame._load.cache_clear()
    assert loaded().digest == first.digest and len(made) == 1
    assert not list(flame_cache.glob(".*"))


def test_without_a_cache_it_is_made_in_memory(user, monkeypatch):
    monkeypatch.delenv("AVATARMAKE_CACHE")
    made = []
    monkeypatch.setattr(flame, "assembled", lambda *a: made.append(a) or "head")
    monkeypatch.setattr(flame, "read_model", lambda path: path)
    flame._load.cache_clear()
    assert loaded() == loaded() == "head" and len(made) == 1
    flame._load.cache_clear()


def test_flame_2023_stands_in_for_2020_and_other_bytes_are_another_model(user, flame_pickle, tmp_path, monkeypatch):
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "other"))
    with pytest.raises(StageError, match="licence: FLAME") as e:
        loaded()
    assert e.value.exit == Exit.MISSING_ASSET and "make assets" in e.value.next
    made = []
    monkeypatch.delenv("AVATARMAKE_CACHE")
    monkeypatch.setattr(flame, "assembled", lambda model, public, name: made.append((name, model.v_template[0])))
    user("flame2023", flame_pickle)
    loaded()
    content = {**flame_model.arrays(), "v_template": flame_model.arrays()["v_template"] + 1e-5}
    user("flame2020", flame_model.write(tmp_path / "m.pkl", content))
    loaded()
    assert [name for name, _ in made] == ["flame2023.pkl", "generic_model.pkl"] and made[0][1][0] != made[1][1][0]
    flame._load.cache_clear()
