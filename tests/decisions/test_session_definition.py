import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arras_ray.errors import DefinitionError
from arras_ray.session.definition import (
    MB,
    ComputationSpec,
    SessionDefinition,
    load_definition,
    package_dir,
    package_sessions_dir,
    parse_definition,
    read_definition,
)

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


# What may be written


@pytest.mark.parametrize(
    "text",
    [
        '{"computations": {}, }',
        '{"computations": {} // said "so"\n}',
        '/* "a */ {"computations": /* { */ {}}',
        '{"note": "no // comment, /* none */ and [1,]", "computations": {}}',
        '{"list": [1, 2,], "computations": {},}',
        '{"quote": "\\",}", "computations": {}}',
        '{"computations": {"(client)": 1}, "computations": {}}',
        '{"line": "a\nb", "computations": {}}',
    ],
)
def test_reads_what_arras_reads(text: str) -> None:
    assert parse_definition(text).blocks == {}


def test_strings_with_comment_signs_stay_whole() -> None:
    text = '{"a": "x // y", "b": "/* z */", "c": "p,]", "computations": {}}'
    assert parse_definition(text).document == json.loads(text)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "marked.sessiondef"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"computations": {}}')
    read = read_definition(path)
    assert (read.name, read.file) == ("marked", str(path))


def test_unknown_keys_are_kept() -> None:
    computation = expand_one(novelty={"deep": [1, "x"]}, continuous="false")
    assert computation.block == MCRT | {"novelty": {"deep": [1, "x"]}, "continuous": "false"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_reads_all_of_json(document: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    document = document | {"computations": {}}
    assert parse_definition(json.dumps(document, indent=indent, ensure_ascii=ascii_only)).document == document


# Where an error is


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", (1, 1)),
        ('{"computations": {}', (1, 20)),
        ('{\n "a": 1\n "computations": {}}', (3, 2)),
        ('{"a": [1, 2}', (1, 12)),
        ("{\n\n 'a': 1}", (3, 2)),
        ('{"a": 1,, "b": 2}', (1, 9)),
        ("{,}", (1, 2)),
        ('// c\n{"a": 1 /* open\n}', (2, 9)),
        ('{"computations": {}} ]', (1, 22)),
        ("[1]", (1, 1)),
        ('{\n "computations": []}', (2, 2)),
        ('{"computations": {\n "(client)": {},\n "mcrt": 4}}', (3, 2)),
        ("[" * 100_000, (1, 201)),
        ('{"a": "never closed}', (1, 7)),
        ('{"a": ' + '"\\' * 100_000, (1, 7)),
    ],
)
def test_says_where_the_text_is_wrong(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text, file="x.sessiondef")
    assert (caught.value.line, caught.value.column) == place
    assert str(caught.value).startswith(f"x.sessiondef:{place[0]}:{place[1]}: ")


def test_says_that_computations_are_missing() -> None:
    with pytest.raises(DefinitionError, match='"computations" is missing'):
        parse_definition("{}")


def test_refuses_integers_that_python_will_not_read() -> None:
    with pytest.raises(DefinitionError, match="not valid JSON"):
        parse_definition('{"a": ' + "1" * 5000 + ', "computations": {}}')


def test_points_at_a_field_and_not_at_another_of_that_name() -> None:
    text = """{
  "mcrt": {"arrayExpand": 1},
  "computations": {
    "merge": {"dso": "libcomputation_progmcrt_merge.so", "messages": {"mcrt": {"arrayExpand": 3}}},
    // "mcrt": {"arrayExpand": 2}
    "mcrt": {
      "dso": "libcomputation_progmcrt.so", "list": [{"arrayExpand": 5}, "arrayExpand"],
      "arrayExpand": -7
    }
  }
}"""
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text, file="f").expand()
    error = caught.value
    assert (error.line, error.column, error.computation, error.field) == (8, 7, "mcrt", "arrayExpand")
    assert "-7" in error.message


@pytest.mark.parametrize("data", [b"\xff\xfe{", b"{\n\n\x80"])
def test_refuses_a_file_that_is_no_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.sessiondef"
    path.write_bytes(data)
    with pytest.raises(DefinitionError, match="not UTF-8") as caught:
        read_definition(path)
    assert caught.value.line == data.count(b"\n") + 1


def test_refuses_files_that_are_missing_or_huge(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="No such file"):
        read_definition(tmp_path / "x.sessiondef")
    with pytest.raises(DefinitionError, match="directory"):
        read_definition(tmp_path)
    big = tmp_path / "big.sessiondef"
    big.write_bytes(b" " * 1_000_001)
    with pytest.raises(DefinitionError, match="1,000,000 bytes"):
        read_definition(big)


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


def test_num_mcrt_needs_an_array_to_override() -> None:
    single = definition(mcrt=MCRT, merge=MERGE)
    assert len(single.expand(1)) == 2
    with pytest.raises(DefinitionError, match="has one mcrt, not 2"):
        single.expand(2)
    several = definition(a=MCRT | {"arrayExpand": 1}, b=MCRT | {"arrayExpand": 1})
    with pytest.raises(DefinitionError, match="could mean any of a, b"):
        several.expand(3)
    with pytest.raises(DefinitionError, match="cannot have 0 mcrts"):
        single.expand(0)


@pytest.mark.parametrize("length", [1e9, 10**9, 10_001, 0, -1, 2.5, 1e300, 10**400, True, "4", None, [4]])
def test_refuses_array_lengths_that_cannot_be_meant(length: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        expand_one(arrayExpand=length)
    assert (caught.value.computation, caught.value.field) == ("mcrt", "arrayExpand")


@pytest.mark.parametrize("length", ["NaN", "Infinity", "-Infinity"])
def test_refuses_lengths_that_are_no_numbers(length: str) -> None:
    text = json.dumps({"computations": {"mcrt": MCRT | {"arrayExpand": float(length)}}})
    with pytest.raises(DefinitionError, match="cannot be"):
        parse_definition(text).expand()


def test_refuses_a_file_that_would_fill_the_memory() -> None:
    with pytest.raises(DefinitionError, match="5000 computations are more"):
        expand_one(arrayExpand=5000, padding="x" * 100_000)
    with pytest.raises(DefinitionError, match="more than a session"):
        definition(mcrt=MCRT | {"arrayExpand": 2}).expand(1_000_000)


def test_refuses_two_computations_of_one_name() -> None:
    with pytest.raises(DefinitionError, match="two computations are named mcrt_i1"):
        definition(mcrt=MCRT | {"arrayExpand": 2}, mcrt_i1=MCRT).expand()


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "a\nb", "(other)", ".hidden"])
def test_refuses_names_that_cannot_name_an_actor(name: str) -> None:
    with pytest.raises(DefinitionError, match="is no name"):
        definition(**{name: MCRT}).expand()


# Libraries and resources


@pytest.mark.parametrize("ending", ["", ".so", ".dylib"])
def test_libraries_stand_for_kinds(ending: str) -> None:
    d = definition(
        a={"dso": "libcomputation_progmcrt" + ending},
        b={"dso": "libcomputation_progmcrt_dispatch" + ending},
        c={"dso": "libcomputation_progmcrt_merge" + ending},
    )
    assert [c.kind for c in d.expand()] == ["mcrt", "dispatch", "merge"]


@pytest.mark.parametrize("dso", ["libmine.so", "", "libcomputation_progmcrt.so.so", 7, None])
def test_refuses_libraries_it_does_not_know(dso: Any) -> None:
    with pytest.raises(DefinitionError, match=r"dso|library") as caught:
        definition(mcrt={"dso": dso}).expand()
    assert caught.value.field == "dso"
    assert "libcomputation_progmcrt_merge" in caught.value.hint


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


# Finding


def test_the_path_comes_before_the_package(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "mine.sessiondef").write_text('{"computations": {}}')
    (second / "mcrt_progressive.sessiondef").write_text('{"computations": {}}')
    environ = {"ARRAS_SESSION_PATH": os.pathsep.join(["", str(first), str(second), str(tmp_path / "gone")])}
    assert load_definition("mine", environ).file == str(first / "mine.sessiondef")
    assert load_definition("mcrt_progressive", environ).file == str(second / "mcrt_progressive.sessiondef")
    in_package = package_sessions_dir() / "mcrt_progressive_n.sessiondef"
    assert load_definition("mcrt_progressive_n", environ).file == str(in_package)
    assert load_definition(str(first / "mine.sessiondef"), {}).name == "mine"


def test_an_unknown_name_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "mine.sessiondef").write_text("{}")
    with pytest.raises(DefinitionError, match="no session named yours") as caught:
        load_definition("yours", {"ARRAS_SESSION_PATH": str(tmp_path)})
    assert "mcrt_progressive, mcrt_progressive_n, mine" in caught.value.hint
    assert str(tmp_path) in caught.value.hint


def test_folders_that_travel_with_the_package() -> None:
    assert package_sessions_dir() == package_dir("sessions")
    assert package_dir("scenes").name == "scenes"


def test_our_own_single_session() -> None:
    d = load_definition("mcrt_progressive", {})
    computations = d.expand()
    d.check_render(computations)
    asked = {c.name: (c.resources.min_cores, c.resources.max_cores, c.resources.memory // MB) for c in computations}
    assert asked == {"dispatch": (0, 0, 256), "mcrt": (1, None, 1024), "merge": (0, 0, 512)}


def test_our_own_session_of_several() -> None:
    d = load_definition("mcrt_progressive_n", {})
    assert [c.name for c in d.expand()] == ["dispatch", "mcrt_i0", "mcrt_i1", "mcrt_i2", "mcrt_i3", "merge"]
    computations = d.expand(2)
    d.check_render(computations)
    assert [c.block.get("machineId") for c in computations] == [None, 0, 1, None]
    assert [c.block["numMachines"] for c in computations] == [2, 2, 2, 2]
