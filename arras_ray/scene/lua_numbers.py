"""Numbers as Lua writes and reads them."""

from __future__ import annotations

import math
import re

_NUMERAL = re.compile(
    r"\s*[+-]?(?:0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?\d+)?|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*",
    re.ASCII | re.IGNORECASE,
)

_MOST_DIGITS = 1000
"""Of a number Python is to read digit by digit; an integer of more does not fit in 64 bits, or begins with zeros."""


def parse_number(text: str) -> int | float | None:
    """A numeral as Lua reads it, with blanks around it or not; None for any other text."""
    if not _NUMERAL.fullmatch(text):
        return None
    text = text.strip()
    if "x" in text.lower():
        if set(text.lower()) & set(".p"):
            return _hexadecimal(text)
        # as many bits as an integer has, the lowest ones
        bits = int(text, 16) & 0xFFFF_FFFF_FFFF_FFFF
        return bits - (bits >> 63 << 64)
    number = float(text)
    if len(text) <= _MOST_DIGITS and set(text) <= set("+-0123456789"):
        exact = int(text)
        return exact if -(1 << 63) <= exact < 1 << 63 else number
    return number


def number_text(value: int | float) -> str:
    """A number as Lua writes it."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.14g}"
    return text + ".0" if text.lstrip("-").isdigit() else text


def _hexadecimal(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return -math.inf if text.startswith("-") else math.inf
