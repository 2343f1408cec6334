import dataclasses
import heapq
import itertools

import numpy as np
import pytest
from leasing import ledger_of, receipt_of, take

from arras_ray.ledger import MAX_LEASE_UNITS
from arras_ray.messages import BadSample, Lease
from arras_ray.pace import MAX_GROWTH


def test_the_first_lease_is_small_and_at_the_start_of_the_plan() -> None:
    ledger = ledger_of("a", "b", threads=3)
    assert take(ledger, "a").units["id"].tolist() == [0, 1, 2]
    assert take(ledger, "b").units["id"].tolist() == [3, 4, 5]


def test_an_mcrt_holds_no_more_leases_than_its_window() -> None:
    ledger = ledger_of("a")
    first = take(ledger, "a")
    take(ledger, "a")
    assert ledger.lease("a", 0.0) is None
    ledger.accept(receipt_of(ledger, first), 1.0)
    assert ledger.lease("a", 1.0) is not None
    assert ledger.lease("a", 1.0) is None


def test_a_lease_is_closed_when_all_its_units_are_accounted_for() -> None:
    ledger = ledger_of("a", threads=4)
    lease = take(ledger, "a")
    take(ledger, "a")
    assert ledger.accept(receipt_of(ledger, lease, ids=[0, 1]), 1.0) == 2
    assert ledger.lease("a", 1.0) is None
    assert ledger.release(lease.lease_id, np.array([2])) == 1
    assert ledger.lease("a", 1.0) is None
    assert ledger.accept(receipt_of(ledger, lease, ids=[3]), 1.0) == 1
    assert take(ledger, "a").units["id"][0] == 2


def test_leases_grow_to_the_target_time_but_not_at_once() -> None:
    ledger = ledger_of("a", width=3840, height=2160, spp=256)
    sizes = []
    for _ in range(400):
        lease = take(ledger, "a")
        sizes.append(int(ledger.plan.samples(lease.units["id"]).sum()))
        ledger.accept(receipt_of(ledger, lease, rate=4e6), 0.0)
    biggest_unit = 64 * 64 * 16
    for before, after in itertools.pairwise(sizes):
        assert after <= max(MAX_GROWTH * before, biggest_unit)
    assert 0.2 * 4e6 - biggest_unit < sizes[-1] <= 0.2 * 4e6


def test_leases_follow_each_mcrts_speed() -> None:
    ledger = ledger_of("slow", "fast", width=3840, height=2160, spp=256)
    sizes = {}
    for _ in range(200):
        for mcrt, rate in (("slow", 1e6), ("fast", 8e6)):
            lease = take(ledger, mcrt)
            sizes[mcrt] = int(ledger.plan.samples(lease.units["id"]).sum())
            ledger.accept(receipt_of(ledger, lease, rate), 0.0)
    assert sizes["fast"] / sizes["slow"] == pytest.approx(8, rel=0.1)
    rates = {row.name: row.rate for row in ledger.rows()}
    assert rates == pytest.approx({"slow": 1e6, "fast": 8e6}, rel=1e-6)


def test_a_lease_is_bounded_however_fast_an_mcrt_is() -> None:
    ledger = ledger_of("a", width=8192, height=8192, spp=1)
    sizes = []
    while not ledger.done:
        lease = take(ledger, "a")
        sizes.append(len(lease.units))
        ledger.accept(receipt_of(ledger, lease, rate=1e12), 0.0)
    assert max(sizes) == MAX_LEASE_UNITS


def test_leases_shrink_towards_the_end() -> None:
    """Guided: no lease takes more than half of its mcrt's share of what is left, down to one unit."""
    ledger = ledger_of("a", "b", "c", spp=16)
    sizes = []
    while not ledger.done:
        for mcrt in "abc":
            left = ledger.total_samples - ledger.samples
            lease = ledger.lease(mcrt, 0.0)
            if lease is None:
                continue
            samples = int(ledger.plan.samples(lease.units["id"]).sum())
            assert len(lease.units) == 1 or samples <= left / 6
            sizes.append(len(lease.units))
            ledger.accept(receipt_of(ledger, lease, rate=1e9), 0.0)
    assert sizes[-3:] == [1, 1, 1]
    assert max(sizes) > 10


@pytest.mark.parametrize("rates", [(1e6, 1e6), (1e6, 8e6), (5e5, 2e6, 8e6, 8e6)])
def test_all_mcrts_end_together_whatever_their_speeds(rates: tuple[float, ...]) -> None:
    """Played on a clock of its own: nobody waits at the end for longer than two units of the slowest mcrt."""
    ledger = ledger_of(*map(str, range(len(rates))), spp=64, threads=1)
    free_at = dict.fromkeys(map(str, range(len(rates))), 0.0)
    events: list[tuple[float, int, Lease]] = []

    def ask(mcrt: str, now: float) -> None:
        while (lease := ledger.lease(mcrt, now)) is not None:
            samples = int(ledger.plan.samples(lease.units["id"]).sum())
            free_at[mcrt] = max(free_at[mcrt], now) + samples / rates[int(mcrt)]
            heapq.heappush(events, (free_at[mcrt], lease.lease_id, lease))

    for mcrt in free_at:
        ask(mcrt, 0.0)
    while events:
        now, _, lease = heapq.heappop(events)
        ledger.accept(receipt_of(ledger, lease, rates[int(lease.mcrt)]), now)
        ask(lease.mcrt, now)
    assert ledger.done
    assert ledger.last_accept_at == max(free_at.values())
    assert max(free_at.values()) - min(free_at.values()) <= 2 * 64 * 64 * 16 / min(rates)
    assert max(free_at.values()) <= ledger.total_samples / sum(rates) + 2 * 64 * 64 * 16 / min(rates)


def test_units_of_a_lost_mcrt_come_first() -> None:
    ledger = ledger_of("a", "b")
    first = take(ledger, "a")
    second = take(ledger, "a")
    take(ledger, "b")
    assert ledger.leave("a") == len(first.units) + len(second.units) == 4
    assert ledger.leave("a") == 0
    assert take(ledger, "b").units["id"].tolist() == [0, 1]
    assert ledger.lease("a", 0.0) is None
    assert [row.state for row in ledger.rows()] == ["lost", "rendering"]


def test_a_late_receipt_of_a_lost_mcrt_counts_once() -> None:
    ledger = ledger_of("a", "b")
    lost = take(ledger, "a")
    ledger.leave("a")
    again = take(ledger, "b")
    assert np.array_equal(again.units, lost.units)
    assert ledger.accept(receipt_of(ledger, lost), 1.0) == 2
    # That accounts for b's lease too; b's own receipt has nothing new.
    assert ledger.open_units == 0
    assert ledger.rows()[1].open_leases == 0
    assert ledger.accept(receipt_of(ledger, again), 2.0) == 0
    assert ledger.samples == 2 * 64 * 64
    assert [row.samples for row in ledger.rows()] == [2 * 64 * 64, 0]
    assert ledger.last_accept_at == 1.0


def test_a_late_receipt_takes_units_off_the_queue() -> None:
    ledger = ledger_of("a", "b")
    lost = take(ledger, "a")
    ledger.leave("a")
    assert ledger.accept(receipt_of(ledger, lost), 1.0) == 2
    assert take(ledger, "b").units["id"].tolist() == [2, 3]


def test_an_mcrt_that_joins_again_starts_anew() -> None:
    ledger = ledger_of("a")
    done = take(ledger, "a")
    ledger.accept(receipt_of(ledger, done), 0.0)
    held = take(ledger, "a")
    ledger.join("a", 1)
    (row,) = ledger.rows()
    assert (row.threads, row.rate, row.open_leases, row.state) == (1, 0.0, 0, "ready")
    assert row.samples == 2 * 64 * 64
    assert take(ledger, "a").units["id"].tolist() == held.units["id"][:1].tolist()


def test_receipts_of_another_sync_id_are_ignored() -> None:
    ledger = ledger_of("a")
    lease = take(ledger, "a")
    stale = dataclasses.replace(receipt_of(ledger, lease), sync_id=0)
    assert ledger.accept(stale, 0.0) == 0
    assert ledger.samples == 0
    assert ledger.open_units == 2


def test_stop_leases_nothing_more_but_accepts_what_is_under_way() -> None:
    ledger = ledger_of("a")
    lease = take(ledger, "a")
    ledger.stop()
    assert ledger.lease("a", 0.0) is None
    assert ledger.accept(receipt_of(ledger, lease, ids=[0]), 0.0) == 1
    assert ledger.release(lease.lease_id, np.array([1])) == 1
    assert ledger.open_units == 0
    assert not ledger.done


def test_release_ignores_what_the_lease_does_not_hold() -> None:
    ledger = ledger_of("a", "b")
    mine, other = take(ledger, "a"), take(ledger, "b")
    assert ledger.release(mine.lease_id, other.units["id"]) == 0
    assert ledger.release(99, mine.units["id"]) == 0
    assert ledger.release(mine.lease_id, np.array([0, 0])) == 1
    assert ledger.release(mine.lease_id, np.array([0])) == 0
    assert ledger.open_units == 3
    assert ledger.release(mine.lease_id, np.array([])) == 0


def test_times_of_first_lease_and_last_acceptance() -> None:
    ledger = ledger_of("a")
    assert ledger.first_lease_at is None
    lease = ledger.lease("a", 5.0)
    assert lease is not None
    ledger.lease("a", 6.0)
    ledger.accept(receipt_of(ledger, lease), 7.5)
    ledger.accept(receipt_of(ledger, lease), 9.0)
    assert [ledger.first_lease_at, ledger.last_accept_at] == [5.0, 7.5]


def test_bad_samples_are_counted_and_the_lowest_is_named() -> None:
    ledger = ledger_of("a")
    low, high = BadSample(x=9, y=1, sample=0), BadSample(x=2, y=3, sample=0)
    for bad in (high, low):
        lease = take(ledger, "a")
        ledger.accept(dataclasses.replace(receipt_of(ledger, lease), bad_samples=2, first_bad=bad), 0.0)
    assert (ledger.bad_samples, ledger.first_bad) == (4, low)


def test_a_receipt_without_time_measures_nothing() -> None:
    ledger = ledger_of("a")
    lease = take(ledger, "a")
    ledger.accept(dataclasses.replace(receipt_of(ledger, lease), seconds=0.0), 0.0)
    assert ledger.rows()[0].rate == 0.0


def test_refuses_units_outside_the_plan_and_mcrts_without_threads() -> None:
    ledger = ledger_of("a", spp=1)
    lease = take(ledger, "a")
    with pytest.raises(ValueError, match="not all in a plan"):
        ledger.accept(dataclasses.replace(receipt_of(ledger, lease), unit_ids=np.array([10_000])), 0.0)
    with pytest.raises(ValueError, match="not all in a plan"):
        ledger.release(lease.lease_id, np.array([-1]))
    with pytest.raises(ValueError, match="at least one thread"):
        ledger.join("b", 0)


def test_a_large_picture_is_leased_to_the_end() -> None:
    ledger = ledger_of(*"abcdefgh", width=3840, height=2160, spp=1024, threads=32)
    n_leases = 0
    while not ledger.done:
        for mcrt in "abcdefgh":
            lease = ledger.lease(mcrt, 0.0)
            if lease is not None:
                n_leases += 1
                ledger.accept(receipt_of(ledger, lease, rate=6e7), 0.0)
    assert ledger.samples == ledger.total_samples == 3840 * 2160 * 1024
    assert n_leases < 2000
    assert ledger.lease("a", 0.0) is None
