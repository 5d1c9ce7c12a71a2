"""A line plot as an SVG file of its own: seconds to the right, a step of the axis being a factor."""

import math
from html import escape
from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 32, 48
TEXT = 'font-family="sans-serif" font-size="13" fill="#475569"'


class Line(NamedTuple):
    label: str
    points: list[tuple[float, float]]
    colour: str
    dashed: bool


def plot(path: Path, lines: list[Line], x_label: str, y_label: str) -> None:
    """x on a logarithmic axis, y on a plain one with a line every 5; the lines' names stand where the curves begin."""
    xs, ys = zip(*(point for line in lines for point in line.points), strict=True)
    low, high = math.log10(min(xs)) - 0.05, math.log10(max(xs)) + 0.05
    bottom, top = 5 * math.floor(min(ys) / 5), 5 * math.ceil(max(ys) / 5)

    def at(x: float, y: float) -> tuple[float, float]:
        right = (math.log10(x) - low) / (high - low)
        up = (y - bottom) / (top - bottom)
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {TEXT}>']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>')
    for y in range(bottom, top + 1, 5):
        _, v = at(min(xs), y)
        parts.append(f'<path d="M{LEFT} {v:.1f}H{WIDTH - RIGHT}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{v + 4:.1f}" text-anchor="end">{y}</text>')
    for x in (m * 10**e for e in range(math.floor(low), math.ceil(high) + 1) for m in (1, 3)):
        if low <= math.log10(x) <= high:
            u, _ = at(x, bottom)
            parts.append(f'<text x="{u:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{x:g}</text>')
    for line in lines:
        places = [at(*point) for point in line.points]
        corners = [f"{u:.1f},{v:.1f}" for u, v in places]
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        style = f'fill="none" stroke="{line.colour}" stroke-width="2.2"{dash}'
        parts.append(f'<polyline points="{" ".join(corners)}" {style}/>')
        parts += [f'<circle cx="{u:.1f}" cy="{v:.1f}" r="3" fill="{line.colour}"/>' for u, v in places]
    for k, line in enumerate(lines):
        v = HEIGHT - BOTTOM - 14 - 18 * (len(lines) - 1 - k)
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(f'<path d="M{LEFT + 16} {v - 4}h28" stroke="{line.colour}" stroke-width="2.2"{dash}/>')
        parts.append(f'<text x="{LEFT + 52}" y="{v}">{escape(line.label)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(x_label)}</text>')
    parts.append(f'<text x="8" y="14">{escape(y_label)}</text></svg>')
    path.write_text("\n".join(parts) + "\n")
