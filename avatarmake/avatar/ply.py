"""The canonical avatar as a .ply in 3D Gaussian Splatting's own layout: degree 0, no expression."""

from pathlib import Path

import numpy as np

from avatarmake.files.whole import whole

SH0 = 0.28209479177387814  # the constant spherical harmonic: colour = SH0 f_dc + 0.5
FIELDS = "x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()


def write(path: Path, means: np.ndarray, axes: np.ndarray, opacities: np.ndarray, colours: np.ndarray) -> None:
    """Gaussians as the rasteriser takes them -> log scales, quaternions (w, x, y, z), opacity before the sigmoid."""
    scales = np.linalg.norm(axes, axis=1)
    p = np.clip(opacities.astype(np.float64), 1e-6, 1 - 1e-6)
    columns = [
        means,
        np.zeros_like(means),
        (colours - 0.5) / SH0,
        np.log(p / (1 - p))[:, None],
        np.log(np.maximum(scales, 1e-9)),
        quaternions(axes / np.maximum(scales, 1e-12)[:, None]),
    ]
    rows = np.concatenate(columns, 1).astype("<f4")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {name}" for name in FIELDS] + ["end_header", ""]
    with whole(path) as temporary:
        temporary.write_bytes("\n".join(header).encode() + rows.tobytes())


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """Rotations (N,3,3) -> (N,4), w first and not negative: the largest column of 4 q q^T, which never vanishes."""
    m = matrices.astype(np.float64)
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    table = np.stack(
        [
            np.stack([1 + xx + yy + zz, wx, wy, wz], -1),
            np.stack([wx, 1 + xx - yy - zz, xy, xz], -1),
            np.stack([wy, xy, 1 - xx + yy - zz, yz], -1),
            np.stack([wz, xz, yz, 1 - xx - yy + zz], -1),
        ],
        1,
    )
    best = np.einsum("nii->ni", table).argmax(1)
    q = table[np.arange(len(m)), best]
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    return np.where(q[:, :1] < 0, -q, q)


def read(path: Path) -> dict[str, np.ndarray]:
    """Columns by name, of a file that `write` wrote."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property")]
    rows = np.frombuffer(body, "<f4").reshape(-1, len(names))
    return dict(zip(names, rows.T, strict=True))
