"""The demo's table: what was asked, what was expected, what was seen."""

import textwrap
from dataclasses import dataclass

WIDTHS = (46, 44, 46)


@dataclass
class Row:
    asked: str
    expected: str
    seen: str
    holds: bool


def render(rows: list[Row]) -> str:
    """The table as text; long cells are wrapped."""
    lines = [_line(("asked", "expected", "seen"), "ok"), _line(tuple("-" * width for width in WIDTHS), "---")]
    for row in rows:
        cells = [
            textwrap.wrap(text, width, break_on_hyphens=False) or [""]
            for text, width in zip((row.asked, row.expected, row.seen), WIDTHS)
        ]
        height = max(len(cell) for cell in cells)
        for number in range(height):
            texts = tuple(cell[number] if number < len(cell) else "" for cell in cells)
            lines.append(_line(texts, ("yes" if row.holds else "NO") if number == 0 else ""))
    return "\n".join(lines)


def _line(texts: tuple[str, ...], last: str) -> str:
    cells = (text.ljust(width) for text, width in zip(texts, WIDTHS))
    return "  ".join((*cells, last)).rstrip()
