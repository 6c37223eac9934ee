"""Bar charts as inline SVG: no script, no asset, colours from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fabench.model import Role

_WIDTH = 720
_NAMES = 170  # of the width, left of the bars
_VALUES = 90  # right of them
_BAR = 18
_GAP = 8


def bar_chart(title: str, bars: Sequence[tuple[str, float, Role]]) -> str:
    """Horizontal bars from nought, one per contender, shortest on top."""
    if not bars:
        return ""
    ordered = sorted(bars, key=lambda bar: bar[1])
    greatest = max((value for _, value, _ in ordered), default=0.0) or 1.0
    height = len(ordered) * (_BAR + _GAP) + _GAP
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for index, (name, value, role) in enumerate(ordered):
        parts.append(_bar(index, name, value, role, greatest))
    parts.append("</svg>")
    return "".join(parts)


def _bar(index: int, name: str, value: float, role: Role, greatest: float) -> str:
    top = _GAP + index * (_BAR + _GAP)
    length = max(value / greatest, 0.0) * (_WIDTH - _NAMES - _VALUES)
    middle = top + _BAR * 0.72
    return (
        f'<text class="name" x="{_NAMES - 8}" y="{middle:.1f}">{escape(name)}</text>'
        f'<rect class="{role.value}" x="{_NAMES}" y="{top}" width="{length:.1f}" height="{_BAR}" '
        f'rx="2"/>'
        f'<text x="{_NAMES + length + 6:.1f}" y="{middle:.1f}">{_short(value)}</text>'
    )


def _short(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
