"""Credit of one connection: Arras' rules, and the newest frame that waits."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from arras_ray.session.image_credit import ImageCredit
from arras_ray.session.message import CreditUpdate, Envelope, pack


@dataclass(frozen=True)
class Image:
    number: int

    is_image = True


FIRST, SECOND, THIRD = (pack(Image(number), "x") for number in (1, 2, 3))


def spent(initial: int) -> ImageCredit:
    """Credit of which nothing is left, and FIRST waits."""
    credit = ImageCredit(initial)
    for _ in range(initial):
        assert credit.may_send(THIRD, 0.0)
    assert not credit.may_send(FIRST, 10.0)
    return credit


def number_of(envelope: Envelope | None) -> str | None:
    return None if envelope is None else envelope.instance_id


@pytest.mark.parametrize(
    ("update", "left"),
    [
        (CreditUpdate(1), 0),
        (CreditUpdate(4), 3),
        (CreditUpdate(2, "Set"), 1),
        (CreditUpdate(0, "Reset"), 1),
        (CreditUpdate(7, "Reset"), 1),
        (CreditUpdate(1, name="ignored"), 0),
    ],
)
def test_a_frame_that_waits_takes_credit_when_there_is_some(update: CreditUpdate, left: int) -> None:
    credit = spent(2)
    assert number_of(credit.update(update)) == FIRST.instance_id
    assert credit.left == left


@pytest.mark.parametrize("update", [CreditUpdate(0), CreditUpdate(-3), CreditUpdate(0, "Set")])
def test_without_credit_it_goes_on_waiting(update: CreditUpdate) -> None:
    credit = spent(1)
    assert credit.update(update) is None
    assert credit.left == 0


def test_the_newest_takes_the_place_of_the_one_that_waits() -> None:
    credit = spent(0)
    assert not credit.may_send(SECOND, 20.0)
    assert number_of(credit.update(CreditUpdate(2))) == SECOND.instance_id
    assert credit.update(CreditUpdate(1)) is None
    assert credit.left == 2


def test_it_is_told_how_long_a_frame_has_waited() -> None:
    credit = spent(1)
    assert not credit.may_send(SECOND, 20.0)
    assert credit.stuck_for(25.0) == 15.0
    credit.update(CreditUpdate())
    assert credit.stuck_for(30.0) == 0.0


def test_set_below_zero_turns_it_off_for_good() -> None:
    credit = spent(1)
    assert number_of(credit.update(CreditUpdate(-1, "Set"))) == FIRST.instance_id
    for update in (CreditUpdate(1), CreditUpdate(0, "Set"), CreditUpdate(mode="Reset")):
        assert credit.update(update) is None
        assert credit.left == -1
    assert credit.may_send(FIRST, 0.0)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'More'"):
        ImageCredit(1).update(CreditUpdate(mode="More"))
