"""Who gets which message: rules in all their forms, and routes among parties and arrays."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.session.routing import EVERYTHING, Rule, parse_rule, routes


def taken(value: Any) -> str:
    """Which of the messages A, B and C pass."""
    rule = parse_rule(value)
    return "".join(name for name in "ABC" if rule.takes(name))


@pytest.mark.parametrize(
    ("value", "passes"),
    [
        ("*", "ABC"),
        (["*"], "ABC"),
        ([], "ABC"),
        ({}, "ABC"),
        ({"accept": "*"}, "ABC"),
        ({"accept": ["*"]}, "ABC"),
        ({"accept": []}, "ABC"),
        ({"accept": ["A", "*"]}, "ABC"),
        ({"ignore": []}, "ABC"),
        ("A", "A"),
        ("D", ""),
        (["A", "C"], "AC"),
        ({"accept": "B"}, "B"),
        ({"accept": ["B", "C"]}, "BC"),
        ({"ignore": "A"}, "BC"),
        ({"ignore": ["A", "B"]}, "C"),
        ({"accept": "*", "ignore": ["A"]}, "BC"),
        ({"accept": [], "ignore": ["A"]}, "BC"),
        ({"accept": ["A"], "ignore": ["A"]}, "A"),
        ({"accept": ["A"], "ignore": 4}, "A"),
        ({"accept": "A", "note": "for the camera"}, "A"),
    ],
)
def test_forms_of_rules(value: Any, passes: str) -> None:
    assert taken(value) == passes


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        4,
        ["A", 4],
        [["A"]],
        {"accept": 4},
        {"accept": None},
        {"accept": {"A": 1}},
        {"ignore": 4},
        {"ignore": "*"},
        {"ignore": ["*"]},
        {"ignore": ["A", "*"]},
        {"acept": "A"},
    ],
)
def test_refuses_what_is_no_rule(value: Any) -> None:
    with pytest.raises(ValueError, match=r"rule|names of messages"):
        parse_rule(value)


def test_a_source_that_is_not_listed_sends_nothing() -> None:
    assert routes({"a": {"b": EVERYTHING}}, {}) == {"b": {"a": EVERYTHING}}


def test_an_elements_own_rule_goes_before_its_arrays() -> None:
    own, shared = Rule(frozenset("A")), Rule(frozenset("B"))
    for sources in ({"x": shared, "x_i0": own}, {"x_i0": own, "x": shared}):
        assert routes({"r": sources}, {"x": ["x_i0", "x_i1"]}) == {"x_i0": {"r": own}, "x_i1": {"r": shared}}


PARTIES = ("(client)", "one", "two_i0", "two_i1", "three_i0", "three_i1")
ARRAYS = {"two": ("two_i0", "two_i1"), "three": ("three_i0", "three_i1")}
NAMES = st.frozensets(st.sampled_from("ABC"))
RULES = st.dictionaries(
    st.sampled_from(PARTIES),
    st.dictionaries(st.sampled_from([*PARTIES, *ARRAYS, "nobody"]), st.builds(Rule, NAMES, NAMES)),
)


@settings(deadline=None)
@given(RULES)
def test_routes_are_those_that_asking_every_pair_gives(rules: dict[str, dict[str, Rule]]) -> None:
    found = routes(rules, ARRAYS)
    for sender in (*PARTIES, "nobody"):
        array = sender.partition("_")[0]
        for receiver in PARTIES:
            accepted = rules.get(receiver, {})
            rule = accepted.get(sender, accepted.get(array) if array in ARRAYS else None)
            assert found.get(sender, {}).get(receiver) == rule
