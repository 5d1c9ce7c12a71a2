import numpy as np
import pytest

from avatarmake.geometry import rotations

pytestmark = pytest.mark.numbers
RNG = np.random.default_rng(0)
EXACT = 1e-12  # float64: a few operations on numbers about 1, each within 1e-16


def finite_rotation(r):
    """Rotation by many small steps of dR = skew(r) R dt: independent of Rodrigues' closed form."""
    m, n = np.eye(3), 4096
    k = np.array([[0, -r[2], r[1]], [r[2], 0, -r[0]], [-r[1], r[0], 0]]) / n
    step = np.eye(3) + k + k @ k / 2 + k @ k @ k / 6
    for _ in range(n):
        m = step @ m
    return m


@pytest.mark.parametrize("r", [[0.3, -0.2, 0.9], [0, 0, 1e-7], [3.0, 0.5, -0.2], [0, 0, 0]])
def test_axis_angle_is_the_flow_of_its_axis(r):
    matrix = rotations.matrix_from_axis_angle(np.array(r, float))
    np.testing.assert_allclose(matrix, finite_rotation(r), atol=1e-9)  # what the steps lack: |r|^4 / 24 n^3 = 6e-11


def test_log_undoes_exp_up_to_half_a_turn():
    axis = RNG.normal(size=(500, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.concatenate([RNG.uniform(0, np.pi, 498), [1e-9, np.pi - 1e-7]])[:, None]
    r = axis * angle
    back = rotations.axis_angle_from_matrix(rotations.matrix_from_axis_angle(r))
    np.testing.assert_allclose(back, r, atol=1e-6)  # by its cosine, an angle near 0 or pi is known to sqrt(eps), 2e-8


def test_6d_is_rows_so_the_jaw_opens():
    """By columns it would be the transpose: the jaw closes instead of opening."""
    jaw = rotations.matrix_from_axis_angle(np.array([0.2, 0.0, 0.0]))
    six = rotations.rot6d_from_matrix(jaw)
    np.testing.assert_array_equal(six, [*jaw[0], *jaw[1]])
    np.testing.assert_allclose(rotations.matrix_from_rot6d(six), jaw, atol=EXACT)
    assert rotations.axis_angle_from_matrix(rotations.matrix_from_rot6d(six))[0] > 0.19


def test_6d_orthogonalises_what_is_not_quite_a_rotation():
    six = rotations.rot6d_from_matrix(rotations.matrix_from_axis_angle(RNG.normal(size=(7, 3))))
    m = rotations.matrix_from_rot6d(six * 1.3 + 0.01)
    np.testing.assert_allclose(m @ m.swapaxes(-1, -2), np.tile(np.eye(3), (7, 1, 1)), atol=EXACT)
    np.testing.assert_allclose(np.linalg.det(m), 1, atol=EXACT)


def test_left_jacobian_is_the_derivative():
    r, d = np.array([0.4, -0.7, 0.2]), 1e-6
    j = rotations.left_jacobian(r)
    for k in range(3):
        step = np.eye(3)[k] * d
        change = rotations.matrix_from_axis_angle(r + step) @ rotations.matrix_from_axis_angle(r - step).T
        slope = rotations.axis_angle_from_matrix(change) / (2 * d)
        np.testing.assert_allclose(slope, j[:, k], atol=1e-7)  # off by eps / d = 2e-10, and by d^2


def test_float32_stays_float32():
    assert rotations.matrix_from_axis_angle(np.zeros((2, 3), np.float32)).dtype == np.float32
