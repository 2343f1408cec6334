"""Units that cannot be rendered, mcrts that cannot render, and who is taken for which."""

import numpy as np
import pytest
from leasing import ids_of, ledger_of, receipt_of, state_of, take

from arras_ray.failures import MAX_FAILED_UNITS
from arras_ray.ledger import Ledger
from arras_ray.messages import Lease, Tally


def fail(ledger: Ledger, lease: Lease, *ids: int) -> int:
    return ledger.fail(lease.lease_id, np.array(ids or ids_of(lease)), f"{lease.mcrt} raised", 1.0)


def test_a_failed_unit_goes_to_another_mcrt_alone() -> None:
    ledger = ledger_of("a", "b", threads=4)
    lease = take(ledger, "a")
    assert fail(ledger, lease, 1, 2) == 2
    assert ledger.open_units == 2
    assert [ids_of(take(ledger, "b")) for _ in range(2)] == [[1], [2]]
    ledger.accept(receipt_of(ledger, lease, ids=[0, 3]), 2.0)
    assert ids_of(take(ledger, "a"))[0] == 4


def test_an_mcrt_that_fails_three_units_is_left_out() -> None:
    ledger = ledger_of("a", "b", threads=4)
    fail(ledger, take(ledger, "a"), 0, 1)
    assert not ledger.left_out
    last = take(ledger, "a")
    fail(ledger, last, 5)
    assert ledger.left_out == ("a",)
    assert ledger.able == ("b",)
    assert ledger.lease("a", 2.0) is None
    assert ledger.accept(receipt_of(ledger, last, ids=[4, 6, 7]), 2.0) == 3  # what it holds still counts
    ledger.join("a", 4)
    assert ledger.lease("a", 3.0) is None
    assert [row.state for row in ledger.rows()] == ["left out", "ready"]
    ledger.leave("a")
    assert state_of(ledger, "a") == "left out"


def test_a_unit_that_fails_on_three_mcrts_is_bad() -> None:
    ledger = ledger_of("a", "b", "c", "d", threads=1)
    take(ledger, "d")
    for mcrt in "abc":
        assert ledger.bad_unit is None
        lease = take(ledger, mcrt)
        assert ids_of(lease) == [1]
        fail(ledger, lease)
    bad = ledger.bad_unit
    assert bad is not None
    unit = ledger.plan.units(np.array([1]))[0]
    assert (bad.unit, bad.tile, bad.begin, bad.end) == (1, unit["tile"], 0, 1)
    assert bad.reasons == {mcrt: f"{mcrt} raised" for mcrt in "abc"}


def test_a_unit_that_fails_on_all_mcrts_that_may_try_is_bad() -> None:
    ledger = ledger_of("a", "b", "drains", threads=1)
    ledger.drain("drains")
    fail(ledger, take(ledger, "a"))
    assert ledger.bad_unit is None
    fail(ledger, take(ledger, "b"))
    assert ledger.bad_unit is not None


def test_the_only_mcrt_need_not_fail_three_times() -> None:
    ledger = ledger_of("a", threads=4)
    fail(ledger, take(ledger, "a"))
    assert ledger.left_out == ("a",)
    bad = ledger.bad_unit
    assert bad is not None
    assert (bad.unit, list(bad.reasons)) == (0, ["a"])


def test_nobody_is_present_and_no_unit_is_called_bad_for_it() -> None:
    ledger = ledger_of("a", threads=1)
    take(ledger, "a")
    ledger.leave("a", "it crashed")
    assert ledger.bad_unit is None
    ledger.join("b", 1)
    assert ledger.bad_unit is None
    assert ids_of(take(ledger, "b")) == [0]


def test_a_failed_unit_that_is_accepted_after_all_is_not_bad() -> None:
    ledger = ledger_of("a", threads=1)
    lease = take(ledger, "a")
    fail(ledger, lease)
    bad = ledger.bad_unit
    assert bad is not None
    ledger.accept(receipt_of(ledger, lease), 2.0)
    assert ledger.bad_unit is None
    assert ids_of(take(ledger, "a"))[0] == 1


@pytest.mark.parametrize("told", ["at once", "later"])
def test_units_of_the_lease_that_crashed_are_leased_alone(told: str) -> None:
    ledger = ledger_of("a", "b", threads=3)
    running, _ = take(ledger, "a"), take(ledger, "a")
    ledger.accept(receipt_of(ledger, take(ledger, "b")), 1.0)
    if told == "at once":
        assert ledger.leave("a", "it crashed") == 6
    else:
        assert ledger.leave("a") == 6
        ledger.blame("a", "it crashed")
        ledger.blame("a", "it crashed")
    for unit in ids_of(running):
        lease = take(ledger, "b")
        assert ids_of(lease) == [unit]
        ledger.accept(receipt_of(ledger, lease), 1.0)
    assert ids_of(take(ledger, "b"))[:2] == [3, 4]  # what waited behind them goes as ever
    assert not ledger.left_out
    assert ledger.bad_unit is None


def test_a_crash_of_a_unit_alone_is_a_failure_of_that_unit() -> None:
    ledger = ledger_of("a", "b", threads=2)
    take(ledger, "a")
    ledger.leave("a", "it crashed")
    ledger.join("a", 2)
    assert ids_of(take(ledger, "a")) == [0]
    assert ids_of(take(ledger, "a")) == [1]
    ledger.leave("a", "it crashed again")
    ledger.join("a", 2)
    assert ids_of(take(ledger, "a")) == [1]
    assert ids_of(take(ledger, "b")) == [0]
    ledger.leave("b", "b crashed")
    bad = ledger.bad_unit
    assert bad is not None
    assert bad.reasons == {"a": "it crashed again", "b": "b crashed"}


def test_what_returned_before_the_crash_is_not_blamed() -> None:
    ledger = ledger_of("a", "b", threads=2)
    first = take(ledger, "a")
    take(ledger, "a")
    ledger.rendered(first.lease_id, 0.5)
    ledger.leave("a", "it crashed")
    assert [ids_of(take(ledger, "b")) for _ in range(2)] == [[2], [3]]
    ledger.join("c", 2)
    assert ids_of(take(ledger, "c")) == [0, 1]


def test_an_mcrt_that_crashes_on_units_that_others_can_render_is_left_out() -> None:
    ledger = ledger_of("a", "b", threads=2)
    for _ in range(MAX_FAILED_UNITS):
        assert not ledger.left_out
        take(ledger, "a")
        ledger.leave("a", "it crashed")
        ledger.join("a", 2)
        for _ in range(2):
            lease = take(ledger, "b")
            assert len(lease.units) == 1
            ledger.accept(receipt_of(ledger, lease), 1.0)
    assert ledger.left_out == ("a",)
    assert ledger.bad_unit is None


def test_losing_an_mcrt_that_idles_is_nobodys_fault() -> None:
    ledger = ledger_of("a", threads=2)
    lease = take(ledger, "a")
    ledger.accept(receipt_of(ledger, lease), 1.0)
    for _ in range(MAX_FAILED_UNITS):
        ledger.leave("a", "it crashed")
        ledger.join("a", 2)
    ledger.blame("unheard of", "it crashed")
    assert not ledger.left_out


def test_fails_for_leases_that_are_closed_or_of_others_are_ignored() -> None:
    ledger = ledger_of("a", "b", threads=2)
    mine, other = take(ledger, "a"), take(ledger, "b")
    assert fail(ledger, mine, *ids_of(other)) == 0
    assert fail(ledger, mine, 0) == 1
    assert fail(ledger, mine, 0) == 0
    ledger.accept(receipt_of(ledger, other), 1.0)
    assert fail(ledger, other) == 0
    assert ledger.open_units == 1
    with pytest.raises(ValueError, match="not all in a plan"):
        fail(ledger, mine, -1)
    assert ledger.fail(mine.lease_id, np.array([]), "nothing", 1.0) == 0


def test_a_unit_that_failed_here_but_was_rendered_there_is_no_suspect() -> None:
    ledger = ledger_of("a", "b", threads=2)
    lease = take(ledger, "a")
    ledger.restore(0, 1, np.array([1]), Tally())
    assert fail(ledger, lease, 1) == 0
    assert ledger.bad_unit is None
    ledger.restore(0, 1, np.array([], "i8"), Tally())
    assert ids_of(take(ledger, "a")) == [1, 2]
