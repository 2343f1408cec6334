"""How a scene is written."""

from __future__ import annotations

from dataclasses import dataclass

SPLIT_SIZE = 13
"""Vectors of so many elements are in the binary part of a scene that is split into two files."""


@dataclass(frozen=True, slots=True)
class Style:
    """elements_per_line: of a vector in RDLA, 0 for all in one line. skip_defaults: leave out what need not be said.
    longest_vector: leave out longer ones. shortest_vector: leave out everything but vectors of so many elements and
    more. transient: in RDLB, attributes by number instead of name, which only the same schema can read.
    """

    elements_per_line: int = 0
    skip_defaults: bool = True
    longest_vector: int | None = None
    shortest_vector: int = 0
    transient: bool = False
