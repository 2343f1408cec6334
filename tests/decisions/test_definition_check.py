"""What is told of a definition without running it: notes on what has no effect, and all of its errors."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.errors import DefinitionError
from arras_ray.session.computation_spec import session_routes
from arras_ray.session.definition import SessionDefinition, parse_definition
from arras_ray.session.definition_check import check_definition

MCRT = {"dso": "libcomputation_progmcrt.so"}
MERGE = {"dso": "libcomputation_progmcrt_merge.so"}
DISPATCH = {"dso": "libcomputation_progmcrt_dispatch.so"}
ECHO = {"dso": "libarras4_testcomputation.so"}


def definition(blocks: dict[str, Any], **root: Any) -> SessionDefinition:
    return parse_definition(json.dumps({**root, "computations": blocks}, indent=1), "test", "f")


def found(d: SessionDefinition, **how: Any) -> list[str]:
    return [f"{one.level} {one}" for one in check_definition(d, **how)]


def test_each_reason_is_told_once_at_its_first_place() -> None:
    d = parse_definition(
        """{
"contexts": {"farm": {"packaging_system": "bash", "script": "x"}, "plain": {"packaging_system": "none"}},
"computations": {
"(client)": {"saveDefinitionTo": "x"},
"a": {
  "dso": "libarras4_testcomputation.so", "arrayExpand": 2, "arrayMax": 3,
  "traceThreshold": -1, "saveIncomingTo": "x",
  "requirements": {
    "computationAPI": "4.x", "context": "nowhere", "rez_packages": "x", "pseudo-compiler": "x",
    "packaging_system": "current-environment",
    "resources": {"logLevel": 3, "reservedCores": 1, "chunkSize": 4}
  }
},
"b": {
  "dso": "libarras4_testcomputation.so", "traceThreshold": 2,
  "requirements": {"computationAPI": "4.x", "context": "elsewhere", "packaging_system": "rez2"}
},
"c": {"dso": "libarras4_testcomputation.so", "requirements": {"computationAPI": "4.x", "context": "farm"}}
}}""",
        file="f",
    )
    notes = [
        "f:2:23: packaging_system has no effect: computations use what is installed on their nodes (4 more like it)",
        "f:4:14: saveDefinitionTo has no effect: nothing is recorded yet (1 more like it)",
        "f:6:60: arrayMax has no effect: only mcrts come later",
        "f:9:30: the context nowhere has no effect: it is not defined here (1 more like it)",
        "f:11:19: logLevel has no effect: all computations of a session have one log level",
        "f:11:34: reservedCores has no effect: computations that ask for all cores share them all",
        "f:15:42: traceThreshold has no effect: messages are not traced",
    ]
    assert sorted(d.notes) == sorted(notes)
    assert found(d) == [f"note {text}" for text in notes]


def test_a_plain_definition_has_nothing_to_tell() -> None:
    d = definition({"(client)": {"messages": {"a": "*"}}, "a": ECHO | {"messages": {"(client)": "*"}}})
    assert (d.notes, found(d)) == ((), [])


def test_values_of_any_kind_are_no_reason_to_fail() -> None:
    d = definition({"a": ECHO | {"requirements": []}}, contexts=[1])
    assert d.notes == ()
    d = definition(
        {"a": {"dso": [], "arrayMax": 3, "requirements": {"context": [], "resources": 4}}}, contexts={"x": 4}
    )
    assert d.notes == ("f:8:4: arrayMax has no effect: only mcrts come later",)


def test_all_errors_are_told_in_the_order_of_the_file() -> None:
    d = definition(
        {
            "(client)": {"messages": {"a": 4}},
            "a": ECHO | {"requirements": {"resources": {"cores": -1}}},
            "b": {"dso": ""},
            "c": ECHO,
            "d": ECHO | {"n": "$arrayNumber"},
            "e": ECHO | {"arrayMax": -1},
        },
        logLevel=9,
    )
    told = found(d)
    assert [line.partition(" ")[0] for line in told] == ["error"] * 6 + ["note"]
    assert [one.field for one in check_definition(d)] == [
        "logLevel",
        "messages.a",
        "requirements.resources.cores",
        "dso",
        "n",
        "arrayMax",
        "arrayMax",
    ]


def test_counts_that_cannot_be_meant_are_told_alone() -> None:
    d = definition({"a": ECHO | {"arrayExpand": 0}, "b": {"dso": ""}})
    assert found(d) == ["error f:5:4: an array cannot have 0 elements"]
    assert found(definition({"a": MCRT | {"arrayExpand": 2}, "a_i1": MERGE})) == [
        "error f:7:3: two computations are named a_i1"
    ]


def test_libraries_that_cannot_be_loaded_are_errors_here() -> None:
    d = definition(
        {
            "old": ECHO | {"requirements": {"context": ""}},
            "lost": {"dso": "libmine.so", "arrayExpand": 3, "requirements": {"computationAPI": "4.x"}},
            "odd": {"dso": "python:mine"},
        }
    )
    assert found(d) == [
        "error f:5:4: libarras4_testcomputation.so is a library of computationAPI 3, as it names none, and only 4.x is "
        "supported",
        "error f:10:4: no computation stands for the library 'libmine.so'",
        "error f:17:4: 'mine' names no class",
    ]
    assert len(found(d, dso={"libmine": "mine:One"})) == 2


def test_a_render_has_its_own_rules() -> None:
    whole = {"dispatch": DISPATCH, "mcrt": MCRT | {"arrayExpand": 2}, "merge": MERGE}
    assert found(definition(whole)) == []
    assert found(definition(whole), num_mcrt=0) == ["error a session cannot have 0 mcrts"]
    lacking = definition({name: whole[name] for name in ("dispatch", "mcrt")})
    assert found(lacking) == ["error f:2:2: session test has no merge"]
    assert found(definition(whole | {"echo": ECHO})) == [
        "error f:14:4: no part of a render stands for the library 'libarras4_testcomputation.so'"
    ]


def test_sources_that_are_nobody_are_harmless_and_told() -> None:
    rules = {"a": "*", "a_i1": "*", "a_i2": "*", "(client)": "*", "nobody": "*"}
    d = definition({"(client)": {"messages": {"b": "*"}}, "a": ECHO | {"arrayExpand": 2, "messages": rules}})
    assert found(d) == [
        "note f:5:5: (client) accepts messages from b, which is nobody: that has no effect",
        "note f:14:5: a accepts messages from a_i2, which is nobody: that has no effect",
        "note f:16:5: a accepts messages from nobody, which is nobody: that has no effect",
    ]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 4)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["*", "yes", "", "a", "a_i0", "$arrayIndex", "$arrayNumber", "$arrayNumber.a", "4.x", "\0"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)
ROOM = {"cores", "minCores", "maxCores", "memoryMB", "gpus", "logLevel"}
NEEDS = {"computationAPI", "context", "packaging_system", "hostname_pin", "local_only", "no_local", "labels"}
BLOCK = {"arrayExpand", "arrayMin", "arrayMax", "entry", "environment", "workingDirectory", "saveRoutingTo", "x"}


def fields(names: set[str], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object that may have any of these fields, with values of any kind; or something else in its place."""
    optional = dict.fromkeys(sorted(names), VALUES) | known
    return st.fixed_dictionaries({}, optional=optional) | VALUES


BLOCKS = st.fixed_dictionaries(
    {"dso": st.sampled_from([MCRT["dso"], MERGE["dso"], ECHO["dso"], "libmine.so", "python:a:B", ""])},
    optional=dict.fromkeys(sorted(BLOCK), VALUES)
    | {
        "requirements": fields(NEEDS, resources=fields(ROOM)),
        "messages": fields({"(client)", "a", "b", "nobody"}, a=fields({"accept", "ignore"})),
    },
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "(client)"]), BLOCKS, max_size=3),
    fields({"a", "b"}, a=fields({"environment", "script"})),
)
def test_a_definition_is_good_or_has_errors_whatever_it_says(blocks: dict[str, Any], contexts: Any) -> None:
    d = definition(blocks, contexts=contexts)
    findings = check_definition(d)
    assert all(one.line is not None for one in findings)
    refused = False
    try:
        computations = d.expand()
        session_routes(computations, d.client_rules)
        assert len({one.name for one in computations}) == len(computations)
        assert sum(one.entry for one in computations) == 1
    except DefinitionError:
        refused = True
    assert not refused or any(one.level == "error" for one in findings)
