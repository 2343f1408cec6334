"""Ages of samples by clocks that have nothing to do with each other."""

from __future__ import annotations

import pytest

from arras_ray.snapshots import LATELY_SECONDS, Snapshots


@pytest.mark.parametrize("theirs", [0.0, 1e6, -1e6], ids=["one clock", "theirs is ahead", "theirs is behind"])
def test_an_age_is_what_comes_on_top_of_the_quickest_way(theirs: float) -> None:
    snapshots = Snapshots()
    snapshots.took("mcrt_i0", 1, 10.0 + theirs, version=1, now=10.002)
    snapshots.took("mcrt_i0", 1, 20.0 + theirs, version=2, now=20.3)
    assert snapshots.ages(1, 2, now=20.5) == {"mcrt_i0": pytest.approx(0.498)}


def test_only_samples_that_are_new_in_a_version_have_an_age() -> None:
    snapshots = Snapshots()
    for version, name in enumerate(["a", "b", "c"], 1):
        snapshots.took(name, 1, 0.0, version, now=0.0)
    assert set(snapshots.ages(1, 2, now=1.0)) == {"b"}


def test_another_process_of_the_name_has_another_clock() -> None:
    snapshots = Snapshots()
    snapshots.took("a", 1, 1e6, version=1, now=1.0)
    snapshots.took("a", 2, 0.0, version=2, now=2.0)
    assert snapshots.ages(1, 2, now=2.5) == {"a": pytest.approx(0.5)}


def test_clocks_that_drift_are_compared_anew() -> None:
    snapshots = Snapshots()
    drift = 1e-3
    for second in range(int(10 * LATELY_SECONDS)):
        snapshots.took("a", 1, second * (1 - drift), version=second, now=float(second))
    (age,) = snapshots.ages(second - 1, second, now=float(second)).values()
    assert age <= 2 * LATELY_SECONDS * drift


def test_a_part_that_comes_late_is_not_the_newest() -> None:
    snapshots = Snapshots()
    snapshots.took("a", 1, 10.0, version=1, now=10.0)
    snapshots.took("a", 1, 18.0, version=2, now=18.0)
    snapshots.took("a", 1, 10.0, version=3, now=18.1)  # sent again
    assert snapshots.ages(0, 3, now=18.2) == {"a": pytest.approx(0.2)}
