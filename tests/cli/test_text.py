"""Numbers as people read them."""

from __future__ import annotations

import pytest

from arras_ray.cli.text import clock_text, count_text, ordinal_text, rate_text, table_text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1.00 k"), (3_980_000, "3.98 M"), (2.5e9, "2.50 G")]
)
def test_counts(number: float, text: str) -> None:
    assert count_text(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "--"), (0.4, "0:00"), (59.6, "1:00"), (75, "1:15"), (3725, "1:02:05")]
)
def test_clock(seconds: float | None, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (113, "113th"), (121, "121st")]
)
def test_ordinal(number: int, text: str) -> None:
    assert ordinal_text(number) == text


def test_rate() -> None:
    assert rate_text(3_956_000) == "3.96 M samples/s"


def test_table_aligns_words_left_and_numbers_right() -> None:
    assert table_text(("name", "pid"), [("a", 7), ("longer", 1234)]) == "  name     pid\n  a          7\n  longer  1234"
