"""Charts as inline SVG: drawn by hand, coloured by the page's style sheet, readable at any width."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 720, 290
LEFT, RIGHT, TOP, BOTTOM = 48, 26, 34, 48


@dataclass(frozen=True)
class Line:
    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "a"  # a, b, c: the page's colours; "-dash" and "-dots" after it


def line_chart(lines: list[Line], x_label: str, y_label: str, title: str, y_range: tuple | None = None) -> str:
    """An SVG element with axes, a few grid lines, the lines, and a name at each line's end. Values are finite."""
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return ""
    xs = np.concatenate([np.asarray(line.x, float) for line in lines])
    ys = np.concatenate([np.asarray(line.y, float) for line in lines])
    x_ticks = nice_ticks(0 if 0 < xs.min() < xs.max() / 2 else xs.min(), xs.max(), 6)
    y_ticks = nice_ticks(*(y_range or (ys.min(), ys.max())), 5)
    x_low, x_high = min(xs.min(), x_ticks[0]), xs.max()
    y_low, y_high = (y_ticks[0], y_ticks[-1])

    def px(x: float) -> float:
        return LEFT + (x - x_low) / max(x_high - x_low, 1e-12) * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        return HEIGHT - BOTTOM - (y - y_low) / max(y_high - y_low, 1e-12) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in y_ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py(tick):.1f}" y2="{py(tick):.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{py(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in (t for t in x_ticks if x_low <= t <= x_high):
        place = f'x="{px(tick):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle"'
        parts.append(f'<text class="tick" {place}>{tick:g}</text>')
    for line in lines:
        dots = line.style.endswith("-dots")
        points = [(px(x), py(min(max(y, y_low), y_high))) for x, y in zip(line.x, line.y, strict=True)]
        if dots:
            parts += [f'<circle class="dot {line.style[0]}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points]
        else:
            dash = " dash" if line.style.endswith("-dash") else ""
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline class="line {line.style[0]}{dash}" points="{path}"/>')
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_label)}</text>')
    parts.append(f'<text class="tick" x="4" y="{TOP - 16}">{escape(y_label)}</text>')
    return "".join([*parts, "</svg>", legend(lines)])


def legend(lines: list[Line]) -> str:
    if len(lines) < 2:
        return ""
    items = [f'<li class="{line.style.replace("-", " ")}">{escape(line.label)}</li>' for line in lines]
    return f'<ul class="legend">{"".join(items)}</ul>'


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten) from at or below `low` to at or above `high`."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(s for s in (1, 2, 5, 10) if s * power >= raw * 0.999)
    first = np.floor(low / step + 1e-9)
    last = np.ceil(high / step - 1e-9)
    return [float(f"{i * step:.10g}") for i in np.arange(first, last + 1)]


def thinned(x: Sequence[float], y: Sequence[float], most: int = 600) -> tuple[list[float], list[float]]:
    """At most `most` points, each the mean of its neighbours: a page stays small however long the video."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    good = np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) > most:
        cuts = np.array_split(np.arange(len(x)), most)
        x, y = np.array([x[c].mean() for c in cuts]), np.array([y[c].mean() for c in cuts])
    return x.tolist(), y.tolist()
