"""Numbers and tables as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arras_ray.session.waiting_line import Waiting


def count_text(number: float) -> str:
    """3980000 -> '3.98 M'."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.2f} {unit}"
    return f"{number:.0f}"


def rate_text(samples_per_second: float) -> str:
    """Millions of samples a second, as every figure of this project is given."""
    return f"{samples_per_second / 1e6:.2f} M samples/s"


def clock_text(seconds: float | None) -> str:
    """75 -> '1:15'; '--' for a time nobody knows yet."""
    if seconds is None:
        return "--"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def ordinal_text(number: int) -> str:
    """2 -> '2nd'."""
    teens = 10 < number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def waiting_text(waiting: Waiting) -> str:
    """Where a session stands that waits for machines."""
    return f"waiting: {ordinal_text(waiting.place)} of {waiting.length}, {waiting.reason}"


def table_text(header: Sequence[str], rows: Sequence[Sequence[object]], indent: str = "  ") -> str:
    """Columns as wide as their longest cell; columns of numbers, or of numbers and nothing, to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    right = [all(isinstance(row[i], int | float) or row[i] == "" for row in rows) for i in range(len(header))]
    return "\n".join(
        indent
        + "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(header), *cells]
    )


def filled_columns(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table without the columns in which there is nothing."""
    kept = [i for i in range(len(header)) if any(row[i] != "" for row in rows)]
    return table_text([header[i] for i in kept], [[row[i] for i in kept] for row in rows])


def shown(text: str) -> str:
    """Text of a file as a terminal can show it: what is no character, or a command to the terminal, as an escape."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)
