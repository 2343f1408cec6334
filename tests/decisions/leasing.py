"""A ledger with mcrts, and what its leases come back as."""

from __future__ import annotations

from typing import Any

import numpy as np

from arras_ray.ledger import Ledger
from arras_ray.messages import Lease, Receipt
from arras_ray.unit_plan import UnitPlan


def ledger_of(
    *mcrts: str, width: int = 960, height: int = 540, spp: int = 64, threads: int = 2, **options: Any
) -> Ledger:
    ledger = Ledger(UnitPlan(width, height, spp), sync_id=1, **options)
    for mcrt in mcrts:
        ledger.join(mcrt, threads)
    return ledger


def take(ledger: Ledger, mcrt: str, now: float = 0.0) -> Lease:
    lease = ledger.lease(mcrt, now)
    assert lease is not None
    return lease


def ids_of(lease: Lease | None) -> list[int]:
    return [] if lease is None else lease.units["id"].tolist()


def receipt_of(
    ledger: Ledger, lease: Lease, rate: float = 1e6, ids: list[int] | None = None, **changes: Any
) -> Receipt:
    unit_ids = lease.units["id"] if ids is None else np.array(ids, "i8")
    samples = int(ledger.plan.samples(unit_ids).sum())
    return Receipt(lease.sync_id, lease.lease_id, lease.mcrt, unit_ids, samples / rate, samples, **changes)


def state_of(ledger: Ledger, mcrt: str) -> str:
    return next(row.state for row in ledger.rows() if row.name == mcrt)
