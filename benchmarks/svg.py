"""Bars and curves as SVG, readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Final

COLOURS: Final = ("#2f6fde", "#d9822b", "#2e9e6b", "#b0489b")
INK: Final = "#7a7f87"
TEXT: Final = f'font-family="sans-serif" font-size="12" fill="{INK}"'

Points = Sequence[tuple[float, float]]


def bars(title: str, unit: str, values: Mapping[str, tuple[float, float, float]]) -> str:
    """Return horizontal bars: by name the least, the median and the largest value."""
    top = max(high for _, _, high in values.values())
    height = 40 + 26 * len(values)
    parts = [_head(680, height, title)]
    for row, (name, (low, middle, high)) in enumerate(values.items()):
        y, scale = 34 + 26 * row, 360 / top
        least, most = 210 + low * scale, 210 + high * scale
        parts += [
            f'<text x="200" y="{y + 13}" text-anchor="end" {TEXT}>{escape(name)}</text>',
            f'<rect x="210" y="{y}" width="{middle * scale:.1f}" height="18" fill="{COLOURS[row > 0]}"/>',
            f'<line x1="{least:.1f}" x2="{most:.1f}" y1="{y + 9}" y2="{y + 9}" stroke="{INK}"/>',
            f'<text x="{most + 8:.1f}" y="{y + 13}" {TEXT}>{middle:,.1f} {escape(unit)}</text>',
        ]
    return "\n".join((*parts, "</svg>")) + "\n"


def curves(title: str, across: str, series: Mapping[str, Points]) -> str:
    """Return curves over a logarithmic axis `across`, from 0 upwards."""
    points = [point for line in series.values() for point in line]
    least, most = (log10(edge(x for x, _ in points)) for edge in (min, max))
    top = 1.1 * max(y for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return 70 + 540 * (log10(x) - least) / max(most - least, 0.01), 260 - 220 * y / top

    parts = [_head(680, 310, title), f'<text x="340" y="300" text-anchor="middle" {TEXT}>{escape(across)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = 260 - 220 * share
        parts.append(f'<line x1="70" x2="610" y1="{y:g}" y2="{y:g}" stroke="{INK}" stroke-opacity="0.3"/>')
        parts.append(f'<text x="64" y="{y + 4:g}" text-anchor="end" {TEXT}>{top * share:,.0f}</text>')
    for x in sorted({x for x, _ in points}):
        parts.append(f'<text x="{place(x, 0)[0]:.0f}" y="276" text-anchor="middle" {TEXT}>{x:,g}</text>')
    for number, (name, line) in enumerate(series.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="616" y="{place(*line[-1])[1] + 4:.0f}" {TEXT}>{escape(name)}</text>')
    return "\n".join((*parts, "</svg>")) + "\n"


def _head(width: int, height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<text x="10" y="20" font-weight="bold" {TEXT}>{escape(title)}</text>'
    )
