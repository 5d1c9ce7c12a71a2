"""A small z-buffered rasteriser: which triangle each pixel shows, and where in it. numba; perspective-correct."""

import numba
import numpy as np


@numba.njit(cache=True, fastmath=False)
def rasterise(points, depth, faces, width, height, both_sides=True):
    """points (V,2) px (y down, pixel centres at +0.5), depth (V,) > 0, faces (F,3).

    -> face (H,W) int32, -1 where nothing is; barycentric (H,W,3) float32, perspective-correct. Without `both_sides`
    only faces that turn their outside to the camera are drawn.
    """
    face = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    nearest = np.zeros((height, width), np.float32)  # 1 / depth
    for f in range(faces.shape[0]):
        a, b, c = faces[f]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-12 or (area > 0 and not both_sides):
            continue
        if depth[a] <= 0 or depth[b] <= 0 or depth[c] <= 0:
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


@numba.njit(inline="always")
def _mix(texture, m, n, k, a, b, c, d):
    """Channel k of four texels, weighted; unsigned numbers, which need no check for negative ones."""
    m1, n1 = m + np.uint32(1), n + np.uint32(1)
    return a * texture[m, n, k] + b * texture[m, n1, k] + c * texture[m1, n, k] + d * texture[m1, n1, k]


@numba.njit(cache=True, error_model="numpy")
def shade(face, barycentric, uv, light, texture, background, over):
    """Colours of the picture, `over` x `over` samples averaged to a pixel -> (H / over, W / over, 3) uint8.

    Each sample takes texture (T,T,3) at uv (F,3,2), bilinearly, times light (F,3), both given at the faces' corners;
    where no face is, background (H / over, W / over, 3). All float32, colours 0...255.
    """
    height, width = background.shape[:2]
    half, one, size = np.float32(0.5), np.float32(1), np.float32(texture.shape[0])
    most, share = np.float32(size - 1.001), np.float32(1 / (over * over))
    out = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            red, green, blue = half, half, half
            for sub in range(over * over):
                i, j = y * over + sub // over, x * over + sub % over
                f = face[i, j]
                if f < 0:
                    red += background[y, x, 0] * share
                    green += background[y, x, 1] * share
                    blue += background[y, x, 2] * share
                    continue
                p, q, r = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
                shine = share * (p * light[f, 0] + q * light[f, 1] + r * light[f, 2])
                u = (p * uv[f, 0, 0] + q * uv[f, 1, 0] + r * uv[f, 2, 0]) * size - half
                v = (p * uv[f, 0, 1] + q * uv[f, 1, 1] + r * uv[f, 2, 1]) * size - half
                u, v = min(max(u, np.float32(0)), most), min(max(v, np.float32(0)), most)
                m, n = np.uint32(v), np.uint32(u)
                s, t = v - np.float32(m), u - np.float32(n)
                a, b, c, d = (one - s) * (one - t), (one - s) * t, s * (one - t), s * t
                red += shine * _mix(texture, m, n, 0, a, b, c, d)
                green += shine * _mix(texture, m, n, 1, a, b, c, d)
                blue += shine * _mix(texture, m, n, 2, a, b, c, d)
            out[y, x, 0] = np.uint8(min(red, np.float32(255)))
            out[y, x, 1] = np.uint8(min(green, np.float32(255)))
            out[y, x, 2] = np.uint8(min(blue, np.float32(255)))
    return out
