"""Refinement and joining of meshes."""

import numpy as np

from avatarmake.head_model.mesh import Mesh, grid_faces, joined, normals, refined


def tetrahedron(radius=1.0):
    p = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]) * radius / np.sqrt(3)
    faces = np.array([(0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)])
    return Mesh(p, faces, np.zeros((4, 3, 2)), np.full(4, "a"), {"height": p[:, 2].copy()})


def volume(mesh):
    a, b, c = mesh.points[mesh.faces].transpose(1, 0, 2)
    return (np.cross(a, b) * c).sum() / 6


def test_refinement_keeps_the_old_vertices_the_winding_and_the_region():
    old = tetrahedron()
    new = refined(old, np.zeros(4, bool))
    assert len(new.points) == 4 + 6 and len(new.faces) == 16 and (new.region == "a").all()
    assert np.array_equal(new.points[:4], old.points)
    assert np.sign(volume(new)) == np.sign(volume(old))
    assert abs(volume(new)) > 1.2 * abs(volume(old))  # it bulges towards the sphere


def test_flat_faces_do_not_bulge():
    old = tetrahedron()
    new = refined(old, np.ones(4, bool))
    assert np.isclose(volume(new), volume(old))
    assert np.allclose(new.values["height"], new.points[:, 2])  # values are carried along linearly


def test_normals_point_outwards():
    mesh = tetrahedron()
    sign = np.sign(volume(mesh))
    assert np.allclose(normals(mesh.points, mesh.faces) * sign, mesh.points, atol=1e-12)


def test_joined_meshes_keep_their_values_and_miss_none():
    a, b = tetrahedron(), tetrahedron(2)
    del b.values["height"]
    whole, starts = joined([a, b])
    assert starts == [0, 4] and whole.faces[4:].min() == 4
    assert np.array_equal(whole.values["height"], np.r_[a.points[:, 2], np.zeros(4)])


def test_a_closed_grid_meets_itself():
    assert len(grid_faces(3, 5, closed=True)) == 20 and len(grid_faces(3, 5, closed=False)) == 16
