"""How much may be under way: gates before receivers, and the allowance of a sender."""

from __future__ import annotations

import threading

import pytest

from arras_ray.session import flow
from arras_ray.session.flow import MOST_UNPASSED, Allowance, Gates


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Gates[str]:
    monkeypatch.setattr(flow, "MOST_WAITING", 100)
    monkeypatch.setattr(flow, "MOST_MESSAGES", 5)
    return Gates()


def offer(gates: Gates[str], receiver: str, size: int, message: str) -> list[str]:
    return [passed.message for passed in gates.offer("x", receiver, size, message)]


def test_messages_pass_until_the_bound_is_passed_and_wait_in_order(gates: Gates[str]) -> None:
    assert [offer(gates, "a", 60, name) for name in "123"] == [["1"], ["2"], []]
    assert offer(gates, "a", 1, "4") == []
    assert offer(gates, "b", 60, "other") == ["other"]
    assert gates.under_way("a") == 120
    assert [passed.message for passed in gates.handled("a", 20)] == ["3"]
    assert gates.handled("a", 30) == []
    assert [passed.message for passed in gates.handled("a", 70)] == ["4"]
    assert gates.under_way("a") == 61


def test_messages_are_counted_too(gates: Gates[str]) -> None:
    assert [len(offer(gates, "a", 0, "")) for _ in range(8)] == [1] * 6 + [0, 0]
    assert len(gates.handled("a", 0, 3)) == 2


def test_what_waits_for_one_that_has_ended_is_given_back(gates: Gates[str]) -> None:
    for name in "123":
        offer(gates, "a", 80, name)
    assert [passed.message for passed in gates.close("a")] == ["3"]
    assert gates.under_way("a") == 0
    assert gates.close("a") == []


def test_receivers_that_let_nothing_in_are_known_with_those_who_wait(gates: Gates[str]) -> None:
    for sender in "xyzx":
        gates.offer(sender, "a", 200, "")
    gates.offer("x", "b", 200, "")
    assert gates.stuck(-1.0) == {"a": ["y", "z", "x"]}
    assert gates.stuck(60.0) == {}


def test_a_sender_waits_until_enough_was_passed_on() -> None:
    allowance = Allowance()
    assert allowance.take(10 * MOST_UNPASSED)
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(allowance.take(1)))
    thread.start()
    allowance.passed(8 * MOST_UNPASSED, 0)
    assert taken == []
    allowance.passed(2 * MOST_UNPASSED, 1)
    thread.join()
    assert taken == [True]


def test_nobody_waits_once_it_is_closed() -> None:
    allowance = Allowance()
    allowance.take(2 * MOST_UNPASSED)
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(allowance.take(1)))
    thread.start()
    allowance.close()
    thread.join()
    assert taken == [False]
    allowance.passed(2 * MOST_UNPASSED, 1)
    assert allowance.take(1)
