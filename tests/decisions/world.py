"""A session without processes: seeded events in any order, and what must hold whatever they were.

Messages are late, doubled, out of order or lost with who sent them. Mcrts come, go, crash, raise and finish leases in
part; merges are replaced from their last save; dispatch is replaced and asks the merges.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from grains import sums_of

from arras_ray.film import Film, shard_of_tile
from arras_ray.ledger import Ledger
from arras_ray.messages import FilmState, Lease, Receipt, Tally
from arras_ray.tallies import Tallies
from arras_ray.unit_plan import UnitPlan
from arras_ray.unit_states import ACCEPTED, APART, NOBODY, QUEUED

PLAN = UnitPlan(250, 180, 20)
UNITS = PLAN.units(np.arange(PLAN.n_units))
SUMS = sums_of(PLAN, UNITS)
SHARDS = shard_of_tile(UNITS["tile"], PLAN.width, PLAN.height, 2)
N_SHARDS = 2
WINDOW = 2
NAMES = list("abcdefgh")

WHOLE = Film(PLAN.width, PLAN.height)
WHOLE.accept(UNITS, SUMS)


class MergeModel:
    """One shard: a film, its last save, and how often it was replaced."""

    def __init__(self, shard: int, film_type: type[Film]) -> None:
        self.shard = shard
        self.life = 0
        self.saved: FilmState | None = None
        self._film_type = film_type
        self.film = film_type(PLAN.width, PLAN.height)
        self.tallies = Tallies()

    def accept(self, lease: Lease, ids: np.ndarray, rate: float) -> Receipt | None:
        """A receipt names all units of a part that are in the film: an earlier one may not have been heard."""
        mine = ids[self.shard == SHARDS[ids]]
        if not len(mine):
            return None
        new = self.film.accept(UNITS[mine], SUMS[mine])
        self.tallies.add(self.shard, lease.mcrt, int(PLAN.samples(new).sum()))
        samples = int(PLAN.samples(mine).sum())
        return Receipt(
            1, lease.lease_id, lease.mcrt, mine, samples / rate, samples, 0, None, shard=self.shard, life=self.life
        )

    def save(self) -> None:
        tiles = np.unique(UNITS["tile"][self.shard == SHARDS])
        self.saved = self.film.save(tiles, sync_id=1, tally=self.tallies.of(self.shard))

    def replace(self) -> None:
        self.life += 1
        self.film = self._film_type(PLAN.width, PLAN.height)
        self.tallies = Tallies()
        if self.saved is not None:
            self.film.restore(self.saved)
            self.tallies.put(self.shard, self.saved.tally)


@dataclass
class Answer:
    """What a merge had when it was asked."""

    shard: int
    life: int
    accepted: np.ndarray
    tally: Tally


@dataclass
class End:
    """The return of a lease's call."""

    lease_id: int
    unfinished: np.ndarray
    failed: np.ndarray


class World:
    """seen counts what happened, so that a test can tell that something did."""

    def __init__(self, seed: int, ledger_type: type[Ledger] = Ledger, film_type: type[Film] = Film) -> None:
        self.rng = np.random.default_rng(seed)
        self.seen: Counter[str] = Counter()
        self.now = 0.0
        self._ledger_type = ledger_type
        self.ledger = ledger_type(PLAN, sync_id=1, window=WINDOW)
        self.merges = [MergeModel(shard, film_type) for shard in range(N_SHARDS)]
        self.calls: dict[str, list[Lease]] = {}  # of the mcrts that are here
        self.parts: list[tuple[Lease, np.ndarray]] = []  # kept by mcrts until a merge has them
        self.receipts: list[Receipt] = []
        self.heard: list[Receipt] = []
        self.ends: list[End] = []
        self.answers: list[Answer] = []
        self.gone: list[str] = []  # mcrts to be blamed

    def run(self) -> None:
        """Many events and much trouble, then a quieter time that comes near the end; the books checked after each."""
        good = [self.lease] * 5 + [self.render] * 4 + [self.part, self.receipt, self.end] * 4 + [self.tick] * 2
        bad = [self.leave, self.blame, self.drain, self.lose_merge, self.receipt_again, self.ask, self.lose_dispatch]
        for n_events, trouble in ((150, 0.2), (450, 0.015)):
            for _ in range(n_events):
                if self.chance(trouble):
                    bad[int(self.rng.integers(len(bad)))]()
                elif self.chance(0.1):
                    [self.join, self.save, self.answer][int(self.rng.integers(3))]()
                else:
                    good[int(self.rng.integers(len(good)))]()
                check_books(self.ledger)

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def join(self) -> None:
        absent = [name for name in NAMES if name not in self.calls and name not in self.ledger.left_out]
        if len(self.calls) >= 4 or not absent:
            if self.chance(0.9):
                return
            absent = list(self.calls)  # one starts anew before anybody noticed that it was gone
        name = str(self.rng.choice(absent))
        self.calls[name] = []
        self.ledger.join(name, int(self.rng.integers(1, 5)))

    def leave(self) -> None:
        if not self.calls:
            return
        name = str(self.rng.choice(list(self.calls)))
        del self.calls[name]
        if self.chance(0.5):
            self.parts = [part for part in self.parts if part[0].mcrt != name]
        self.ledger.leave(name)
        if self.chance(0.3):
            self.gone.append(name)

    def blame(self) -> None:
        """That it had crashed is known later, perhaps when another one has its name."""
        if self.gone:
            self.ledger.blame(self.gone.pop(0), "it crashed")

    def drain(self) -> None:
        if self.calls and self.chance(0.3):
            self.ledger.drain(str(self.rng.choice(list(self.calls))))

    def lease(self) -> None:
        if not self.calls:
            return
        name = str(self.rng.choice(list(self.calls)))
        lease = self.ledger.lease(name, self.now)
        if lease is None:
            return
        assert name in self.ledger.able
        self.calls[name].append(lease)
        holders = self.ledger._states._second[lease.units["id"]]
        self.seen["leased twice"] += bool((holders == lease.lease_id).any())

    def render(self) -> None:
        """An mcrt's running lease ends: all done, or some cancelled, or some failed."""
        busy = [name for name, calls in self.calls.items() if calls]
        if not busy:
            return
        lease = self.calls[str(self.rng.choice(busy))].pop(0)
        ids = self.rng.permutation(lease.units["id"])
        n = len(ids) if self.chance(0.7) else int(self.rng.integers(len(ids) + 1))
        failed = ids[n:] if self.chance(0.3) else ids[:0]
        if n:
            self.parts.append((lease, ids[:n]))
        self.ends.append(End(lease.lease_id, np.setdiff1d(ids[n:], failed), failed))

    def part(self) -> None:
        if self.parts:
            part = self.parts.pop(int(self.rng.integers(len(self.parts))))
            if self.chance(0.25):
                self.parts.append(part)
            self.deliver(*part)

    def deliver(self, lease: Lease, ids: np.ndarray) -> None:
        rate = float(self.rng.choice([1e5, 1e6, 1e9]))
        receipts = [merge.accept(lease, ids, rate) for merge in self.merges]
        self.receipts += [receipt for receipt in receipts if receipt is not None]

    def receipt(self) -> None:
        if self.receipts:
            receipt = self.receipts.pop(int(self.rng.integers(len(self.receipts))))
            self.ledger.accept(receipt, self.now)
            self.heard.append(receipt)

    def receipt_again(self) -> None:
        if self.heard:
            receipt = self.heard[int(self.rng.integers(len(self.heard)))]
            self.seen["receipt of an earlier life"] += receipt.life < self.merges[receipt.shard].life
            self.ledger.accept(receipt, self.now)

    def end(self) -> None:
        if not self.ends:
            return
        end = self.ends.pop(int(self.rng.integers(len(self.ends))))
        self.ledger.rendered(end.lease_id, self.now)
        if len(end.failed):
            self.seen["failed"] += self.ledger.fail(end.lease_id, end.failed, "it raised", self.now)
        self.ledger.release(end.lease_id, end.unfinished)

    def tick(self) -> None:
        self.now += float(self.rng.choice([0.1, 2.0, 20.0], p=[0.6, 0.35, 0.05]))
        self.seen["expired"] += self.ledger.expire(self.now)
        for name, _ in self.ledger.overdue(self.now):
            self.seen["overdue"] += 1
            self.calls.pop(name, None)
            self.ledger.leave(name, "it hung")
        for name in [name for name in self.calls if self.ledger.drained(name) or name in self.ledger.left_out]:
            self.seen["drained"] += self.ledger.drained(name)
            self.ledger.leave(name)
            del self.calls[name]
        self.seen["apart"] += len(self.ledger._states.apart)
        self.seen["left out"] += len(self.ledger.left_out)
        self.seen["bad unit"] += self.ledger.bad_unit is not None

    def save(self) -> None:
        self.merges[int(self.rng.integers(N_SHARDS))].save()

    def ask(self) -> None:
        self.answers.append(self.answer_of(self.merges[int(self.rng.integers(N_SHARDS))]))

    def answer(self) -> None:
        """Answers come in order: one supervisor asks."""
        if self.answers:
            self.restore(self.answers.pop(0))

    def lose_merge(self) -> None:
        merge = self.merges[int(self.rng.integers(N_SHARDS))]
        merge.replace()
        self.receipts = [r for r in self.receipts if r.shard != merge.shard or self.chance(0.5)]
        self.answers.append(self.answer_of(merge))

    def lose_dispatch(self) -> None:
        """A new one asks all merges; mcrts go on with the old leases and get new ones besides."""
        self.seen["dispatch lost"] += 1
        first = self.ledger._next_lease_id + 100
        self.ledger = self._ledger_type(PLAN, sync_id=1, window=WINDOW, first_lease_id=first)
        self.ends.clear()
        self.receipts = [receipt for receipt in self.receipts if self.chance(0.5)]
        self.answers.clear()
        for merge in self.merges:
            self.restore(self.answer_of(merge))
        for name in self.calls:
            self.ledger.join(name, 2)

    def answer_of(self, merge: MergeModel) -> Answer:
        return Answer(merge.shard, merge.life, merge.film.accepted, merge.tallies.of(merge.shard))

    def restore(self, answer: Answer) -> None:
        lost = self.ledger.restore(answer.shard, N_SHARDS, answer.accepted, answer.tally, answer.life)
        self.seen["lost with a merge"] += lost

    def settle(self) -> None:
        """Let everything under way arrive, finish with one mcrt that works, and look at the picture."""
        for calls in self.calls.values():
            while calls:
                lease = calls.pop(0)
                self.parts.append((lease, lease.units["id"]))
                self.ends.append(End(lease.lease_id, lease.units["id"][:0], lease.units["id"][:0]))
        while self.parts:
            self.deliver(*self.parts.pop())
        for merge in self.merges:
            self.restore(self.answer_of(merge))
        while self.receipts or self.ends:
            self.receipt()
            self.end()
        for receipt in self.heard:  # each once more
            self.ledger.accept(receipt, self.now)
        self.now += 1000.0
        self.ledger.expire(self.now)
        check_books(self.ledger)
        assert self.ledger.open_units == 0, "a lease stays open for ever"
        self.ledger.join("last", 2)
        for _ in range(2 * PLAN.n_units):
            last = self.ledger.lease("last", self.now)
            if last is None:
                break
            self.ledger.rendered(last.lease_id, self.now)
            self.deliver(last, last.units["id"])
            while self.receipts:
                self.receipt()
        self.check_picture()

    def check_picture(self) -> None:
        assert self.ledger.done, "units were lost"
        assert self.ledger.samples == self.ledger.total_samples
        assert self.ledger.bad_unit is None
        logs = [merge.film.log for merge in self.merges]
        assert sorted(np.concatenate(logs).tolist()) == UNITS["id"].tolist(), "not each unit was accepted once"
        assert np.sum([merge.film.sums for merge in self.merges], axis=0).tobytes() == WHOLE.sums.tobytes()
        for merge in self.merges:
            self.restore(self.answer_of(merge))
        assert self.ledger.done
        assert sum(sum(merge.tallies.of(merge.shard).samples.values()) for merge in self.merges) == self.ledger.samples


def check_books(ledger: Ledger) -> None:
    """Every unit is queued, apart, accepted, or held by one lease or two that are open; and the sums agree."""
    states = ledger._states
    state, second = states._state, states._second
    everything = np.arange(PLAN.n_units)
    leased = state > 0
    assert np.isin(state[~leased], [QUEUED, ACCEPTED, APART]).all()
    assert (second[~leased] == NOBODY).all()
    assert (second != state)[leased].all()
    for lease_id in np.unique([*state[leased], *second[second != NOBODY]]).tolist():
        assert lease_id in ledger._leases, f"lease {lease_id} was dropped"
    for lease_id, lease in ledger._leases.items():
        held = everything[(state == lease_id) | (second == lease_id)]
        assert np.isin(held, lease.unit_ids).all()
        assert lease.left == len(held) > 0
        assert lease_id in lease.mcrt.credit.open
    assert sum(len(m.credit.open) for m in ledger._mcrts.values()) == len(ledger._leases)
    for mcrt in ledger._mcrts.values():
        assert len(mcrt.credit.open) <= WINDOW
        assert mcrt.here or not (mcrt.credit.open or mcrt.calls), f"{mcrt.name} is gone and holds leases"
    assert states.left == np.count_nonzero(state != ACCEPTED)
    assert states.samples == PLAN.samples(everything[state == ACCEPTED]).sum()
    assert states.queued_samples == PLAN.samples(everything[state == QUEUED]).sum()
    assert states.apart == everything[state == APART].tolist()
    assert states.queued(PLAN.n_units).tolist() == everything[state == QUEUED].tolist()
