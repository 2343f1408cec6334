"""The line of sessions that wait: order, leaving, coming back after a loss; and what a session begins with."""

from __future__ import annotations

from dataclasses import replace

from arras_ray.session.computation_spec import MB, ComputationSpec, Resources
from arras_ray.session.fairness import Demand
from arras_ray.session.waiting_line import SETTLE_SECONDS, UNSEEN_SECONDS, Ticket, WaitingLine
from arras_ray.waiting import demand_of, shortened


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


def mcrts(n: int, least: float = 1, most: float | None = None, array_min: int = 0) -> list[ComputationSpec]:
    asked = Resources(least, most, MB)
    return [ComputationSpec(f"mcrt_i{i}", "mcrt", asked, "mcrt", i, array_min=array_min) for i in range(n)]


MERGE = ComputationSpec("merge", "merge", Resources(2, 2, MB))


def names(computations: tuple[ComputationSpec, ...]) -> list[str]:
    return [one.name for one in computations]


def test_a_session_begins_with_its_share_of_which_one_mcrt_must_be_there() -> None:
    first = shortened([*mcrts(5), MERGE], 2)
    assert names(first) == ["mcrt_i0", "mcrt_i1", "merge"]
    assert [one.array_min for one in first] == [1, 1, 0]
    assert names(shortened(mcrts(5), 0)) == ["mcrt_i0"]
    assert names(shortened(mcrts(2), 5)) == ["mcrt_i0", "mcrt_i1"]


def test_what_its_array_must_have_is_there_from_the_first() -> None:
    assert len(shortened(mcrts(5, array_min=3), 1)) == 3


def test_what_is_no_array_stays() -> None:
    alone = replace(mcrts(1)[0], array="", index=None)
    assert shortened([alone, MERGE], 0) == (alone, MERGE)


def test_a_demand_counts_what_it_begins_with() -> None:
    asked = [*mcrts(4, array_min=2), MERGE]
    demand = demand_of("shot", asked, shortened(asked, 0), [8, 4], None)
    assert (demand.cores, demand.least, demand.most, demand.start) == (6, 2, 4, 4)
    given = demand_of("shot", asked, shortened(asked, 0), [8, 4], 3)
    assert (given.cores, given.start) == (3, 8)
    ranged = mcrts(4, least=2, most=5)
    assert demand_of("shot", ranged, shortened(ranged, 0), [8, 4], None).cores == 5
    assert demand_of("shot", [MERGE], [MERGE], [8], None).most == 1
