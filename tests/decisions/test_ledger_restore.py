"""What a ledger is told of merges that were replaced, and by merges when it is new itself."""

import numpy as np
import pytest
from leasing import ids_of, ledger_of, receipt_of, take

from arras_ray.film import shard_of_tile
from arras_ray.ledger import Ledger
from arras_ray.messages import BadSample, Tally

NOTHING = Tally()
UNIT = 64 * 64
"""Samples of a unit of the first pass inside the picture."""


def some(*ids: int) -> np.ndarray:
    return np.array(ids, "i8")


def shards_of(ledger: Ledger) -> np.ndarray:
    units = ledger.plan.units(np.arange(ledger.plan.n_units))
    return shard_of_tile(units["tile"], ledger.plan.width, ledger.plan.height, 2)


def test_a_new_ledger_leases_what_merges_do_not_have() -> None:
    ledger = ledger_of("a", threads=4, first_lease_id=50)
    tally = Tally({"a": 2 * UNIT, "gone": UNIT}, 1, BadSample(1, 2, 0))
    assert ledger.restore(0, 1, some(0, 1, 3), tally) == 0
    assert (ledger.samples, ledger.bad_samples, ledger.first_bad) == (3 * UNIT, 1, BadSample(1, 2, 0))
    assert [row.samples for row in ledger.rows()] == [2 * UNIT]
    lease = take(ledger, "a")
    assert lease.lease_id == 50
    assert ids_of(lease) == [2, 4, 5, 6]


def test_a_plan_that_merges_have_all_of_is_done() -> None:
    ledger = ledger_of("a", spp=1)
    ledger.restore(0, 1, np.arange(ledger.plan.n_units), NOTHING)
    assert ledger.done
    assert ledger.lease("a", 0.0) is None


def test_what_a_merge_lost_is_queued_again_at_the_front() -> None:
    ledger = ledger_of("a", threads=4)
    lease = take(ledger, "a")
    ledger.accept(receipt_of(ledger, lease), 1.0)
    assert ledger.restore(0, 1, some(0, 2), Tally({"a": 2 * UNIT}), life=1) == 2
    assert ledger.samples == 2 * UNIT
    assert ledger.rows()[0].samples == 2 * UNIT
    assert ids_of(take(ledger, "a"))[:3] == [1, 3, 4]


def test_a_ledger_that_was_done_is_not_done_when_a_merge_lost_units() -> None:
    ledger = ledger_of("a", width=64, height=64, spp=1)
    ledger.accept(receipt_of(ledger, take(ledger, "a")), 1.0)
    before = ledger.done
    ledger.restore(0, 1, some(), NOTHING, life=1)
    assert (before, ledger.done) == (True, False)
    assert ids_of(take(ledger, "a")) == [0]


def test_only_units_of_the_shard_are_put_right() -> None:
    ledger = ledger_of("a", threads=40)
    lease = take(ledger, "a")
    shards = shards_of(ledger)
    mine, others = np.flatnonzero(shards[:40] == 0), np.flatnonzero(shards[:40] == 1)
    assert len(mine)
    assert len(others)
    ledger.accept(receipt_of(ledger, lease, ids=mine.tolist(), shard=0), 1.0)
    ledger.accept(receipt_of(ledger, lease, ids=others.tolist(), shard=1, bad_samples=2), 1.0)
    assert ledger.restore(0, 2, some(), NOTHING, life=1) == len(mine)
    assert ledger.samples == ledger.plan.samples(others).sum() == ledger.rows()[0].samples
    assert ledger.bad_samples == 2
    with pytest.raises(ValueError, match=f"unit {others[0]} is not one of shard 0 of 2"):
        ledger.restore(0, 2, others, NOTHING, life=2)


def test_what_is_leased_and_not_accepted_stays_leased() -> None:
    ledger = ledger_of("a", "b", threads=4)
    lease = take(ledger, "a")
    ledger.accept(receipt_of(ledger, lease, ids=[0, 1]), 1.0)
    assert ledger.restore(0, 1, some(0), NOTHING, life=1) == 1
    assert ledger.open_units == 2
    assert ids_of(take(ledger, "b")) == [1, 4, 5, 6]
    assert ledger.accept(receipt_of(ledger, lease, life=1), 2.0) == 3


def test_what_a_merge_has_and_did_not_tell_closes_leases() -> None:
    ledger = ledger_of("a", threads=4)
    take(ledger, "a")
    take(ledger, "a")
    assert ledger.restore(0, 1, some(0, 1, 2, 3, 4), NOTHING) == 0
    assert ledger.open_units == 3
    assert ledger.rows()[0].open_leases == 1


def test_receipts_of_a_merge_that_was_replaced_are_ignored() -> None:
    ledger = ledger_of("a", threads=4)
    lease = take(ledger, "a")
    ledger.restore(0, 1, some(), NOTHING, life=2)
    assert ledger.accept(receipt_of(ledger, lease, life=1), 1.0) == 0
    assert (ledger.open_units, ledger.rows()[0].rate) == (4, 0.0)
    assert ledger.accept(receipt_of(ledger, lease, life=1, shard=1), 1.0) == 4  # another merge's lives are its own


def test_a_receipt_for_what_is_known_already_tallies_nothing() -> None:
    ledger = ledger_of("a")
    lease = take(ledger, "a")
    ledger.restore(0, 1, lease.units["id"], Tally({"a": 2 * UNIT}, 1, BadSample(0, 0, 0)))
    assert ledger.accept(receipt_of(ledger, lease, bad_samples=1), 1.0) == 0
    assert (ledger.rows()[0].samples, ledger.bad_samples) == (2 * UNIT, 1)


def test_refuses_units_outside_the_plan() -> None:
    ledger = ledger_of("a", width=64, height=64, spp=1)
    for unit in (-1, 1):
        with pytest.raises(ValueError, match="not all in a plan"):
            ledger.restore(0, 1, some(unit), NOTHING)
    assert not ledger.done
