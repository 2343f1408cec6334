"""The pool of mcrts on real actors: leases in turns, within their credits; each loss told once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import ray

from arras_ray.actors.cluster import Cluster
from arras_ray.actors.pool import ActorPool
from arras_ray.messages import UNIT, Lease

PATIENCE = 60.0


class Renderer:
    """Ends a lease at once; fails at lease 13; never ends leases from 100 on."""

    def render(self, lease: Lease) -> int:
        if lease.lease_id == 13:
            raise RuntimeError("a lease that cannot be rendered")
        if lease.lease_id >= 100:
            threading.Event().wait()
        return lease.lease_id

    def pid(self) -> int:
        return os.getpid()


class Work:
    """Leases to give out, credits, and what the pool told."""

    def __init__(self, leases: dict[str, list[int]], credits: int) -> None:
        self.leases = leases
        self.credits = dict.fromkeys(leases, credits)
        self.given: list[str] = []
        self.ended: list[tuple[str, int]] = []
        self.lost: list[tuple[str, str]] = []
        self.failed: list[str] = []
        self._told = threading.Condition()

    def next_lease(self, member: str) -> Lease | None:
        if not self.credits[member] or not self.leases[member]:
            return None
        self.credits[member] -= 1
        self.given.append(member)
        return Lease(self.leases[member].pop(0), 1, member, np.zeros(1, UNIT))

    def has_ended(self, member: str, result: Any) -> None:
        with self._told:
            self.ended.append((member, result))
            self._told.notify_all()

    def is_lost(self, member: str, reason: str) -> None:
        with self._told:
            self.lost.append((member, reason))
            self._told.notify_all()

    def has_failed(self, reason: str) -> None:
        with self._told:
            self.failed.append(reason)
            self._told.notify_all()

    def refuses(self, member: str, result: Any) -> None:
        raise ValueError("a lease nobody knows")

    def wait_for_failure(self) -> None:
        with self._told:
            assert self._told.wait_for(lambda: bool(self.failed), PATIENCE)

    def wait_for(self, ended: int = 0, lost: int = 0) -> None:
        with self._told:
            assert self._told.wait_for(lambda: len(self.ended) >= ended and len(self.lost) >= lost, PATIENCE)


@pytest.fixture(scope="module")
def renderers(ray_here: Cluster) -> list[Any]:
    return [ray.remote(Renderer).options(num_cpus=0, max_concurrency=2).remote() for _ in range(2)]


@pytest.fixture
def fresh(ray_here: Cluster) -> Iterator[Any]:
    """An actor that a test may kill."""
    actor: Any = ray.remote(Renderer).options(num_cpus=0, max_concurrency=2).remote()
    yield actor
    ray.kill(actor)


def pool_of(work: Work, members: dict[str, Any]) -> ActorPool:
    pool = ActorPool(work.next_lease, work.has_ended, work.is_lost, work.has_failed)
    for name, actor in members.items():
        pool.add(name, actor)
    return pool


def test_leases_go_round_until_the_credits_are_spent(renderers: list[Any]) -> None:
    work = Work({"a": [1, 2, 3], "b": [4, 5, 6]}, credits=2)
    pool = pool_of(work, {"a": renderers[0], "b": renderers[1]})
    pool.pump()
    assert work.given == ["a", "b", "a", "b"]
    work.wait_for(ended=4)
    assert sorted(work.ended) == [("a", 1), ("a", 2), ("b", 4), ("b", 5)]
    pool.pump()  # the calls have ended, yet nobody gave a credit back
    assert len(work.given) == 4
    work.credits["b"] += 1
    pool.pump()
    work.wait_for(ended=5)
    assert work.ended[-1] == ("b", 6)
    assert not work.lost


def test_a_killed_member_is_told_once_and_gets_nothing_more(renderers: list[Any], fresh: Any) -> None:
    work = Work({"a": [1], "b": [100, 101, 7]}, credits=2)
    pool = pool_of(work, {"a": renderers[0], "b": fresh})
    pid = ray.get(fresh.pid.remote(), timeout=PATIENCE)
    pool.pump()
    os.kill(pid, signal.SIGKILL)
    work.wait_for(ended=1, lost=1)
    work.credits["b"] += 1
    pool.pump()
    assert set(pool.members) == {"a"}
    work.leases["a"].append(2)
    pool.pump()
    work.wait_for(ended=2)
    ((member, reason),) = work.lost
    assert member == "b"
    assert reason.startswith("its process died: ")
    assert "\n" not in reason
    assert work.ended == [("a", 1), ("a", 2)]
    assert work.leases["b"] == [7]


def test_a_member_that_fails_is_lost_with_its_reason(renderers: list[Any]) -> None:
    work = Work({"a": [13, 14]}, credits=2)
    pool = pool_of(work, {"a": renderers[0]})
    pool.pump()
    work.wait_for(lost=1)
    ((member, reason),) = work.lost
    assert member == "a"
    assert "a lease that cannot be rendered" in reason
    assert not pool.members


def test_a_pool_that_cannot_go_on_says_so(renderers: list[Any]) -> None:
    work = Work({"a": [1]}, credits=1)
    pool = ActorPool(work.next_lease, work.refuses, work.is_lost, work.has_failed)
    pool.add("a", renderers[0])
    pool.pump()
    work.wait_for_failure()
    assert work.failed == ["the leases cannot be watched any more: ValueError: a lease nobody knows"]


def test_a_member_that_was_taken_away_is_forgotten_with_its_calls(renderers: list[Any], fresh: Any) -> None:
    work = Work({"a": [1], "b": [100]}, credits=1)
    pool = pool_of(work, {"b": fresh})
    pool.pump()
    assert pool.remove("b")
    assert not pool.remove("b")
    ray.kill(fresh)
    pool.add("a", renderers[0])
    pool.pump()
    work.wait_for(ended=1)
    assert work.ended == [("a", 1)]
    assert not work.lost


def test_a_member_that_comes_later_gets_leases(renderers: list[Any]) -> None:
    work = Work({"late": [1]}, credits=1)
    pool = pool_of(work, {})
    pool.pump()
    assert not work.given
    pool.add("late", renderers[1])
    pool.pump()
    work.wait_for(ended=1)
    assert work.ended == [("late", 1)]
