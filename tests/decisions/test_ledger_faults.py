"""Whatever happens between dispatch, mcrt and merge, each unit is accepted once and the picture is the same."""

from __future__ import annotations

import numpy as np
from grains import sums_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from arras_ray.film import Film, shard_of_tile
from arras_ray.ledger import Ledger
from arras_ray.messages import Lease, Receipt
from arras_ray.unit_plan import UnitPlan

PLAN = UnitPlan(150, 100, 20)
UNITS = PLAN.units(np.arange(PLAN.n_units))
SUMS = sums_of(PLAN, UNITS)
WINDOW = 2
N_SHARDS = 2
NAMES = st.sampled_from(["a", "b", "c", "d"])

WHOLE = Film(PLAN.width, PLAN.height)
WHOLE.add(UNITS, SUMS)


class Session(RuleBasedStateMachine):
    """Mcrts that come, go, come back, finish parts of leases; messages that are late, doubled and out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(PLAN, sync_id=1, window=WINDOW)
        self.films = [Film(PLAN.width, PLAN.height) for _ in range(N_SHARDS)]
        self.rendering: list[Lease] = []
        self.parts: list[tuple[Lease, np.ndarray]] = []  # mcrt to merge
        self.receipts: list[Receipt] = []  # merge to dispatch
        self.seen: list[Receipt] = []
        self.accepted = 0

    @rule(name=NAMES, threads=st.integers(1, 5))
    def join(self, name: str, threads: int) -> None:
        self.ledger.join(name, threads)

    @rule(name=NAMES, parts_arrive=st.booleans())
    def leave(self, name: str, parts_arrive: bool) -> None:
        self.ledger.leave(name)
        if not parts_arrive:
            self.rendering = [lease for lease in self.rendering if lease.mcrt != name]
            self.parts = [part for part in self.parts if part[0].mcrt != name]

    @rule(name=NAMES)
    def lease(self, name: str) -> None:
        lease = self.ledger.lease(name, 0.0)
        if lease is not None:
            self.rendering.append(lease)

    @precondition(lambda self: self.rendering)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """An mcrt finishes some units of a lease, in any order, and releases the others."""
        lease = self.rendering.pop(data.draw(st.integers(0, len(self.rendering) - 1)))
        n = data.draw(st.integers(0, len(lease.units)))
        order = np.random.default_rng(n).permutation(lease.units["id"])
        if n:
            self.parts.append((lease, order[:n]))
        self.ledger.release(lease.lease_id, order[n:])

    @precondition(lambda self: self.parts)
    @rule(data=st.data(), twice=st.booleans(), rate=st.sampled_from([1e4, 1e6, 1e9]))
    def merge(self, data: st.DataObject, twice: bool, rate: float) -> None:
        """A part arrives at its shards, perhaps twice; each shard writes a receipt of what is new to it."""
        part = self.parts.pop(data.draw(st.integers(0, len(self.parts) - 1)))
        if twice:
            self.parts.append(part)
        self.deliver(*part, rate)

    @precondition(lambda self: self.receipts)
    @rule(data=st.data())
    def receive(self, data: st.DataObject) -> None:
        receipt = self.receipts.pop(data.draw(st.integers(0, len(self.receipts) - 1)))
        self.accepted += self.ledger.accept(receipt, 0.0)
        self.seen.append(receipt)

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def receive_again(self, data: st.DataObject) -> None:
        assert self.ledger.accept(data.draw(st.sampled_from(self.seen)), 0.0) == 0

    @invariant()
    def the_books_balance(self) -> None:
        for row in self.ledger.rows():
            assert 0 <= row.open_leases <= WINDOW
            assert row.state != "lost" or row.open_leases == 0
        assert self.accepted + self.ledger.open_units <= PLAN.n_units
        assert sum(row.samples for row in self.ledger.rows()) == self.ledger.samples
        assert self.ledger.done == (self.accepted == PLAN.n_units)

    def deliver(self, lease: Lease, ids: np.ndarray, rate: float) -> None:
        shards = shard_of_tile(UNITS["tile"][ids], PLAN.width, PLAN.height, N_SHARDS)
        for shard, film in enumerate(self.films):
            mine = ids[shards == shard]
            if len(mine):
                new = film.accept(UNITS[mine], SUMS[mine])
                samples = int(PLAN.samples(mine).sum())
                self.receipts.append(Receipt(1, lease.lease_id, lease.mcrt, new, samples / rate, samples))

    def teardown(self) -> None:
        """Let everything under way arrive, finish with an mcrt that works, and look at the picture."""
        for lease in self.rendering:
            self.parts.append((lease, lease.units["id"]))
        for part in self.parts:
            self.deliver(*part, 1e6)
        for receipt in self.receipts:
            self.ledger.accept(receipt, 0.0)
        self.receipts.clear()
        for row in self.ledger.rows():
            self.ledger.leave(row.name)
        assert self.ledger.open_units == 0
        self.ledger.join("last", 2)
        for _ in range(PLAN.n_units):
            last = self.ledger.lease("last", 0.0)
            if last is None:
                break
            self.deliver(last, last.units["id"], 1e6)
            for receipt in self.receipts:
                self.ledger.accept(receipt, 0.0)
            self.receipts.clear()
        assert self.ledger.done
        assert self.ledger.samples == self.ledger.total_samples
        assert sorted(np.concatenate([film.accepted for film in self.films]).tolist()) == UNITS["id"].tolist()
        assert (self.films[0].sums + self.films[1].sums).tobytes() == WHOLE.sums.tobytes()


Session.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSession = Session.TestCase
