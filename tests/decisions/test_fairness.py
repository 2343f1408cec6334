"""Fair shares of mcrts: what holds whatever is asked, and a farm on which ten sessions of three users meet."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from farm import Farm, Guest
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.session.fairness import Demand, fair_shares
from arras_ray.session.shares import (
    AGAIN_SECONDS,
    LAG_SECONDS,
    PATIENCE_SECONDS,
    SILENT_SECONDS,
    Facts,
    Held,
    Shares,
    set_aside,
)
from arras_ray.session.waiting_line import Ticket

CORES = 36
USERS = ("ada", "bob", "cyd")
WITHIN_SECONDS = 60.0
TOLERANCE = 0.1


@st.composite
def demands(draw: st.DrawFn, sizes: tuple[float, ...] = (1.0,)) -> list[Demand]:
    n = draw(st.integers(1, 8))
    rows = []
    for i in range(n):
        most = draw(st.integers(1, 20))
        least, holds = draw(st.integers(0, 3)), draw(st.integers(0, 20))
        rows.append(Demand(f"s{i}", draw(st.sampled_from("abc")), draw(st.sampled_from(sizes)), least, most, holds))
    return rows


CORES_THERE = st.integers(0, 60)
QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(demands((0.0, 0.5, 1.0, 4.0, 7.5)), CORES_THERE)
def test_nobody_gets_more_than_there_is_or_than_it_wants(asked: list[Demand], cores: int) -> None:
    shares = fair_shares(asked, cores)
    least = sum(one.floor * one.size for one in asked)
    assert sum(shares[one.session] * one.size for one in asked) <= max(cores, least) + 1e-3
    assert all(one.floor <= shares[one.session] <= one.most for one in asked)


@QUICK
@given(demands((0.5, 1.0, 4.0)), CORES_THERE)
def test_nothing_is_left_that_somebody_could_use(asked: list[Demand], cores: int) -> None:
    shares = fair_shares(asked, cores)
    left = cores - sum(shares[one.session] * one.size for one in asked)
    assert all(one.size > left for one in asked if shares[one.session] < one.most)


@QUICK
@given(demands(), CORES_THERE)
def test_who_has_less_than_it_wants_has_no_less_than_others(asked: list[Demand], cores: int) -> None:
    """Up to one mcrt; what somebody has as its least is not counted against anybody."""
    shares = fair_shares(asked, cores)
    users: dict[str, int] = defaultdict(int)
    for one in asked:
        users[one.user] += shares[one.session]
    more = [one for one in asked if shares[one.session] > one.floor]
    for poor in (one for one in asked if shares[one.session] < one.most):
        assert all(users[one.user] <= users[poor.user] + 1 for one in more)
        assert all(shares[one.session] <= shares[poor.session] + 1 for one in more if one.user == poor.user)


@QUICK
@given(demands((0.5, 1.0, 4.0)), CORES_THERE, st.randoms())
def test_shares_do_not_depend_on_the_order_of_asking(asked: list[Demand], cores: int, order: random.Random) -> None:
    shuffled = list(asked)
    order.shuffle(shuffled)
    assert fair_shares(asked, cores) == fair_shares(shuffled, cores)


@QUICK
@given(demands(), CORES_THERE)
def test_who_has_its_share_keeps_it(asked: list[Demand], cores: int) -> None:
    shares = fair_shares(asked, cores)
    assert fair_shares([replace(one, holds=shares[one.session]) for one in asked], cores) == shares


def test_users_are_equal_before_sessions() -> None:
    asked = [Demand("a1", "ada", 1, 1, 99), Demand("a2", "ada", 1, 1, 99), Demand("b1", "bob", 1, 1, 99)]
    assert fair_shares(asked, 12) == {"a1": 3, "a2": 3, "b1": 6}


def test_one_mcrt_too_many_stays_where_it_is() -> None:
    for holder in USERS:
        asked = [Demand(user, user, 1, 1, 99, holds=4 if user == holder else 3) for user in USERS]
        assert fair_shares(asked, 10)[holder] == 4


def test_large_mcrts_are_weighed_by_their_cores() -> None:
    assert fair_shares([Demand("large", "ada", 8, 1, 9), Demand("small", "bob", 1, 1, 99)], 32) == {
        "large": 2,
        "small": 16,
    }


def test_room_is_kept_for_those_in_line_in_order_and_behind_everybodys_least() -> None:
    running = [Demand("a", "ada", 1, 2, 99)]
    line = [Demand(f"w{cores}", "bob", 1, 1, 9, start=cores) for cores in (2, 3, 4, 1)]
    assert set_aside(running, line, 8) == 5  # the third does not fit, and nobody overtakes it
    assert set_aside(running, line, 3) == 0


def facts(free: float, **held: int) -> Facts:
    return Facts(free, {name: Held(mcrts, float(mcrts)) for name, mcrts in held.items()}, 8.0)


def test_what_was_given_back_and_is_not_counted_yet_costs_nobody_an_mcrt() -> None:
    shares = Shares()
    shares.report(Demand("a", "ada", 1, 1, 99, 8), 0.0)
    shares.report(Demand("b", "bob", 1, 1, 99, 8), 0.0)
    shares.balance(facts(0, a=8, b=8), [], 0.0)
    assert (shares.target("a"), shares.target("b")) == (8, 8)
    shares.balance(facts(0, a=8, b=6), [], 1.0)
    assert shares.target("a") == 8
    for now in (1.0 + LAG_SECONDS / 2, 1.5 + LAG_SECONDS):  # they are gone indeed
        shares.balance(facts(0, a=8, b=6), [], now)
    assert shares.target("a") == 7


def test_who_does_not_report_any_more_is_forgotten() -> None:
    shares = Shares()
    shares.report(Demand("a", "ada", 1, 1, 99), 0.0)
    shares.report(Demand("b", "bob", 1, 1, 99), SILENT_SECONDS)
    shares.balance(facts(16), [], SILENT_SECONDS + 1)
    assert shares.target("a") is None
    assert shares.target("b") == 16


def test_who_cannot_use_its_share_is_counted_on_again_after_a_while() -> None:
    """Its machines may be there again; it is also told what it may have all the time."""
    shares = Shares()
    has = 8

    def follow(now: int) -> int:
        nonlocal has
        shares.report(Demand("picky", "ada", 1, 1, 99), now)
        shares.report(Demand("b", "bob", 1, 1, 99), now)
        shares.balance(facts(14 - has, picky=2, b=has), [], now)
        assert shares.target("picky") == 8
        has = shares.target("b") or 0
        return has

    told = [follow(now) for now in range(int(AGAIN_SECONDS + PATIENCE_SECONDS) + 3)]
    changes = {now: new for now, (old, new) in enumerate(pairwise(told), 1) if old != new}
    assert told[0] == 8
    assert changes == {PATIENCE_SECONDS + 1: 14, AGAIN_SECONDS + PATIENCE_SECONDS + 2: 8}


def test_the_first_in_line_begins_with_its_share_and_the_next_waits_for_room() -> None:
    shares = Shares()
    shares.report(Demand("a", "ada", 1, 1, 99), 0.0)
    line = [Ticket(id, Demand("shot", "bob", 1e9, 1, 99, start=2)) for id in "xy"]
    shares.balance(facts(8, a=8), line, 0.0)
    assert shares.target("a") == 12  # two cores for each in line
    line[0] = replace(line[0], demand=replace(line[0].demand, cores=1))
    assert shares.first_share(line, 8) == 7
    line[0] = replace(line[0], placing=5)
    assert shares.first_share(line, 8) == 1  # an mcrt is as large as the largest node at most
    assert shares.first_share(line, 7.5) == 0


def ten_guests(seed: int, cores: int = CORES) -> list[Guest]:
    """The first finds an empty cluster and takes all of it; the others come within the next 40 seconds."""
    chance = random.Random(seed)
    users = [*USERS, *USERS, *USERS, "ada"]
    chance.shuffle(users)
    times = [0.0, *sorted(chance.uniform(5, 40) for _ in users[1:])]
    return [Guest(f"s{i}", user, cores, at) for i, (user, at) in enumerate(zip(users, times, strict=True))]


def seconds_until_fair(farm: Farm, is_fair: Callable[[], bool]) -> float:
    """From the coming of the last until everybody has its share, and keeps it for a minute more."""
    last = unfair = max(guest.comes_at for guest in farm.guests)
    while farm.now < last + 2 * WITHIN_SECONDS:
        farm.step()
        unfair = unfair if is_fair() else max(unfair, farm.now)
    return unfair - last


@pytest.mark.parametrize("seed", range(4))
def test_ten_sessions_of_three_users_have_equal_shares_within_a_minute(seed: int) -> None:
    guests = ten_guests(seed)
    farm = Farm(CORES, guests, seed)

    def is_fair() -> bool:
        own = CORES / len(USERS)
        sessions = {user: [guest.held for guest in guests if guest.user == user] for user in USERS}
        return all(
            abs(sum(held) - own) <= TOLERANCE * own
            and all(abs(one - own / len(held)) <= TOLERANCE * own / len(held) for one in held)
            for held in sessions.values()
        )

    assert seconds_until_fair(farm, is_fair) <= WITHIN_SECONDS


@pytest.mark.parametrize("manner", ["keeps", "greedy", "modest", "stuck", "dies"])
def test_one_that_misbehaves_harms_no_other_beyond_what_it_holds(manner: str) -> None:
    guests = ten_guests(0)
    bad = Guest("bad", "eve", CORES, guests[3].comes_at, manner)
    farm = Farm(CORES + 6, [*guests, bad], 0)

    def is_fair() -> bool:
        left = farm.cores - bad.held
        held = [farm.users()[user] for user in USERS]
        return sum(held) == left and max(held) - min(held) <= 1

    assert seconds_until_fair(farm, is_fair) <= WITHIN_SECONDS
    assert bad.held


def test_what_a_dead_session_held_goes_to_the_others() -> None:
    guests = ten_guests(1)
    bad = Guest("bad", "eve", CORES, guests[3].comes_at, "dies", until=guests[-1].comes_at + 20)
    farm = Farm(CORES + 6, [*guests, bad], 1)
    assert seconds_until_fair(farm, lambda: set(farm.users().values()) == {14, 0}) <= WITHIN_SECONDS


def test_all_share_as_before_when_the_registry_was_lost() -> None:
    guests = ten_guests(2)
    farm = Farm(CORES, guests, 2)
    farm.run(100)
    before = {guest.name: guest.held for guest in guests}
    farm.shares = Shares(farm.now)
    farm.run(102)
    assert {guest.name: guest.mcrts for guest in guests} == before
    farm.run(160)
    assert {guest.name: guest.mcrts for guest in guests} == before
