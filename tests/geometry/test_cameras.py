import numpy as np

from avatarmake.geometry import cameras
from avatarmake.geometry.rotations import matrix_from_axis_angle

RNG = np.random.default_rng(1)


def opengl_pixels(point, cam, focal, size):
    """flame-head-tracker's way in words: pose -> view by inverting the 4x4 pose -> OpenGL camera axes -> pixels."""
    a, b, c = cam[:3]
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = about_z @ about_y @ about_x, cam[3:]
    x, y, z, _ = np.linalg.inv(pose) @ np.append(point, 1)
    return np.array([size / 2 + focal * x / -z, size / 2 - focal * y / -z])


def test_cam_is_the_pose_of_an_opengl_camera():
    points = RNG.uniform(-0.1, 0.1, (40, 3))
    for _ in range(20):
        cam = np.concatenate([RNG.uniform(-0.6, 0.6, 3), RNG.uniform(-0.1, 0.1, 2), [RNG.uniform(0.6, 1.4)]])
        r, t = cameras.extrinsics_from_cam(cam)
        ours = cameras.project(points, r, t, cameras.intrinsics_from_focal(1200, (512, 512)))
        theirs = np.array([opengl_pixels(p, cam, 1200, 512) for p in points])
        np.testing.assert_allclose(ours, theirs, atol=1e-8)  # px up to 1e3, in float64: eps of that is 2e-13


def test_a_frontal_camera_looks_down_at_the_face():
    r, t = cameras.extrinsics_from_cam(np.array([0, 0, 0, 0, 0, 1.0]))
    np.testing.assert_array_equal(r, np.diag([1, -1, -1]))  # sines of 0 and cosines of 0 are exact
    np.testing.assert_array_equal(t, [0, 0, 1])
    k = cameras.intrinsics_from_focal(1000, (512, 512))
    left_eye, chin, nose_tip = np.array([[0.03, 0, 0], [0, -0.1, 0], [0, 0, 0.05]])
    assert cameras.project(left_eye[None], r, t, k)[0, 0] > 256  # the subject's left is on the image's right
    assert cameras.project(chin[None], r, t, k)[0, 1] > 256  # and its chin below the middle
    assert (r @ nose_tip + t)[2] < 1  # the nose is nearer than the head's centre


def test_cam_and_extrinsics_are_inverse():
    cam = np.concatenate([RNG.uniform(-1.4, 1.4, (200, 3)), RNG.normal(size=(200, 3))], 1)
    back = cameras.cam_from_extrinsics(*cameras.extrinsics_from_cam(cam))
    np.testing.assert_allclose(back, cam, atol=1e-9)  # float64; an angle of 1.4 by its sine: eps / cos 1.4


def test_intrinsics_times_two_is_exact_because_centres_are_at_half():
    """The same ray meets both images' pixel centres: (u + 0.5) at 256 px is the corner between pixels at 512."""
    points = RNG.uniform(-0.1, 0.1, (30, 3))
    r, t = cameras.extrinsics_from_cam(np.array([0.1, 0.2, 0, 0, 0, 1.0]))
    small = cameras.intrinsics_from_focal(600, (256, 256))
    double = cameras.scaled_intrinsics(small, 2)
    np.testing.assert_allclose(cameras.project(points, r, t, double), 2 * cameras.project(points, r, t, small))
    np.testing.assert_array_equal(double[:2, 2], [256, 256])
    assert double[2, 2] == 1


def test_pytorch3d_view_has_x_left_and_y_up():
    r, t = matrix_from_axis_angle(RNG.normal(size=3)), RNG.normal(size=3)
    point = RNG.normal(size=3)
    r3, t3 = cameras.pytorch3d_view(r, t)
    np.testing.assert_allclose(point @ r3 + t3, (r @ point + t) * [-1, -1, 1], atol=1e-12)
