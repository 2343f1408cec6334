"""The line of sessions that wait: order, leaving, and coming back after a loss."""

from __future__ import annotations

from dataclasses import replace

from arras_ray.session.fairness import Demand
from arras_ray.session.waiting_line import SETTLE_SECONDS, UNSEEN_SECONDS, Ticket, WaitingLine


def ticket(id: str, waited: float = 0.0) -> Ticket:
    return Ticket(id, Demand("shot", "ada", 1.0, 1, 4), waited)


def ids(line: WaitingLine, now: float) -> list[str]:
    return [one.id for one in line.tickets(now)]


def test_who_came_first_is_first_whoever_asks_first_now() -> None:
    line = WaitingLine(0.0)
    assert [line.ask(ticket(id), now) for id, now in (("b", 1.0), ("a", 2.0), ("c", 3.0))] == [0, 1, 2]
    assert [line.ask(ticket(id, 2.0), 4.0) for id in "cab"] == [2, 1, 0]
    assert ids(line, 4.0) == ["b", "a", "c"]
    assert line.settled(4.0)


def test_who_leaves_makes_place() -> None:
    line = WaitingLine(0.0)
    for id in "abc":
        line.ask(ticket(id), ord(id))
    line.leave("a")
    line.leave("a")
    line.leave("nobody")
    assert line.ask(ticket("c"), 100.0) == 1


def test_who_is_not_seen_any_more_is_dropped() -> None:
    line = WaitingLine(0.0)
    line.ask(ticket("a"), 1.0)
    line.ask(ticket("b"), 2.0)
    assert line.ask(ticket("b"), 1.0 + UNSEEN_SECONDS) == 1
    assert line.ask(ticket("b"), 1.1 + UNSEEN_SECONDS) == 0


def test_a_dropped_one_that_was_only_slow_has_its_place_again() -> None:
    line = WaitingLine(0.0)
    line.ask(ticket("a"), 1.0)
    line.ask(ticket("b"), 2.0)
    line.ask(ticket("b"), 20.0)
    assert line.ask(ticket("a", waited=20.0), 21.0) == 0


def test_after_a_loss_the_order_is_the_old_one_and_nobody_is_hurried() -> None:
    line = WaitingLine(1000.0)
    assert line.ask(ticket("late", waited=5.0), 1000.1) == 0
    assert not line.settled(1000.1)
    assert line.ask(ticket("new"), 1000.2) == 1
    assert line.ask(ticket("first", waited=90.0), 1000.9) == 0
    assert ids(line, 1001.0) == ["first", "late", "new"]
    assert not line.settled(1000.0 + SETTLE_SECONDS - 0.1)
    assert line.settled(1000.0 + SETTLE_SECONDS)


def test_the_next_one_has_its_turn_while_the_first_is_placed() -> None:
    line = WaitingLine(0.0)
    line.ask(ticket("a"), 1.0)
    assert line.ask(ticket("b"), 2.0) == 1
    line.ask(replace(ticket("a"), placing=3), 3.0)
    assert line.ask(ticket("b"), 3.0) == 0
    assert line.ask(ticket("c"), 3.0) == 1
    line.ask(ticket("a"), 4.0)  # somebody else was quicker
    assert line.ask(ticket("b"), 4.0) == 1
