"""A line plot as a small SVG file: axes from zero, a legend, no script and no fonts of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TITLE, BOTTOM = 60, 16, 32, 46
COLOURS = ("#2166ac", "#b2182b", "#4d9221", "#8073ac")


@dataclass(frozen=True)
class Line:
    """Points of one line. ``dots``: not joined; ``fit``: a thin line in the colour of the line before it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False
    fit: bool = False


def plot(title: str, across: str, up: str, lines: Sequence[Line]) -> str:
    """Return the text of an SVG file; ``across`` and ``up`` label the axes."""
    top = TITLE + 16 * len(lines) + 8  # the legend stands between title and plot
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 20, title, "middle"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, "middle"),
        f'<g transform="translate(14 {(top + HEIGHT - BOTTOM) / 2}) rotate(-90)">'
        f"{_text(0, 0, up, 'middle')}</g>",
    ]
    x_ticks = list(_ticks(max(max(line.x) for line in lines)))
    y_ticks = list(_ticks(max(max(line.y) for line in lines)))

    def place(x: float, y: float) -> tuple[float, float]:
        right = LEFT + x / x_ticks[-1] * (WIDTH - LEFT - RIGHT)
        return right, HEIGHT - BOTTOM - y / y_ticks[-1] * (HEIGHT - top - BOTTOM)

    for tick in x_ticks:
        parts.append(_text(place(tick, 0)[0], HEIGHT - BOTTOM + 16, f"{tick:,g}", "middle"))
    for tick in y_ticks:
        y = place(0, tick)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{tick:,g}", "end"))
    colour = -1
    for row, line in enumerate(lines):
        colour += not line.fit
        ink = COLOURS[colour % len(COLOURS)]
        points = [place(x, y) for x, y in zip(line.x, line.y, strict=True)]
        if not line.dots:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            width = 1 if line.fit else 2
            parts.append(f'<path d="M{path}" fill="none" stroke="{ink}" stroke-width="{width}"/>')
        if not line.fit:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"/>' for x, y in points]
        parts.append(_text(LEFT + 12, TITLE + 12 + 16 * row, line.name, "start", ink))
    return "\n".join([*parts, "</svg>", ""])


def _ticks(highest: float) -> Iterator[float]:
    """Round numbers from 0 to above the highest value."""
    step = 10.0 ** floor(log10(highest))
    step = next(step * share for share in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if highest / (step * share) <= 8)
    count = -int(-highest // step)
    yield from (n * step for n in range(count + 1))


def _text(x: float, y: float, words: str, anchor: str, ink: str = "#222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}">{escape(words)}</text>'
