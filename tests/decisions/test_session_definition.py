"""The text of definitions, the places that errors name, and how files are found."""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.errors import DefinitionError
from arras_ray.session.definition import (
    MB,
    definition_files,
    load_definition,
    package_dir,
    package_sessions_dir,
    parse_definition,
    read_definition,
)
from arras_ray.session.definition_text import MAX_CHARACTERS, Source

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
        '{"computations": {}} ]',
        '{"computations": {}} and more: "never closed',
        '{"computations": {}} /* never closed',
        '{"computations": {}, "name": null, "computations": {},}',
        '{"\\u0063omputations": {}}',
        '{"computations": {}} // \r\n',
        '\r\n\t{ // 1\r"computations": {}}',
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_reads_all_of_json(document: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    document = document | {"computations": {}}
    assert parse_definition(json.dumps(document, indent=indent, ensure_ascii=ascii_only)).document == document


def test_a_thousand_levels_are_read() -> None:
    text = '{"computations": {}, "deep": ' + "[" * 998 + "{}" + "]" * 998 + "}"
    assert parse_definition(text).blocks == {}


def refusal_of(text: str) -> DefinitionError | None:
    try:
        Source(text).parse()
    except DefinitionError as error:
        return error
    return None


@settings(deadline=None)
@given(st.text(alphabet='{}[]:,"\\/* \n019.eE+-aux\u00e9'))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    refusal = refusal_of(text)
    if refusal is not None:
        lines = text.split("\n")
        assert 1 <= refusal.column <= len(lines[refusal.line - 1]) + 1


def decorated(value: Any, random: Random) -> tuple[str, dict[tuple[str | int, ...], int]]:
    """A document as a person may write it, and where each name and each element of a list begins."""
    parts: list[str] = []
    places: dict[tuple[str | int, ...], int] = {}

    def put(text: str) -> int:
        parts.append(random.choice(["", "", " ", "\n", "\t", '/* { " */', '// ] "\n', "/**/"]))
        at = sum(map(len, parts))
        parts.append(text)
        return at

    def write(value: Any, path: tuple[str | int, ...]) -> int:
        if not isinstance(value, dict | list):
            return put(json.dumps(value, ensure_ascii=random.random() < 0.5))
        at = put("{" if isinstance(value, dict) else "[")
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
        for i, (key, item) in enumerate(items):
            if isinstance(value, dict):
                places[(*path, key)] = put(json.dumps(key))
                put(":")
                write(item, (*path, key))
            else:
                places[(*path, key)] = write(item, (*path, key))
            if i < len(items) - 1 or random.random() < 0.3:
                put(",")
        put("}" if isinstance(value, dict) else "]")
        return at

    write(value, ())
    return "".join(parts), places


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.randoms(use_true_random=False))
def test_every_place_is_found_however_it_is_written(document: dict[str, Any], random: Random) -> None:
    text, places = decorated(document, random)
    source = Source(text)
    assert source.parse() == document
    for path, at in places.items():
        assert source.offset_of(path) == at
        assert source.offset_of((*path, "not there")) == at
    assert source.offset_of(()) is None


def test_of_a_name_written_twice_the_last_is_pointed_at() -> None:
    source = Source('{"a": {"b": 1, "c": 2}, "a": {"c": 3, "c": 4}}')
    assert source.parse() == {"a": {"c": 4}}
    assert source.text[: source.offset_of(("a", "c")) or 0].endswith('"c": 3, ')
    assert source.text[: source.offset_of(("a", "b")) or 0].endswith("2}, ")


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
        ("[1]", (1, 1)),
        ('{\n "computations": []}', (2, 2)),
        ('{"computations": {\n "(client)": {},\n "mcrt": 4}}', (3, 2)),
        ("[" * 100_000, (1, 1001)),
        ("[" * 1001 + "]" * 1001, (1, 1001)),
        ('{"a":' * 1001, (1, 5001)),
        ('{"a": NaN}', (1, 7)),
        ('{"a": -Infinity}', (1, 7)),
        ('{"a": 1e999}', (1, 7)),
        ('{"a": 01}', (1, 7)),
        ('{"a": "\\x"}', (1, 8)),
        ('{"a": "\\ud800"}', (1, 7)),
        ('{"a": 1\u00a0}', (1, 7)),
        ('{"a" 1}', (1, 6)),
        ('{"a": }', (1, 7)),
        ('{"a": 1]', (1, 8)),
        ('{"a": [1}', (1, 9)),
        ("{a: 1}", (1, 2)),
        ("[,]", (1, 2)),
        ("[1,,]", (1, 4)),
        ('{"a": [1, 2]\n\n\n', (1, 13)),
        ('{"a": 1 / 2}', (1, 9)),
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


def test_refuses_a_text_that_is_too_long() -> None:
    with pytest.raises(DefinitionError, match="1,000,000 characters"):
        parse_definition(" " * (MAX_CHARACTERS + 1), file="x")


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
    found = {path.name: path.parent for path in definition_files(environ)}
    assert found == {
        "mcrt_progressive.sessiondef": second,
        "mcrt_progressive_n.sessiondef": package_sessions_dir(),
        "mine.sessiondef": first,
    }


def test_a_path_may_have_any_ending(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"computations": {}}')
    assert load_definition(str(tmp_path / "mine.json"), {}).name == "mine.json"


@pytest.mark.parametrize("name", ["", ".", "x" * 5000, "a\0b", "/"])
def test_names_that_cannot_be_files_are_told_like_others(name: str) -> None:
    with pytest.raises(DefinitionError, match="no session named"):
        load_definition(name, {})


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
