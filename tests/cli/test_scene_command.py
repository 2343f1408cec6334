"""`arras-ray scene classes`, `print`, `convert` and `diff`, on small scenes of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from command_line import SCENE

from arras_ray.cli.main import run
from arras_ray.cli.scene_command import scene as scene_group
from arras_ray.scene import Rgb, SceneContext, read_delta, read_scene

Told = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scene in it."""
    (tmp_path / "ball.rdla").write_text(SCENE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Runs `arras-ray scene ARGUMENTS...`, which ends with `code` and says `err` on stderr; gives its lines."""

    def of(*arguments: str, code: int = 0, err: str = "") -> list[str]:
        assert run(["scene", *arguments]) == code
        out, said = capsys.readouterr()
        assert err in said if err else said == ""
        return out.splitlines()

    return of


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize("name", sorted(scene_group.commands))
def test_help_explains_every_option(name: str) -> None:
    text = CliRunner().invoke(scene_group, [name, "--help"]).output
    for parameter in scene_group.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert all(word in text for word in parameter.opts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "Missing argument 'FILE...'."),
        (["print"], "Missing argument 'FILE...'."),
        (["convert", "a.rdla"], "Missing argument 'IN...'."),
        (["convert", "a.rdla", "b.rdlb", "--elements-per-line", "-1"], "-1 is not in the range"),
        (["convert", "a.rdla", "b.rdlb", "--elements-per-line", "3"], "--elements-per-line says nothing about RDLB"),
        (["convert", "a.rdla", "b.rdla", "--transient"], "--transient says nothing about RDLA"),
        (["check", "a.rdlb", "--rdla-set", "n", "1"], "--rdla-set n: no file is RDLA"),
        (["diff", "a.rdla"], "Missing argument 'B'."),
        (["classes", "SphereLihgt"], "there is no scene class 'SphereLihgt'"),
        (["print", "ball.rdla", "--class", "Lihgt"], "there is no scene class 'Lihgt'"),
        (["print", "ball.rdla", "--attr-set", "/ball", "radius"], "Option '--attr-set' requires 3 arguments."),
    ],
)
def test_usage_errors(arguments: list[str], message: str, told: Told) -> None:
    assert told(*arguments, code=2, err=message) == []


@pytest.mark.parametrize("arguments", [("check",), ("print",), ("diff", "ball.rdla")])
def test_a_scene_that_cannot_be_read(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scene", *arguments, "gone.rdla"]) == 3
    out, err = capsys.readouterr()
    assert "gone.rdla: " in out + err
    assert "there is no such scene file" in out + err


# classes


def test_classes_lists_all_with_their_kind(told: Told) -> None:
    header, *rows = told("classes")
    assert header.split() == ["class", "kind", "attributes", "interfaces"]
    assert len(rows) == 195
    assert ["RectLight", "dso", "44", "LIGHT", "NODE"] in [row.split() for row in rows]


def test_a_class_has_its_attributes_with_types_defaults_flags_labels_and_aliases(told: Told) -> None:
    first, _, *rows = told("classes", "RectLight")
    assert first == "RectLight: dso, a Light < Node < SceneObject; LIGHT NODE"
    row = {line.split()[0]: line.split(maxsplit=1)[1] for line in rows}
    assert row["width"].split() == ["float", "1"]
    assert row["texture"].split() == ["string", '""', "f"]
    assert row["node_xform"].endswith("  m      also 'node xform'")
    assert row["sidedness"].endswith("0 regular, 1 reverse, 2 2-sided")
    assert row["light_filters"].endswith("also 'light filters'; takes GENERIC")


def test_classes_for_programs(told: Told) -> None:
    (line,) = told("classes", "--json")
    listed = json.loads(line)
    assert listed["schema"] == 1
    assert {"name": "Light", "kind": "abstract", "parents": ["Node", "SceneObject"]}.items() <= next(
        one for one in listed["classes"] if one["name"] == "Light"
    ).items()
    (line,) = told("classes", "DwaBaseMaterial", "--json")
    one = json.loads(line)
    assert one["n_attributes"] == len(one["attributes"])
    (albedo,) = [attribute for attribute in one["attributes"] if attribute["name"] == "albedo"]
    assert (albedo["type"], albedo["bindable"], albedo["blurrable"]) == ("Rgb", True, False)
    assert albedo["default"] == [1, 1, 1]


# print

MOVING = SCENE + (
    'DwaBaseMaterial("/grey") { ["albedo"] = bind(ImageMap("/tex") { ["texture"] = "a\\27[31m.exr" }, Rgb(0.1, 0, 0)),'
    '  ["specular model"] = "Beckmann" }\n'
    'SphereGeometry("/ball") { ["node_xform"] = blur(translate(0, 0, 0), translate(1, 0, 0)) }\n'
    'RdlMeshGeometry("/mesh") { ["vertices_by_index"] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } }\n'
)


PLACE = "Mat4(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, {}, 0, 0, 1)"


def test_print_says_what_objects_are(told: Told) -> None:
    write("moving.rdla", MOVING)
    lines = told(
        "print", "moving.rdla", "--non-default", "--class", "Material", "--class", "Geometry", "--class", "Map"
    )
    assert [" ".join(line.split()) for line in lines] == [
        'SphereGeometry("/ball")',
        f"node_xform Mat4d blur({PLACE.format(0)}, {PLACE.format(1)})",
        'DwaBaseMaterial("/grey")',
        'specular_model int "Beckmann"',
        'albedo Rgb bind(ImageMap("/tex"), Rgb(0.1, 0, 0))',
        'ImageMap("/tex")',
        r'texture string "a\027[31m.exr"',
        'RdlMeshGeometry("/mesh")',
        "vertices_by_index intVector { 1, 2, 3, 4, 5, 6, 7, 8, ... 10 in all }",
    ]


def test_print_in_full(told: Told) -> None:
    write("moving.rdla", MOVING)
    lines = told("print", "moving.rdla", "--name", "/m*", "--attr", "vertices_by_index", "--full")
    assert lines[1].endswith("{ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }")


def test_print_with_filters(told: Told) -> None:
    assert told("print", "ball.rdla", "--attr", "image width", "--attr", "radius") == [
        "SceneVariables",
        "    image_width  int  48",
        'SphereLight("/light")',
        "    radius  float  0.5",
        'SphereGeometry("/ball")',
        "    radius  float  1",
    ]
    assert told("print", "ball.rdla", "--name", "/c*", "--name", "/l?ght", "--non-default", "--attr", "radius") == [
        'SphereLight("/light")',
        "    radius  float  0.5",
    ]
    assert told("print", "ball.rdla", "--name", "nobody", err="no object fits") == []


def test_print_shows_defaults_too(told: Told) -> None:
    head, *lines = told("print", "ball.rdla", "--name", "/ball")
    assert head == 'SphereGeometry("/ball")'
    assert len(lines) == len(SceneContext().create("SphereGeometry", "x").scene_class.attributes)
    assert ["references", "SceneObjectVector", "{}"] in [line.split() for line in lines]


def test_print_for_programs(told: Told) -> None:
    write("moving.rdla", MOVING)
    (line,) = told("print", "moving.rdla", "--json", "--non-default")
    printed = json.loads(line)
    assert printed["schema"] == 1
    objects: dict[str, Any] = {one["name"]: one for one in printed["objects"]}
    assert objects["/grey"] == {
        "class": "DwaBaseMaterial",
        "name": "/grey",
        "attributes": {
            "specular_model": {"type": "int", "value": 0, "label": "Beckmann"},
            "albedo": {
                "type": "Rgb",
                "value": [pytest.approx(0.1), 0, 0],
                "binding": {"class": "ImageMap", "name": "/tex"},
            },
        },
    }
    moved = objects["/ball"]["attributes"]["node_xform"]
    assert (moved["begin"][3], moved["value"][3]) == ([0, 0, 0, 1], [1, 0, 0, 1])
    assert objects["/mesh"]["attributes"]["vertices_by_index"]["value"] == list(range(1, 11))
    assert objects["/lights"]["attributes"]["lights"]["value"] == [{"class": "SphereLight", "name": "/light"}]


def test_numbers_json_has_no_word_for(told: Told) -> None:
    write("odd.rdla", 'SphereGeometry("/s") { ["radius"] = 1/0, ["zmin"] = 0/0 }')
    (line,) = told("print", "odd.rdla", "--json", "--attr", "radius", "--attr", "zmin")
    (one,) = json.loads(line, parse_constant=pytest.fail)["objects"]
    assert one["attributes"]["radius"]["value"] == "inf"
    assert one["attributes"]["zmin"]["value"] == "nan"


def test_what_is_skipped_is_told(told: Told) -> None:
    write("odd.rdla", 'SphereGeometry("/s") { ["radus"] = 1 }')
    told("print", "odd.rdla", err="warning: odd.rdla:1: /s.radus: no attribute named 'radus'")
    told("print", "odd.rdla", "--strict", code=3, err="arras-ray: odd.rdla:1: no attribute named 'radus'")


# convert


def test_convert_there_and_back(told: Told) -> None:
    write("moving.rdla", MOVING)
    assert told("convert", "moving.rdla", "a.rdlb") == ["wrote a.rdlb"]
    assert told("convert", "a.rdlb", "b.rdla") == ["wrote b.rdla"]
    assert read_scene(["a.rdlb"]) == read_scene(["moving.rdla"]) == read_scene(["b.rdla"])


def test_a_name_without_an_ending_is_split(told: Told) -> None:
    numbers = ", ".join(map(str, range(13)))
    write("mesh.rdla", f'RdlMeshGeometry("/m") {{ ["vertices_by_index"] = {{ {numbers} }}, ["is_subd"] = false }}')
    assert told("convert", "mesh.rdla", "split") == ["wrote split.rdla", "wrote split.rdlb"]
    assert "is_subd" in Path("split.rdla").read_text()
    assert "vertices_by_index" not in Path("split.rdla").read_text()
    assert read_scene(["split.rdla", "split.rdlb"]) == read_scene(["mesh.rdla"])


def test_how_it_is_written(told: Told) -> None:
    write("mesh.rdla", 'RdlMeshGeometry("/m") { ["vertices_by_index"] = { 1, 2, 3 } }')
    told("convert", "mesh.rdla", "out.rdla", "--elements-per-line", "2")
    assert '["vertices_by_index"] = { 1, 2,\n        3}' in Path("out.rdla").read_text()
    assert "is_subd" not in Path("out.rdla").read_text()
    told("convert", "mesh.rdla", "all.rdla", "--all")
    assert '["is_subd"] = true' in Path("all.rdla").read_text()


def test_inputs_deltas_and_edits_go_into_one_scene(told: Told) -> None:
    write("more.rdla", 'SphereLight("/second")')
    write("first.rdla", 'SphereLight("/light") { ["intensity"] = 5, ["radius"] = 5 }')
    write("then.rdla", 'SphereLight("/light") { ["intensity"] = 6, ["exposure"] = 6 }')
    edit = ["--attr-set", "/light", "exposure", "7"]
    told("convert", "ball.rdla", "more.rdla", "out.rdla", *edit, "--delta", "first.rdla", "--delta", "then.rdla")
    context = read_scene(["out.rdla"])
    light = context["/light"]
    assert [light.get(name) for name in ("radius", "intensity", "exposure")] == [5, 6, 7]
    assert "/second" in context


def test_outputs_that_cannot_be_written(told: Told) -> None:
    told("convert", "ball.rdla", "out.usd", code=8, err="cannot write a scene to out.usd")
    told("convert", "ball.rdla", "no/folder/out.rdla", code=8, err="no/folder")
    told("diff", "ball.rdla", "ball.rdla", "-o", "out.usd", code=8, err="cannot write a delta to out.usd")


# diff


def test_equal_scenes_have_no_difference(told: Told) -> None:
    told("convert", "ball.rdla", "same.rdlb")
    assert told("diff", "ball.rdla", "same.rdlb") == []


def test_scenes_of_several_files_are_compared_as_they_are_read(told: Told) -> None:
    corners = ", ".join(f"Vec3({n}, 0, 0)" for n in range(13))  # as many as go into the binary half
    mesh = f'RdlMeshGeometry("/m") {{ ["vertex_list_0"] = {{ {corners} }} }}\n'
    write("whole.rdla", SCENE + mesh + 'UserData("/u") { ["int_key"] = tostring(n) }\n')
    told("convert", "whole.rdla", "split", "--rdla-set", "n", "7")
    parts = ("split.rdla", "-a", "split.rdlb")
    assert told("diff", *parts, "whole.rdla", "--rdla-set", "n", "7") == []
    lines = told("diff", *parts, "whole.rdla", "--rdla-set", "n", "8", code=1)
    assert lines == ['UserData("/u") {', '    ["int_key"] = "8",', "}"]
    assert told("diff", "whole.rdla", "-b", "split.rdlb", "split.rdla", "--rdla-set", "n", "7") == []
    assert told("diff", "split.rdla", "whole.rdla", "--rdla-set", "n", "7", code=1)[0] == 'RdlMeshGeometry("/m") {'


def test_a_delta_is_printed_that_leads_from_one_to_the_other(told: Told) -> None:
    write("other.rdla", SCENE + 'SphereLight("/light") { ["color"] = Rgb(1, 0.5, 0) }\nRectLight("/new")\n')
    lines = told("diff", "ball.rdla", "other.rdla", code=1)
    assert lines == ['SphereLight("/light") {', '    ["color"] = Rgb(1, 0.5, 0),', "}", "", 'RectLight("/new") {', "}"]


@pytest.mark.parametrize("output", ["delta.rdla", "delta.rdlb"])
def test_a_delta_is_written(output: str, told: Told) -> None:
    write("other.rdla", SCENE + 'SphereLight("/light") { ["color"] = Rgb(1, 0.5, 0) }\n')
    assert told("diff", "ball.rdla", "other.rdla", "-o", output, code=1) == [f"wrote {output}"]
    context = read_scene(["ball.rdla"])
    assert context["/light"].get("color") == Rgb(1, 1, 1)
    read_delta(context, output)
    assert context == read_scene(["other.rdla"])


def test_what_a_delta_cannot_say_is_told(told: Told) -> None:
    write("a.rdla", 'LightSet("/set") { SphereLight("/a"), SphereLight("/b") }\nUserData("/gone")\n')
    write("b.rdla", 'LightSet("/set") { SphereLight("/b") }\nSphereLight("/a")\n')
    gone = 'warning: not in the delta: UserData("/gone") is gone\n'
    lines = told("diff", "a.rdla", "b.rdla", code=1, err=gone)
    assert lines == ['LightSet("/set") {', '    SphereLight("/b"),', "}"]
    narrowed = 'members of LightSet("/set") are gone, which only RDLB can say'
    told("diff", "a.rdla", "b.rdla", "-o", "d.rdla", code=1, err=narrowed)
    write("c.rdla", 'LightSet("/set") { SphereLight("/b") }\nSphereLight("/a")\nUserData("/gone")\n')
    assert told("diff", "a.rdla", "c.rdla", "-o", "d.rdlb", code=1) == ["wrote d.rdlb"]
    context = read_scene(["a.rdla"])
    read_delta(context, "d.rdlb")
    assert context == read_scene(["c.rdla"])


def test_an_object_that_is_gone_is_a_difference(told: Told) -> None:
    write("a.rdla", 'UserData("/gone")\nUserData("/there")')
    write("b.rdla", 'UserData("/there")')
    assert told("diff", "a.rdla", "b.rdla", code=1, err="is gone") == []


def test_a_name_that_changed_its_class_is_no_delta(told: Told) -> None:
    write("a.rdla", 'UserData("/x")')
    write("b.rdla", 'SphereLight("/x")')
    assert told("diff", "a.rdla", "b.rdla", code=3, err="an object cannot change its class") == []
