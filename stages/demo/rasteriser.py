"""A small z-buffered rasteriser: which triangle each pixel shows, and where in it. numba; perspective-correct."""

import numba
import numpy as np


@numba.njit(cache=True, fastmath=False)
def rasterise(points: np.ndarray, depth: np.ndarray, faces: np.ndarray, width: int, height: int):
    """points (V,2) px (pixel centres at +0.5), depth (V,) > 0, faces (F,3).

    -> face (H,W) int32, -1 where nothing is; barycentric (H,W,3) float32, perspective-correct. Both sides are drawn.
    """
    face = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    nearest = np.zeros((height, width), np.float32)  # 1 / depth
    for f in range(faces.shape[0]):
        a, b, c = faces[f]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-12 or depth[a] <= 0 or depth[b] <= 0 or depth[c] <= 0:
            continue
        x0, x1 = max(0, int(np.floor(min(ax, bx, cx) - 0.5))), min(width, int(np.ceil(max(ax, bx, cx) + 0.5)))
        y0, y1 = max(0, int(np.floor(min(ay, by, cy) - 0.5))), min(height, int(np.ceil(max(ay, by, cy) + 0.5)))
        ia, ib, ic, inverse = 1 / depth[a], 1 / depth[b], 1 / depth[c], 1 / area
        for y in range(y0, y1):
            py = y + 0.5
            for x in range(x0, x1):
                px = x + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                z = u * ia + v * ib + w * ic
                if z > nearest[y, x]:
                    nearest[y, x] = z
                    face[y, x] = f
                    barycentric[y, x, 0], barycentric[y, x, 1] = u * ia / z, v * ib / z
                    barycentric[y, x, 2] = w * ic / z
    return face, barycentric


@numba.njit(cache=True)
def shade(face, barycentric, uv, light, texture, background):
    """Colour each pixel: texture (T,T,3) float32 sampled bilinearly, times light (F,3 corners); -> (H,W,3) float32."""
    height, width = face.shape
    size = texture.shape[0]
    out = background.copy()
    for y in range(height):
        for x in range(width):
            f = face[y, x]
            if f < 0:
                continue
            p, q, r = barycentric[y, x]
            u = (p * uv[f, 0, 0] + q * uv[f, 1, 0] + r * uv[f, 2, 0]) * size - 0.5
            v = (p * uv[f, 0, 1] + q * uv[f, 1, 1] + r * uv[f, 2, 1]) * size - 0.5
            shine = p * light[f, 0] + q * light[f, 1] + r * light[f, 2]
            u, v = min(max(u, 0.0), size - 1.001), min(max(v, 0.0), size - 1.001)
            i, j = int(v), int(u)
            s, t = v - i, u - j
            for k in range(3):
                top = texture[i, j, k] * (1 - t) + texture[i, j + 1, k] * t
                low = texture[i + 1, j, k] * (1 - t) + texture[i + 1, j + 1, k] * t
                out[y, x, k] = (top * (1 - s) + low * s) * shine
    return out
