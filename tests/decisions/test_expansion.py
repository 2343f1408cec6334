"""What the blocks of a definition become: arrays, variables, libraries."""

import pickle
from typing import Any

import pytest
from definitions import DISPATCH, MCRT, MERGE, definition, expand_one

from arras_ray.errors import DefinitionError
from arras_ray.session.definition import parse_definition

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
