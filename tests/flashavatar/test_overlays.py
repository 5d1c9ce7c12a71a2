"""The modules of ours that stand in the patched copy, by themselves: no checkout is needed."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from avatarmake import ROOT, assets
from avatarmake.errors import Exit, StageError
from avatarmake.geometry import rotations
from stages.train import reference
from stages.train.rasteriser import Camera
from tests import flame_model
from tests.flashavatar import small_sources

OVERLAY = ROOT / "patches" / "FlashAvatar" / "overlay"
FLOAT32 = 1e-6  # a few roundings of numbers about 1


@pytest.fixture
def overlay(monkeypatch, tmp_path):
    """overlay("uv_mesh") -> the module; upstream's own that one of them imports is a small one of ours."""
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "sh_utils.py").write_text(small_sources.HARMONICS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(OVERLAY)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module


# --- rotations, neighbours -------------------------------------------------------------------------------------------


def test_rows_are_the_project_s_own(overlay):
    module = overlay("rotations_6d")
    turns = rotations.matrix_from_axis_angle(np.random.default_rng(0).normal(size=(50, 3)))
    rows = module.matrix_to_rotation_6d(torch.from_numpy(turns))
    np.testing.assert_allclose(rows, rotations.rot6d_from_matrix(turns), atol=FLOAT32)
    np.testing.assert_allclose(module.rotation_6d_to_matrix(rows), turns, atol=FLOAT32)


def test_rows_of_any_length_and_angle_make_a_rotation(overlay):
    """Gram-Schmidt: the first row keeps its direction, the second its side of it."""
    rows = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 6)))
    found = overlay("rotations_6d").rotation_6d_to_matrix(rows).numpy()
    np.testing.assert_allclose(found @ found.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(found), 1, atol=1e-12)
    first, second = rows.numpy()[:, :3], rows.numpy()[:, 3:]
    np.testing.assert_allclose(np.cross(first, found[:, 0]), 0, atol=1e-12)
    assert ((found[:, 1] * second).sum(1) > 0).all()


def test_neighbours_are_the_three_nearest(overlay):
    points = np.random.default_rng(2).normal(size=(1500, 3)).astype(np.float32)  # more than are looked at at once
    found = overlay("neighbours").distCUDA2(torch.from_numpy(points))
    apart = ((points[:, None].astype(np.float64) - points[None]) ** 2).sum(-1)
    np.testing.assert_allclose(found, np.sort(apart, 1)[:, 1:4].mean(1), rtol=1e-5)


# --- the mesh --------------------------------------------------------------------------------------------------------


def test_uv_raster_covers_each_pixel_of_a_triangle_once(overlay):
    """Two triangles of a square, a third behind them: who is nearest, where in it, and where nobody is."""
    module, size = overlay("uv_mesh"), 16
    square = [[-0.5, -0.75, 1], [0.75, -0.75, 1], [0.75, 0.5, 1], [-0.5, 0.5, 1]]
    behind = [[-2.0, -2, 2], [2, -2, 2], [0, 3, 2]]
    vertices = torch.tensor([square + behind])
    faces = torch.tensor([[[0, 1, 2], [0, 2, 3], [4, 5, 6]]])
    mesh = module.Meshes(verts=vertices, faces=faces)
    triangle, depth, weights, _ = module.rasterize_meshes(mesh, size, blur_radius=0.0)
    step = (2 * np.arange(size) + 1) / size - 1
    x, y = np.meshgrid(-step, -step)  # x grows to the left, y upwards
    inside = (x > -0.5) & (x < 0.75) & (y > -0.75) & (y < 0.5)
    upper = (y + 0.75) > (x + 0.5)
    on_diagonal = np.isclose(y + 0.75, x + 0.5)
    found = triangle[0, :, :, 0].numpy()
    assert (found[inside & ~on_diagonal] == upper[inside & ~on_diagonal]).all()
    assert set(found[~inside].tolist()) == {2, -1}
    np.testing.assert_allclose(depth[0, :, :, 0].numpy()[inside & ~on_diagonal], 1, atol=FLOAT32)
    assert (depth[0, :, :, 0].numpy()[found == -1] == -1).all()
    corners = vertices[0].numpy()[faces[0].numpy()[found]]  # (S,S,3,3)
    placed = (weights[0, :, :, 0].numpy()[..., None] * corners).sum(2)
    seen = found >= 0
    np.testing.assert_allclose(placed[seen][:, :2], np.stack([x, y], -1)[seen], atol=1e-5)


def test_a_triangle_without_area_covers_nothing(overlay):
    module = overlay("uv_mesh")
    line = module.Meshes(torch.tensor([[[-1.0, -1, 1], [0, 0, 1], [1, 1, 1]]]), torch.tensor([[[0, 1, 2]]]))
    assert (module.rasterize_meshes(line, 8)[0] == -1).all()


# --- splats ----------------------------------------------------------------------------------------------------------


def asked(camera: Camera, degree: int, view: np.ndarray, module) -> object:
    return module.GaussianRasterizationSettings(
        image_height=camera.height,
        image_width=camera.width,
        tanfovx=camera.width / 2 / camera.fx,
        tanfovy=camera.height / 2 / camera.fy,
        bg=torch.tensor([0.2, 0.5, 1.0]),
        scale_modifier=1.5,
        viewmatrix=torch.from_numpy(view.T.copy()),
        projmatrix=None,
        sh_degree=degree,
        campos=torch.from_numpy(np.linalg.inv(view)[:3, 3].astype(np.float32)),
        prefiltered=False,
        debug=False,
    )


@pytest.mark.parametrize("degree", [0, 1])
def test_splats_are_those_of_the_dense_reference(overlay, degree):
    """Pictures and gradients by its own arguments, against every Gaussian at every pixel in float64."""
    module, rng, n = overlay("splatting"), np.random.default_rng(3), 40
    camera = Camera(70.0, 60.0, 20.0, 16.0, 40, 32)
    view = np.eye(4, dtype=np.float32)
    view[:3, :3] = rotations.matrix_from_axis_angle(np.array([0.1, -0.2, 0.05]))
    view[:3, 3] = (0.02, -0.01, 1.0)
    given = {
        "means3D": rng.normal(scale=0.1, size=(n, 3)),
        "opacities": rng.uniform(0.1, 0.9, (n, 1)),
        "shs": rng.normal(size=(n, 16, 3)),
        "scales": rng.uniform(0.01, 0.03, (n, 3)),
        "rotations": rng.normal(size=(n, 4)),  # of any length
    }
    leaves = {name: torch.tensor(value, dtype=torch.float32, requires_grad=True) for name, value in given.items()}
    settings = asked(camera, degree, view, module)
    image, radii = module.GaussianRasterizer(raster_settings=settings)(means2D=None, **leaves)
    assert image.shape == (3, 32, 40) and len(radii) == n
    target = torch.from_numpy(rng.uniform(size=image.shape))
    (image * target.float()).sum().backward()

    exact = {name: torch.tensor(value, requires_grad=True) for name, value in given.items()}
    quaternion = exact["rotations"] / exact["rotations"].norm(dim=1, keepdim=True)
    turns = torch.stack([turned(q) for q in quaternion])
    axes = turns * (1.5 * exact["scales"])[:, None]
    towards = exact["means3D"] - settings.campos.double()
    towards = towards / towards.norm(dim=1, keepdim=True)
    flat = 0.25 * exact["shs"][:, 0]
    colours = (flat if degree == 0 else flat + 0.5 * towards[:, 2:3] * exact["shs"][:, 2]) + 0.5
    pose = [torch.from_numpy(x).double() for x in (view[:3, :3], view[:3, 3])]
    seen = (exact["means3D"], axes, exact["opacities"][:, 0], colours.clamp_min(0))
    exactly = reference.rasterise(*seen, *pose, camera, tuple(settings.bg.tolist()))[:3]
    np.testing.assert_allclose(image.detach(), exactly.detach(), atol=2e-5)
    (exactly * target).sum().backward()
    for name, leaf in leaves.items():
        size = exact[name].grad.abs().max()
        assert (leaf.grad - exact[name].grad).abs().max() < 1e-3 * size, name


def turned(q: torch.Tensor) -> torch.Tensor:
    """Unit quaternion, w first -> (3,3), column by column: q e q*."""
    w, v = q[0], q[1:]
    columns = []
    for axis in torch.eye(3, dtype=q.dtype):
        across = 2 * torch.linalg.cross(v, axis)
        columns.append(axis + w * across + torch.linalg.cross(v, across))
    return torch.stack(columns, 1)


def test_covariances_are_refused(overlay):
    module = overlay("splatting")
    with pytest.raises(ValueError, match="compute_cov3D_python"):
        module.GaussianRasterizer(SimpleNamespace(viewmatrix=torch.eye(4)))(None, None, None, cov3D_precomp=1)


# --- LPIPS -----------------------------------------------------------------------------------------------------------


LAYERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


@pytest.fixture
def network(monkeypatch, tmp_path) -> tuple[nn.Sequential, list[torch.Tensor]]:
    """VGG-16 as torchvision numbers its layers, with random weights, and random ones of the channels; both as files."""
    torch.manual_seed(4)
    layers, inputs = [], 3
    for width in LAYERS:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
    vgg, channels = nn.Sequential(*layers), [torch.rand(1, n, 1, 1) for n in (64, 128, 256, 512, 512)]
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path))
    (tmp_path / "lpips").mkdir()
    state = {f"features.{name}": value for name, value in vgg.state_dict().items()}
    linear = {f"lin{k}.model.1.weight": weight for k, weight in enumerate(channels)}
    torch.save(state | {"classifier.0.bias": torch.zeros(1)}, tmp_path / assets.manifest()["vgg16"].file)
    torch.save(linear, tmp_path / assets.manifest()["lpips_vgg"].file)
    return vgg.requires_grad_(False), channels


def test_lpips_is_what_the_paper_says(overlay, network):
    """Per block: unit vectors of the channels, squared differences weighted, means over the picture, summed."""
    vgg, channels = network
    a, b = torch.rand(2, 3, 32, 32) * 2 - 1
    module = overlay("perceptual").LPIPS(net="vgg")
    expected, x = 0.0, torch.stack([a, b])
    x = (x - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    ends = (4, 9, 16, 23, 30)
    for start, end, weight in zip((0, *ends), ends, channels, strict=False):
        x = vgg[start:end](x)
        unit = nn.functional.normalize(x, dim=1)
        expected += ((unit[0] - unit[1]) ** 2 * weight[0]).sum(0).mean()
    found = module(a, b)
    assert found.shape == (1, 1, 1, 1)
    np.testing.assert_allclose(found.item(), expected.item(), rtol=1e-4)
    assert module(a, a).item() == 0


def test_lpips_is_made_without_files_and_draws_nothing(overlay, monkeypatch, tmp_path):
    """It is made before the first step, whose random numbers it leaves alone, and first used 15,000 later."""
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path))
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    made = overlay("perceptual").LPIPS(net="vgg").to("cpu")
    assert torch.equal(before, torch.random.get_rng_state()) and not list(made.parameters())
    with pytest.raises(StageError, match="make assets GET=vgg16") as e:
        made(torch.zeros(3, 32, 32), torch.zeros(3, 32, 32))
    assert e.value.exit == Exit.MISSING_ASSET


@pytest.mark.parametrize("content", [b"", b"cos\nsystem\n(S'false'\ntR."])
def test_a_damaged_network_is_one_line(overlay, network, tmp_path, content):
    (tmp_path / assets.manifest()["lpips_vgg"].file).write_bytes(content)
    with pytest.raises(StageError, match="vgg.pth: cannot be read as weights") as e:
        overlay("perceptual").LPIPS()(torch.zeros(3, 32, 32), torch.zeros(3, 32, 32))
    assert "\n" not in str(e.value)


# --- the user's files ------------------------------------------------------------------------------------------------


def test_flame_s_own_arrays(overlay, environment):
    with open(environment / assets.manifest()["flame2020"].file, "rb") as file:
        found = overlay("plain_files").flame_model(file)
    assert found["J_regressor"].shape == (5, 5023)
    np.testing.assert_array_equal(found["v_template"], flame_model.arrays()["v_template"])
    np.testing.assert_array_equal(found["kintree_table"], [[-1, 0, 1, 1, 1], range(5)])


def test_eyelids_masks_and_mesh(overlay, environment):
    plain = overlay("plain_files")
    assert plain.eyelid("/copy/flame/blendshapes/l_eyelid.npy") == environment / "flame" / "l_eyelid.npy"
    assert plain.eyelid("/copy/flame/blendshapes/r_eyelid.npy") == environment / "flame" / "r_eyelid.npy"
    end = plain.masks()["boundary"]
    assert 0 < len(end) < 500 and end.max() < 5023
    assert plain.mesh("flame/FlameMesh.obj") == environment / "flashavatar" / "FlameMesh.obj"


def test_another_model_s_mesh_is_refused(overlay, environment, monkeypatch, tmp_path):
    copied(environment, tmp_path)
    place = tmp_path / assets.manifest()["flashavatar_mesh"].file
    place.write_text(place.read_text().replace("\nf ", "\n# ", 3))
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path))
    with pytest.raises(StageError, match="lacks 3 of the head model's triangles"):
        overlay("plain_files").mesh("flame/FlameMesh.obj")
    place.write_text("v 0 0 0\nf 1 1 1\n")
    with pytest.raises(StageError, match="cannot be read as an OBJ with texture coordinates"):
        overlay("plain_files").mesh("flame/FlameMesh.obj")


def test_masks_that_are_none(overlay, environment, monkeypatch, tmp_path):
    copied(environment, tmp_path)
    (tmp_path / assets.manifest()["flame_masks"].file).write_bytes(b"\x80\x02}U\x04faceK\x01s.")
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path))
    with pytest.raises(StageError, match="boundary") as e:
        overlay("plain_files").masks()
    assert e.value.exit == Exit.MISSING_ASSET


def copied(weights, folder) -> None:
    """All but the large model itself, which is linked."""
    for path in weights.rglob("*.*"):
        target = folder / path.relative_to(weights)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path) if path.name == "generic_model.pkl" else target.write_bytes(path.read_bytes())
