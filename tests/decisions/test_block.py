"""What a computation says in its block: switches, environment, rules, resources."""

import json
from typing import Any

import pytest
from definitions import DISPATCH, MCRT, MERGE, definition, expand_one

from arras_ray.errors import DefinitionError
from arras_ray.session.computation_spec import session_routes
from arras_ray.session.definition import MB, parse_definition
from arras_ray.session.routing import Rule


def resources(**asked: Any) -> tuple[float, float | None, int]:
    got = expand_one(requirements={"resources": asked}).resources
    return got.min_cores, got.max_cores, got.memory // MB


def test_unknown_keys_are_kept() -> None:
    block = {"novelty": {"deep": [1, "x"]}, "continuous": "false", "traceThreshold": 3, "chunking": True}
    assert expand_one(**block).block == MCRT | block


def test_nothing_said_is_nothing_asked() -> None:
    one = expand_one()
    assert one.entry
    assert (one.rules, one.environment, one.working_directory, one.labels) == ({}, {}, "", {})
    assert (one.hostname_pin, one.local_only, one.no_local, one.gpus, one.array_min) == ("", False, False, 0, 0)


YES = [True, "yes"]
NO = [False, "false", "true", "no", "", None, 1, "Yes", [True]]


@pytest.mark.parametrize("value", YES + NO)
def test_switches(value: Any) -> None:
    said = isinstance(value, bool | str) and value in YES
    assert expand_one(requirements={"local_only": value}).local_only is said
    assert expand_one(requirements={"no_local": value}).no_local is said
    _, other = definition(a=MCRT, b=MERGE | {"entry": value}).expand()
    assert other.entry is said


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, "a"),
        ({"a": True}, "a"),
        ({"b": "yes"}, "b_i1"),
        ({"a": True, "b": "yes"}, "b_i1"),
        ({"a": True, "c": True}, "c"),
        ({"c": "false"}, "a"),
    ],
)
def test_the_last_that_says_so_is_the_entry_else_the_first(entries: dict[str, Any], expected: str) -> None:
    blocks = {"a": MCRT, "b": MERGE | {"arrayExpand": 2}, "c": DISPATCH}
    d = definition(
        **{name: block | ({"entry": entries[name]} if name in entries else {}) for name, block in blocks.items()}
    )
    assert [one.name for one in d.expand() if one.entry] == [expected]


def test_contradictions_are_refused() -> None:
    with pytest.raises(DefinitionError, match="leave no machine") as caught:
        expand_one(requirements={"local_only": "yes", "no_local": True})
    assert (caught.value.field, caught.value.line) == ("requirements.no_local", 7)


def test_the_environment_is_the_contexts_and_its_own_over_it() -> None:
    contexts = {
        "farm": {"environment": {"A": "context", "B": "context", "N": "$arrayIndex"}, "packaging_system": "bash"},
        "bare": {"rez_packages": "some"},
    }
    requirements = {"context": "farm"}
    blocks = {
        "one": MCRT | {"environment": {"B": "own", "C": 3, "I": "$arrayIndex"}, "requirements": requirements},
        "two": MERGE | {"arrayExpand": 2, "environment": {"I": "$arrayIndex"}},
        "three": MERGE | {"requirements": {"context": "bare"}},
        "four": MERGE | {"requirements": {"context": "nowhere"}, "environment": {"X": ""}},
    }
    d = parse_definition(json.dumps({"contexts": contexts, "computations": blocks}))
    assert {one.name: one.environment for one in d.expand()} == {
        "one": {"A": "context", "B": "own", "C": "3", "N": "$arrayIndex"},
        "two_i0": {"I": "0"},
        "two_i1": {"I": "1"},
        "three": {},
        "four": {"X": ""},
    }


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"environment": ["A"]}, "environment"),
        ({"environment": {"A": True}}, "environment.A"),
        ({"environment": {"A": 1.5}}, "environment.A"),
        ({"environment": {"A": {}}}, "environment.A"),
        ({"environment": {"A": "\0"}}, "environment.A"),
        ({"environment": {"A=B": "x"}}, "environment.A=B"),
        ({"environment": {"": "x"}}, "environment."),
        ({"workingDirectory": 4}, "workingDirectory"),
        ({"requirements": {"context": 4}}, "requirements.context"),
        ({"requirements": {"hostname_pin": ["a"]}}, "requirements.hostname_pin"),
        ({"requirements": {"labels": "gpu"}}, "requirements.labels"),
        ({"requirements": {"labels": {"gpu": "a b"}}}, "requirements.labels.gpu"),
        ({"requirements": {"labels": {"gpu": "in()"}}}, "requirements.labels.gpu"),
        ({"requirements": {"resources": {"gpus": -1}}}, "requirements.resources.gpus"),
        ({"requirements": {"resources": {"gpus": 0.5}}}, "requirements.resources.gpus"),
        ({"messages": ["*"]}, "messages"),
        ({"messages": {"(client)": None}}, "messages.(client)"),
        ({"messages": {"(client)": {"acept": "*"}}}, "messages.(client)"),
    ],
)
def test_fields_of_the_wrong_kind_are_refused(block: dict[str, Any], field: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        expand_one(**block)
    assert (caught.value.computation, caught.value.field) == ("mcrt", field)
    assert caught.value.line == 5 + field.count(".")


@pytest.mark.parametrize(
    "contexts", [{"farm": 4}, {"farm": {"environment": 4}}, {"farm": {"environment": {"A": 1.5}}}, 4]
)
def test_contexts_of_the_wrong_kind_are_refused(contexts: Any) -> None:
    text = json.dumps({"contexts": contexts, "computations": {"a": MCRT | {"requirements": {"context": "farm"}}}})
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text).expand()
    assert "computation" not in caught.value.fields
    assert caught.value.field.startswith("contexts")


def test_where_it_may_run() -> None:
    labels = {"zone": "west", "type": "!slow", "rack": "in(a,b)", "n": "!in(c, d)"}
    one = expand_one(requirements={"hostname_pin": "far", "labels": labels, "resources": {"gpus": 2.0}})
    assert (one.hostname_pin, one.labels, one.gpus) == ("far", labels, 2)


def test_rules_are_read_and_reach_all_elements() -> None:
    d = definition(
        **{"(client)": {"messages": {"merge": "*"}}},
        dispatch=DISPATCH | {"messages": {"(client)": {"accept": ["RDLMessage"]}, "nobody": "*"}},
        mcrt=MCRT | {"arrayExpand": 2, "messages": {"dispatch": {"ignore": ["Other"]}, "mcrt_i0": "Seed"}},
        merge=MERGE | {"messages": {"mcrt": ["PartialFrame"]}},
    )
    assert d.client_rules == {"merge": Rule()}
    routes = session_routes(d.expand(), d.client_rules)
    assert {source: {to: (set(r.accept), set(r.ignore)) for to, r in to.items()} for source, to in routes.items()} == {
        "(client)": {"dispatch": ({"RDLMessage"}, set())},
        "nobody": {"dispatch": (set(), set())},
        "dispatch": {"mcrt_i0": (set(), {"Other"}), "mcrt_i1": (set(), {"Other"})},
        "mcrt_i0": {"mcrt_i0": ({"Seed"}, set()), "mcrt_i1": ({"Seed"}, set()), "merge": ({"PartialFrame"}, set())},
        "mcrt_i1": {"merge": ({"PartialFrame"}, set())},
        "merge": {"(client)": (set(), set())},
    }


def test_refuses_more_connections_than_can_be_made() -> None:
    everybody = MCRT | {"arrayExpand": 2000, "messages": {"mcrt": "*"}}
    with pytest.raises(DefinitionError, match="4000000 connections are more"):
        definition(mcrt=everybody).expand()
    assert len(definition(mcrt=everybody).expand(900)) == 900


def test_a_definition_without_a_client_sends_it_nothing() -> None:
    assert definition(mcrt=MCRT).client_rules == {}
    with pytest.raises(DefinitionError) as caught:
        definition(**{"(client)": {"messages": {"a": 4}}}, a=MCRT).client_rules  # noqa: B018
    assert (caught.value.computation, caught.value.field, caught.value.line) == ("(client)", "messages.a", 5)


@pytest.mark.parametrize(("level", "expected"), [(3, 3), (0, 0), (4.0, 4)])
def test_the_sessions_log_level(level: float, expected: int) -> None:
    assert parse_definition(json.dumps({"logLevel": level, "computations": {}})).log_level == expected
    assert parse_definition('{"computations": {}}').log_level is None


@pytest.mark.parametrize("level", [-1, 6, 2.5, "3", True, None])
def test_refuses_log_levels_that_are_none(level: Any) -> None:
    with pytest.raises(DefinitionError, match="logLevel") as caught:
        parse_definition(json.dumps({"logLevel": level, "computations": {}})).log_level  # noqa: B018
    assert caught.value.column == 2


def test_no_computations_are_told() -> None:
    with pytest.raises(DefinitionError, match="there are no computations"):
        definition(**{"(client)": {}}).expand()


def test_defaults_of_resources() -> None:
    assert expand_one().resources == expand_one(requirements={}).resources
    got = expand_one(requirements={"computationAPI": "4.x"}).resources
    assert (got.min_cores, got.max_cores, got.memory, got.fixed) == (1, 1, 16384 * MB, True)
    assert resources() == (1, None, 16384)
    assert resources(memoryMB=0) == (1, None, 16384)
    assert resources(memoryMB=0.0, cores=0.0) == (0, 0, 16384)


def test_cores_win_over_a_range() -> None:
    assert resources(cores=3.0, minCores=1, maxCores="*", memoryMB=512.0) == (3, 3, 512)
    assert resources(minCores=2, maxCores=6) == (2, 6, 16384)
    assert resources(minCores=2) == (2, None, 16384)
    assert resources(maxCores="*") == (1, None, 16384)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"memoryMB": -1}, "memoryMB"),
        ({"memoryMB": "2 GB"}, "memoryMB"),
        ({"memoryMB": 1e300}, "memoryMB"),
        ({"cores": -0.5}, "cores"),
        ({"cores": "*"}, "cores"),
        ({"cores": True}, "cores"),
        ({"minCores": None}, "minCores"),
        ({"minCores": 4, "maxCores": 2}, "maxCores"),
        ({"maxCores": "all"}, "maxCores"),
        ({"maxCores": 0}, "maxCores"),
    ],
)
def test_refuses_resources_that_cannot_be_meant(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        resources(**asked)
    assert (caught.value.computation, caught.value.field) == ("mcrt", f"requirements.resources.{field}")
    assert caught.value.line == 7 + list(asked).index(field)


@pytest.mark.parametrize("block", [{"requirements": 4}, {"requirements": {"resources": "many"}}])
def test_refuses_requirements_that_are_no_objects(block: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="must be an object in braces"):
        expand_one(**block)


def test_a_render_needs_each_kind() -> None:
    whole = {"dispatch": DISPATCH, "mcrt": MCRT, "merge": MERGE}
    d = definition(**whole)
    d.check_render(d.expand())
    for kind in whole:
        lacking = definition(**{name: block for name, block in whole.items() if name != kind})
        with pytest.raises(DefinitionError, match=f"has no {kind}"):
            lacking.check_render(lacking.expand())
    two = definition(**whole, other=DISPATCH)
    with pytest.raises(DefinitionError, match="has 2 dispatches"):
        two.check_render(two.expand())
