"""Leases that take too long, work that is done twice near the end, and mcrts that leave without losing any."""

import numpy as np
import pytest
from leasing import ids_of, ledger_of, receipt_of, state_of, take

from arras_ray.ledger import Ledger
from arras_ray.messages import Lease, Tally
from arras_ray.pace import Deadlines

UNIT = 64 * 64
RATE = float(UNIT)
"""Samples a second: a unit of the first pass takes a second."""

DEADLINES = Deadlines(minimum=5.0, factor=10.0, first=100.0, receipt=7.0, late=1.0, late_factor=2.0)


def finish(ledger: Ledger, lease: Lease, now: float, rate: float = RATE) -> None:
    ledger.rendered(lease.lease_id, now)
    ledger.accept(receipt_of(ledger, lease, rate), now)


def nearly_done(*mcrts: str, units: int = 4) -> Ledger:
    """A ledger of so many units; all mcrts were measured, with RATE."""
    ledger = ledger_of(*mcrts, width=64 * (units + len(mcrts)), height=64, spp=1, threads=1, deadlines=DEADLINES)
    for mcrt in mcrts:
        finish(ledger, take(ledger, mcrt), 0.0)
    return ledger


def test_the_deadlines_of_a_session() -> None:
    usual = Deadlines()
    assert usual.hangs_after(None) == 300.0
    assert usual.hangs_after(0.5) == 30.0
    assert usual.hangs_after(2.0) == 40.0
    assert usual.late_after(0.1) == 1.0
    assert usual.late_after(3.0) == 6.0


def test_a_lease_is_overdue_by_its_mcrts_speed() -> None:
    ledger = nearly_done("a", "b")
    lease = take(ledger, "a", 10.0)  # one unit, a second: ten times that is more than the minimum
    assert ledger.overdue(20.0) == ()
    assert ledger.overdue(20.1) == (("a", lease.lease_id),)
    ledger.leave("a")
    assert ledger.overdue(20.1) == ()


def test_a_fast_mcrt_has_the_minimum_and_an_unmeasured_one_the_first_deadline() -> None:
    ledger = ledger_of("fast", "new", deadlines=DEADLINES)
    finish(ledger, take(ledger, "fast"), 0.0, rate=1e9)
    fast, new = take(ledger, "fast", 0.0), take(ledger, "new", 0.0)
    assert ledger.overdue(5.0) == ()
    assert ledger.overdue(100.0) == (("fast", fast.lease_id),)
    assert ledger.overdue(100.1) == (("fast", fast.lease_id), ("new", new.lease_id))


def test_the_time_of_a_lease_that_waits_begins_when_the_one_before_it_ends() -> None:
    ledger = nearly_done("a")
    first, second = take(ledger, "a", 0.0), take(ledger, "a", 0.0)
    ledger.rendered(first.lease_id, 9.0)
    assert ledger.overdue(19.0) == ()
    assert ledger.overdue(19.1) == (("a", second.lease_id),)
    ledger.rendered(first.lease_id, 19.0)  # told twice
    assert ledger.overdue(19.1) == (("a", second.lease_id),)
    ledger.rendered(second.lease_id, 19.2)
    assert ledger.overdue(1000.0) == ()


def test_a_call_that_returned_tells_that_those_before_it_did() -> None:
    ledger = nearly_done("a")
    take(ledger, "a", 0.0)
    second = take(ledger, "a", 0.0)
    ledger.rendered(second.lease_id, 50.0)
    assert ledger.overdue(1000.0) == ()


def test_a_receipt_for_a_whole_lease_tells_that_its_call_returned() -> None:
    ledger = nearly_done("a")
    first, second = take(ledger, "a", 0.0), take(ledger, "a", 0.0)
    ledger.accept(receipt_of(ledger, first, RATE), 9.0)
    assert ledger.overdue(19.0) == ()
    assert ledger.overdue(19.1) == (("a", second.lease_id),)


def test_an_mcrt_that_starts_anew_is_not_measured_by_the_one_before() -> None:
    ledger = nearly_done("a", "b")
    ledger.join("a", 1)
    take(ledger, "a", 0.0)
    assert ledger.overdue(100.0) == ()


def test_an_idle_mcrt_renders_what_another_is_late_with() -> None:
    ledger = nearly_done("slow", "idle", units=1)
    late = take(ledger, "slow", 10.0)
    assert ledger.lease("idle", 12.0) is None
    second = take(ledger, "idle", 12.1)
    assert np.array_equal(second.units, late.units)
    assert ledger.open_units == 1
    assert ledger.lease("idle", 20.0) is None  # nothing is leased three times
    ledger.join("third", 1)
    assert ledger.lease("third", 20.0) is None
    assert ledger.accept(receipt_of(ledger, second), 13.0) == 1
    assert ledger.done
    assert [row.open_leases for row in ledger.rows()] == [0, 0, 0]
    assert ledger.accept(receipt_of(ledger, late), 14.0) == 0
    assert ledger.rows()[1].samples == 2 * UNIT


def test_only_what_is_not_accepted_yet_is_leased_twice() -> None:
    ledger = nearly_done("idle", units=4)
    ledger.join("slow", 3)  # never measured: as fast as the others are
    late = take(ledger, "slow", 0.0)
    first, *rest = ids_of(late)
    while (lease := ledger.lease("idle", 0.0)) is not None:
        finish(ledger, lease, 0.0)
    ledger.accept(receipt_of(ledger, late, ids=[first]), 0.1)
    assert ids_of(ledger.lease("idle", 50.0)) == rest


def test_nothing_is_leased_twice_while_something_is_queued_or_the_mcrt_has_work() -> None:
    ledger = nearly_done("slow", "other", units=3)
    late = take(ledger, "slow", 0.0)
    queued = take(ledger, "other", 50.0)
    assert ids_of(queued) != ids_of(late)
    assert ids_of(take(ledger, "other", 50.0)) not in (ids_of(late), ids_of(queued))
    assert ledger.lease("other", 50.0) is None
    finish(ledger, queued, 50.0)
    assert ledger.lease("other", 50.0) is None


def test_the_latest_comes_first_and_what_waits_behind_it_next() -> None:
    ledger = nearly_done("late", "later", "idle", "second", "third", units=3)
    one = take(ledger, "later", 0.0)
    behind = take(ledger, "later", 0.0)
    other = take(ledger, "late", 1.0)
    found = [ids_of(take(ledger, mcrt, 50.0)) for mcrt in ("idle", "second", "third")]
    assert found == [ids_of(one), ids_of(behind), ids_of(other)]


@pytest.mark.parametrize("gone", ["slow", "idle"])
def test_when_one_of_two_holders_leaves_the_other_holds_on(gone: str) -> None:
    ledger = nearly_done("slow", "idle", units=1)
    leases = {"slow": take(ledger, "slow", 0.0)}
    leases["idle"] = take(ledger, "idle", 50.0)
    assert ledger.leave(gone, "it crashed") == 0
    assert ledger.open_units == 1
    (stays,) = {"slow", "idle"} - {gone}
    ledger.join("third", 1)
    assert ids_of(ledger.lease("third", 100.0)) == ids_of(leases["slow"])  # held once: may be leased again
    assert ledger.release(leases[stays].lease_id, leases[stays].units["id"]) == 0
    ledger.leave("third")
    assert ledger.open_units == 0
    assert ids_of(take(ledger, "slow" if stays == "slow" else "idle", 100.0)) == ids_of(leases["slow"])


def test_what_failed_here_is_not_leased_here_as_a_second_time() -> None:
    ledger = nearly_done("slow", "idle", units=1)
    tried = take(ledger, "idle", 0.0)
    ledger.fail(tried.lease_id, tried.units["id"], "it raised", 0.0)
    assert ids_of(take(ledger, "slow", 0.0)) == ids_of(tried)
    assert ledger.lease("idle", 50.0) is None


def test_nobody_is_late_as_long_as_nobody_was_measured() -> None:
    ledger = ledger_of("a", "b", width=64, height=64, spp=1)
    take(ledger, "a", 0.0)
    assert ledger.lease("b", 1e6) is None


def test_an_mcrt_whose_lease_was_done_by_another_still_runs_it() -> None:
    """Its next lease begins when that call returns; if it never does, the mcrt hangs in it and no unit is to blame."""
    ledger = nearly_done("slow", "idle", units=1)
    late = take(ledger, "slow", 0.0)
    finish(ledger, take(ledger, "idle", 50.0), 51.0)
    assert ledger.overdue(51.0) == (("slow", late.lease_id),)
    assert ledger.lease("slow", 51.0) is None
    ledger.restore(0, 1, np.array([], "i8"), Tally())
    assert take(ledger, "slow", 60.0)
    assert ledger.overdue(61.0) == (("slow", late.lease_id),)
    ledger.rendered(late.lease_id, 61.0)
    assert ledger.overdue(61.0) == ()


def test_what_was_rendered_and_never_accepted_is_queued_again() -> None:
    ledger = ledger_of("a", threads=3, deadlines=DEADLINES)
    lease = take(ledger, "a", 0.0)
    waiting = take(ledger, "a", 0.0)
    ledger.rendered(lease.lease_id, 10.0)
    ledger.accept(receipt_of(ledger, lease, ids=[1]), 10.0)
    assert ledger.expire(17.0) == 0
    assert ledger.expire(17.1) == 2
    assert ledger.expire(17.1) == 0
    assert ledger.open_units == len(waiting.units)
    assert ids_of(take(ledger, "a", 18.0))[:2] == [0, 2]
    assert ledger.accept(receipt_of(ledger, lease, ids=[0, 2]), 19.0) == 2


def test_an_mcrt_that_drains_ends_what_it_holds() -> None:
    ledger = ledger_of("a", "b", threads=2)
    assert not ledger.drained("b")
    first, second = take(ledger, "a"), take(ledger, "a")
    ledger.drain("a")
    assert ledger.lease("a", 1.0) is None
    assert ledger.able == ("b",)
    finish(ledger, first, 1.0)
    assert ledger.lease("a", 1.0) is None
    assert (ledger.drained("a"), state_of(ledger, "a")) == (False, "draining")
    finish(ledger, second, 2.0)
    assert ledger.drained("a")
    assert ledger.leave("a") == 0
    assert state_of(ledger, "a") == "drained"
    ledger.join("a", 2)
    assert state_of(ledger, "a") == "ready"
    assert ids_of(ledger.lease("a", 3.0))


def test_an_mcrt_that_is_gone_or_unknown_is_drained() -> None:
    ledger = ledger_of("a")
    take(ledger, "a")
    ledger.leave("a")
    ledger.drain("unknown")
    assert ledger.drained("a")
    assert ledger.drained("unknown")
    assert state_of(ledger, "a") == "lost"
