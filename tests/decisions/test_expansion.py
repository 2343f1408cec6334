"""What the blocks of a definition become: arrays, variables, libraries, resources, rules."""

import json
import pickle
from typing import Any

import pytest

from arras_ray.errors import DefinitionError
from arras_ray.session.computation_spec import session_routes
from arras_ray.session.definition import MB, ComputationSpec, SessionDefinition, parse_definition
from arras_ray.session.routing import Rule

MCRT = {"dso": "libcomputation_progmcrt.so"}
MERGE = {"dso": "libcomputation_progmcrt_merge.so"}
DISPATCH = {"dso": "libcomputation_progmcrt_dispatch.so"}


def definition(**blocks: Any) -> SessionDefinition:
    return parse_definition(json.dumps({"computations": blocks}, indent=1), "test")


def expand_one(**block: Any) -> ComputationSpec:
    (computation,) = definition(mcrt=MCRT | block).expand()
    return computation


def resources(**asked: Any) -> tuple[float, float | None, int]:
    got = expand_one(requirements={"resources": asked}).resources
    return got.min_cores, got.max_cores, got.memory // MB


# Arrays and variables


def test_arrays_are_expanded_and_variables_filled_at_any_depth() -> None:
    computations = definition(
        dispatch=DISPATCH | {"numMachines": "$arrayNumber.mcrt"},
        mcrt=MCRT
        | {"arrayExpand": 3.0, "machineId": "$arrayIndex", "numMachines": "$arrayNumber"}
        | {"deep": {"list": ["$arrayIndex", "x $arrayIndex"]}},
        merge=MERGE,
    ).expand()
    assert [c.name for c in computations] == ["dispatch", "mcrt_i0", "mcrt_i1", "mcrt_i2", "merge"]
    assert [c.kind for c in computations] == ["dispatch", "mcrt", "mcrt", "mcrt", "merge"]
    assert [c.array for c in computations] == ["", "mcrt", "mcrt", "mcrt", ""]
    assert [c.index for c in computations] == [None, 0, 1, 2, None]
    assert computations[0].block["numMachines"] == 3
    assert [c.block["machineId"] for c in computations[1:4]] == [0, 1, 2]
    assert computations[2].block["numMachines"] == 3
    assert computations[2].block["deep"] == {"list": [1, "x $arrayIndex"]}


def test_outside_an_array_the_index_is_null() -> None:
    assert expand_one(machineId="$arrayIndex").block["machineId"] is None


@pytest.mark.parametrize("variable", ["$arrayNumber", "$arrayNumber.merge", "$arrayNumber.nobody"])
def test_only_arrays_can_be_counted(variable: str) -> None:
    with pytest.raises(DefinitionError, match="counts an array") as caught:
        definition(mcrt=MCRT | {"numMachines": variable}, merge=MERGE).expand()
    assert (caught.value.computation, caught.value.field, caught.value.line) == ("mcrt", "numMachines", 5)


def test_an_array_of_one_is_still_an_array() -> None:
    assert expand_one(arrayExpand=1).name == "mcrt_i0"


def test_num_mcrt_overrides_the_array() -> None:
    d = definition(mcrt=MCRT | {"arrayExpand": 4}, merge=MERGE | {"n": "$arrayNumber.mcrt"})
    assert [c.name for c in d.expand(2)] == ["mcrt_i0", "mcrt_i1", "merge"]
    assert d.expand(7)[-1].block["n"] == 7
    assert len(d.expand()) == 5


def test_num_mcrt_makes_an_array_of_a_sessions_only_mcrt() -> None:
    single = definition(mcrt=MCRT | {"n": "$arrayIndex"}, merge=MERGE)
    assert [c.name for c in single.expand(1)] == ["mcrt", "merge"]
    assert [(c.name, c.block.get("n")) for c in single.expand(2)] == [("mcrt_i0", 0), ("mcrt_i1", 1), ("merge", None)]


def test_num_mcrt_that_could_mean_anything_is_refused() -> None:
    several = definition(a=MCRT | {"arrayExpand": 1}, b=MCRT | {"arrayExpand": 1})
    with pytest.raises(DefinitionError, match="could mean any of a, b"):
        several.expand(3)
    with pytest.raises(DefinitionError, match="has 2 mcrts, none of which is an array"):
        definition(a=MCRT, b=MCRT).expand(3)
    with pytest.raises(DefinitionError, match="has no mcrt"):
        definition(merge=MERGE).expand(3)
    with pytest.raises(DefinitionError, match="cannot have 0 mcrts"):
        several.expand(0)


def test_num_mcrt_is_not_bound_by_the_files_limits() -> None:
    d = definition(mcrt=MCRT | {"arrayExpand": 4, "arrayMin": 2, "arrayMax": 4})
    assert [len(d.expand(n)) for n in (1, 3, 9)] == [1, 3, 9]
    changed = definition(mcrt=MCRT | {"arrayExpand": 14, "arrayMax": 4})
    assert len(changed.expand(2)) == 2


@pytest.mark.parametrize("length", [1e9, 10**9, 10_001, 0, -1, 2.5, 1e300, 10**400, True, "4", None, [4]])
def test_refuses_array_lengths_that_cannot_be_meant(length: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        expand_one(arrayExpand=length)
    assert (caught.value.computation, caught.value.field) == ("mcrt", "arrayExpand")


def test_refuses_a_file_that_would_fill_the_memory() -> None:
    with pytest.raises(DefinitionError, match="5000 computations are more"):
        expand_one(arrayExpand=5000, padding=[0] * 500)
    with pytest.raises(DefinitionError, match="more than a session"):
        definition(mcrt=MCRT | {"arrayExpand": 2}).expand(1_000_000)
    assert len(definition(mcrt=MCRT | {"arrayExpand": 10_000, "machineId": "$arrayIndex"}).expand()) == 10_000


def test_what_has_no_variables_is_there_once() -> None:
    shared = {"list": ["x"] * 100}
    first, second = definition(mcrt=MCRT | {"arrayExpand": 2, "n": "$arrayIndex", "shared": shared}).expand()
    assert first.block["shared"] is second.block["shared"]
    assert first.block["n"] != second.block["n"]


@pytest.mark.parametrize("levels", [190, 800])
def test_a_block_that_could_not_travel_is_refused(levels: int) -> None:
    deep: Any = "$arrayIndex"
    for _ in range(levels):
        deep = [deep]
    text = '{"computations": {"mcrt": {"dso": "libcomputation_progmcrt.so", "deep": ' + "[" * levels
    d = parse_definition(text + '"$arrayIndex"' + "]" * levels + "}}}")
    if levels < 200:
        (one,) = d.expand()
        assert pickle.loads(pickle.dumps(one)).name == "mcrt"
    else:
        with pytest.raises(DefinitionError, match="nested 200 levels, not 802"):
            d.expand()


def test_refuses_two_computations_of_one_name() -> None:
    with pytest.raises(DefinitionError, match="two computations are named mcrt_i1"):
        definition(mcrt=MCRT | {"arrayExpand": 2}, mcrt_i1=MCRT).expand()


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "a\nb", "(other)", ".hidden", "x" * 201])
def test_refuses_names_that_cannot_name_an_actor(name: str) -> None:
    with pytest.raises(DefinitionError, match="is no name"):
        definition(**{name: MCRT}).expand()


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"arrayExpand": 4, "arrayMin": 5}, "arrayMin"),
        ({"arrayExpand": 4, "arrayMin": 0}, "arrayMin"),
        ({"arrayExpand": 4, "arrayMin": 1.5}, "arrayMin"),
        ({"arrayExpand": 4, "arrayMin": "2"}, "arrayMin"),
        ({"arrayExpand": 4, "arrayMax": 3}, "arrayMax"),
        ({"arrayExpand": 4, "arrayMax": 10_001}, "arrayMax"),
    ],
)
def test_refuses_limits_of_arrays_that_cannot_be_meant(block: dict[str, Any], field: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        expand_one(**block)
    assert (caught.value.computation, caught.value.field) == ("mcrt", field)


def test_limits_of_arrays() -> None:
    d = definition(mcrt=MCRT | {"arrayExpand": 3, "arrayMin": 2.0, "arrayMax": 8}, merge=MERGE)
    assert [one.array_min for one in d.expand()] == [2, 2, 2, 0]
    assert d.most_mcrts == 8
    assert [one.array_min for one in d.expand(1)] == [2, 0]
    assert len(d.expand(12)) == 13
    assert definition(mcrt=MCRT).most_mcrts == 0


# Libraries and resources


@pytest.mark.parametrize("ending", ["", ".so", ".dylib"])
def test_libraries_stand_for_kinds(ending: str) -> None:
    d = definition(
        a={"dso": "libcomputation_progmcrt" + ending},
        b={"dso": "libcomputation_progmcrt_dispatch" + ending},
        c={"dso": "libcomputation_progmcrt_merge" + ending},
    )
    assert [c.kind for c in d.expand()] == ["mcrt", "dispatch", "merge"]


@pytest.mark.parametrize("dso", ["", 7, None, True, ["libcomputation_progmcrt.so"], "a\0b"])
def test_a_computation_needs_a_library(dso: Any) -> None:
    with pytest.raises(DefinitionError, match="dso") as caught:
        definition(mcrt={"dso": dso}).expand()
    assert caught.value.field == "dso"


@pytest.mark.parametrize("dso", ["libmine.so", "libcomputation_progmcrt.so.so", "none of these"])
def test_a_library_that_nobody_knows_is_left_to_its_process(dso: str) -> None:
    (one,) = definition(mine={"dso": dso}).expand()
    assert (one.kind, one.dso, one.target) == ("python", dso, "")
    render = definition(mine={"dso": dso}, dispatch=DISPATCH, mcrt=MCRT, merge=MERGE)
    with pytest.raises(DefinitionError, match="no part of a render") as caught:
        render.check_render(render.expand())
    assert (caught.value.computation, caught.value.field) == ("mine", "dso")
    assert "libcomputation_progmcrt_merge" in caught.value.hint


def test_libraries_may_be_named_by_the_user() -> None:
    d = definition(a={"dso": "libmine.so"}, b={"dso": "python:mine.more:One.Two"}, c=MCRT)
    given = {"libmine": "python:mine:Other", "libcomputation_progmcrt.so": "mine:Mcrt"}
    assert [(c.kind, c.target) for c in d.expand()] == [("python", ""), ("python", "mine.more:One.Two"), ("mcrt", "")]
    assert [(c.kind, c.target) for c in d.expand(dso=given)] == [
        ("python", "mine:Other"),
        ("python", "mine.more:One.Two"),
        ("python", "mine:Mcrt"),
    ]
    assert [c.kind for c in d.expand(dso={"libmine": "libcomputation_progmcrt_merge"})] == ["merge", "python", "mcrt"]


NEW = {"requirements": {"computationAPI": "4.x"}}


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"dso": "libmine.so"}, "libmine.so is a library of computationAPI 3, as it names none"),
        ({"dso": "libmine.so", "requirements": {}}, "libmine.so is a library of computationAPI 3, as it names none"),
        ({"dso": "libmine.so", "requirements": {"computationAPI": "3.x"}}, "libmine.so is a library of computationAPI"),
        ({"dso": "libmine.so", "requirements": {"computationAPI": 44}}, "libmine.so is a library of computationAPI 44"),
        ({"dso": "libmine.so", "requirements": {"computationAPI": []}}, "libmine.so is a library of computationAPI"),
        ({"dso": "libmine.so", "requirements": {"computationAPI": "4.x"}}, ""),
        ({"dso": "libmine.so", "requirements": {"computationAPI": "4"}}, ""),
        ({"dso": "libmine.so", "requirements": {"computationAPI": "4.1.2"}}, ""),
        ({"dso": "libmine.so", "requirements": {"computationAPI": 4.0}}, ""),
        ({"dso": "python:mine:One"}, ""),
        ({"dso": "libours.so"}, ""),
        (MCRT, ""),
    ],
)
def test_old_libraries_cannot_be_started(block: dict[str, Any], says: str) -> None:
    one, _ = definition(one=block, two=MERGE | NEW).expand(dso={"libours": "ours:One"})
    assert one.unsupported.startswith(says) if says else one.unsupported == ""


def test_short_definitions_need_no_computation_api() -> None:
    assert [one.unsupported for one in definition(one={"dso": "libmine.so"}, two=MERGE).expand()] == ["", ""]


# What a computation says


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
