import pytest
from hypothesis import given
from hypothesis import strategies as st

from arras_ray.credit import Credit


def test_spends_to_its_limit_and_no_further() -> None:
    credit = Credit(2)
    credit.spend(1)
    credit.spend(2)
    assert credit.left == 0
    with pytest.raises(ValueError, match="all 2 credits are spent"):
        credit.spend(3)
    assert credit.open == {1, 2}


def test_a_serial_is_spent_once() -> None:
    credit = Credit(2)
    credit.spend(1)
    with pytest.raises(ValueError, match="spent already"):
        credit.spend(1)
    assert credit.left == 1


def test_repeated_and_unknown_refunds_are_harmless() -> None:
    credit = Credit(2)
    credit.spend(7)
    assert not credit.refund(8)
    assert credit.refund(7)
    assert not credit.refund(7)
    assert credit.left == 2


@pytest.mark.parametrize("limit", [0, -1])
def test_refuses_a_window_that_could_never_be_spent(limit: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Credit(limit)


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=60))
def test_never_exceeds_the_limit(limit: int, steps: list[tuple[bool, int]]) -> None:
    credit = Credit(limit)
    spent: set[int] = set()
    for is_spend, serial in steps:
        if not is_spend:
            assert credit.refund(serial) == (serial in spent)
            spent.discard(serial)
        elif serial in spent or len(spent) == limit:
            with pytest.raises(ValueError, match="spent"):
                credit.spend(serial)
        else:
            credit.spend(serial)
            spent.add(serial)
        assert credit.open == spent
        assert credit.left == limit - len(spent) >= 0
