"""Scenes of any content, written and read again: nothing is lost, two readers agree, deltas lead to the other scene."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_scenes import ALL_CLASSES, ALL_SCHEMA, BASES, EDGES, Step, apply, build, changed_scenes, plain, scenes
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from plain_scene import CLASSES, SIZES, Wrong, completed
from rdla_checker import read_rdla
from rdlb_checker import read_rdlb

from arras_ray.errors import SceneError
from arras_ray.scene import (
    BEGIN,
    END,
    Delta,
    Layer,
    Limits,
    SceneContext,
    Style,
    load_schema,
    rdla_writer,
    rdlb,
    read_scene,
    write_scene,
)
from arras_ray.scene.rdla import RdlaReader
from arras_ray.scene.style import SPLIT_SIZE

SMALL = Limits(instructions=10_000_000, memory=64 << 20)

styles = st.builds(
    Style, elements_per_line=st.sampled_from([0, 1, 2, 5, 13]), skip_defaults=st.booleans(), transient=st.booleans()
)


def many(examples: int) -> Any:
    """Settings for so many scenes. They take long to draw, and minutes to shrink: the first that fails is shown."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(max_examples=examples, deadline=None, suppress_health_check=slow, phases=phases)


def to_rdla(context: SceneContext, style: Style | None = None) -> bytes:
    return rdla_writer.encode(context, style=style)


def to_rdlb(context: SceneContext, style: Style | None = None) -> bytes:
    return b"".join(rdlb.pieces(context, style=style))


def read(*sources: tuple[str, bytes], on: SceneContext | None = None) -> SceneContext:
    """Read pairs of a kind and the contents of a file, on top of a context or into a new one."""
    context = SceneContext(ALL_SCHEMA) if on is None else on
    for kind, data in sources:
        if kind == "rdla":
            RdlaReader(context, SMALL).run(data, "scene.rdla")
        else:
            rdlb.decode(data, context)
    assert context.warnings == []
    return context


# --- whole scenes


@many(40)
@given(scenes(), styles)
def test_rdla_gives_the_scene_back_and_a_second_reader_agrees(steps: list[Step], style: Style) -> None:
    context = build(steps)
    source = to_rdla(context, style)
    found = read_rdla(source, classes=ALL_CLASSES)
    assert completed(found, ALL_CLASSES) == plain(context)
    if not style.skip_defaults:
        with_attributes = [item for item in found.values() if item["attributes"]]
        assert all(set(item["attributes"]) == set(ALL_CLASSES.names(item["class"])) for item in with_attributes)
    back = read(("rdla", source))
    assert back == context
    assert to_rdla(back, style) == source


@many(40)
@given(scenes(), styles)
def test_rdlb_gives_the_scene_back_and_a_second_reader_agrees(steps: list[Step], style: Style) -> None:
    context = build(steps)
    data = to_rdlb(context, style)
    assert completed(read_rdlb(data, classes=ALL_CLASSES), ALL_CLASSES) == plain(context)
    back = read(("rdlb", data))
    assert back == context
    assert [item.name for item in back] == [item.name for item in context]
    assert to_rdlb(back, style) == data


def test_every_edge_of_every_type_comes_back() -> None:
    context = SceneContext(ALL_SCHEMA)
    for base, values in EDGES.items():
        for number, value in enumerate(values):
            item = context.create("EveryType", f"{base} {number}")
            item.set(f"{base} ", value)
            item.set_blur(f"{base} m", value, values[0])
            item.set(f"{base}Vector", [value, *values])
    for kind, size in SIZES.items():
        for base, type_name in (("float", kind if kind[:3] == "Rgb" else f"{kind}f"), ("double", f"{kind}d")):
            values = EDGES[base]
            rows = np.array([(values[k:] + values)[:size] for k in range(len(values))])
            if type_name in BASES:
                shape = (-1, 4, 4) if kind == "Mat4" else (-1, size)
                context.create("EveryType", type_name).set(f"{type_name}Vector", rows.reshape(shape))
    source, data = to_rdla(context), to_rdlb(context)
    assert completed(read_rdla(source, classes=ALL_CLASSES), ALL_CLASSES) == plain(context)
    assert completed(read_rdlb(data, classes=ALL_CLASSES), ALL_CLASSES) == plain(context)
    assert read(("rdla", source)) == context
    assert read(("rdlb", data)) == context


@many(20)
@given(scenes(), st.integers(0, 30), styles)
def test_two_halves_are_the_scene_in_either_order(steps: list[Step], size: int, style: Style) -> None:
    context = build(steps)
    text = to_rdla(context, dataclasses.replace(style, longest_vector=size))
    binary = to_rdlb(context, dataclasses.replace(style, shortest_vector=size + 1))
    assert read(("rdla", text), ("rdlb", binary)) == context
    assert read(("rdlb", binary), ("rdla", text)) == context
    objects = read_rdlb(binary, read_rdla(text, classes=ALL_CLASSES), classes=ALL_CLASSES)
    assert completed(objects, ALL_CLASSES) == plain(context)


@many(12)
@given(scenes(most=4, rows=CLASSES), st.sampled_from([".rdla", ".rdlb", ""]))
def test_files_give_the_scene_back(tmp_path_factory: pytest.TempPathFactory, steps: list[Step], suffix: str) -> None:
    context = build(steps, load_schema())
    written = write_scene(context, tmp_path_factory.mktemp("scene") / f"scene{suffix}")
    assert read_scene(written, strict=True, limits=SMALL) == context


# --- deltas


@many(30)
@given(changed_scenes())
def test_what_is_changed_after_a_commit_is_the_delta(both: tuple[list[Step], list[Step]]) -> None:
    first, then = both
    context = build(first)
    context.commit()
    apply(context, then)
    delta = context.delta()
    assert bool(delta) == (context != build(first) or len(context) > len(build(first)))
    check_delta(delta, first, context)


@many(30)
@given(changed_scenes())
def test_the_delta_of_two_scenes_leads_from_one_to_the_other(both: tuple[list[Step], list[Step]]) -> None:
    first, then = both
    check_delta(Delta.between(build(first), build(first + then)), first, build(first + then))
    check_delta(Delta.between(build(first + then), build(first)), first + then, build(first))


@many(30)
@given(scenes(most=4), scenes(most=4))
def test_the_delta_of_any_two_scenes(first: list[Step], second: list[Step]) -> None:
    before, after = build(first), build(second)
    if any(item.name in before and before[item.name].scene_class is not item.scene_class for item in after):
        with pytest.raises(SceneError, match="an object cannot change its class"):
            Delta.between(before, after)
    else:
        check_delta(Delta.between(before, after), first, after)


def check_delta(delta: Delta, first: list[Step], after: SceneContext) -> None:
    """RDLB says all but what is `lost`, RDLA all but that and what is `narrowed`, and neither says more."""
    before = build(first)
    assert bool(delta) == bool(delta.attributes)
    by_rdlb = read(("rdlb", delta.to_rdlb()), on=build(first))
    assert (by_rdlb == after) == (not delta.lost)
    assert read_rdlb_on(before, delta) == plain(by_rdlb)
    by_rdla = read(("rdla", rdla_writer.encode(delta.context, delta.attributes)), on=build(first))
    assert (by_rdla == after) == (not delta.lost and not delta.narrowed)
    for name in delta.narrowed:
        assert not by_rdla[name].same_content(after[name])
        assert by_rdlb[name].same_content(after[name])
    if delta.narrowed:
        with pytest.raises(SceneError, match="has lost members"):
            delta.to_rdla()
    else:
        assert delta.to_rdla() == rdla_writer.encode(delta.context, delta.attributes)


def read_rdlb_on(before: SceneContext, delta: Delta) -> dict[str, Any]:
    objects = read_rdlb(to_rdlb(before), classes=ALL_CLASSES)
    return completed(read_rdlb(delta.to_rdlb(), objects, classes=ALL_CLASSES), ALL_CLASSES)


@many(30)
@given(changed_scenes(new_objects=0))
def test_what_is_changed_back_is_no_delta(both: tuple[list[Step], list[Step]]) -> None:
    first, then = both
    context, twin = build(first), build(first)
    context.commit()
    apply(context, [step for step in then if not isinstance(context[step[1]], Layer)])
    for item in context:
        if isinstance(item, Layer):
            continue
        for attribute in item.changed_attributes():
            name, old = attribute.name, twin[item.name]
            values = [resolved(context, old.get(name, step)) for step in (BEGIN, END)]
            item.set_blur(name, *values)
            if attribute.bindable:
                item.bind(name, resolved(context, old.binding(name)))
    assert not context.delta()
    assert context == twin


def resolved(context: SceneContext, value: Any) -> Any:
    """References of another context, in this one."""
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(resolved(context, item) for item in value)
    return context[value.name] if hasattr(value, "scene_class") else value


@many(30)
@given(scenes())
def test_setting_what_is_there_is_no_change(steps: list[Step]) -> None:
    context = build(steps)
    context.commit()
    for item in context:
        for name in item.scene_class.attributes if not isinstance(item, Layer) else ():
            item.set_blur(name, item.get(name, BEGIN), item.get(name, END), keep_binding=True)
    assert not context.delta()
    assert context.delta().to_rdla() == b""
    assert read(("rdlb", context.delta().to_rdlb()), on=build(steps)) == context


# --- the layout


def test_objects_stand_in_groups_by_name() -> None:
    context = SceneContext()
    order = [
        ("ImageMap", "z"), ("Joint", "b"), ("SphereGeometry", "a1"), ("BoxGeometry", "a2"), ("GeometrySet", "y"),
        ("ShadowReceiverSet", "y2"), ("Layer", "w1"), ("TraceSet", "w2"), ("DwaBaseMaterial", "v"),
        ("RectLight", "u"), ("LightFilterSet", "t"), ("LightSet", "s1"), ("ShadowSet", "s2"),
        ("PerspectiveCamera", "r"), ("Metadata", "q"),
    ]  # fmt: skip
    for class_name, name in [("UserData", "0"), *reversed(order)]:
        context.create(class_name, name)
    blocks = to_rdla(context).decode().split("\n\n")
    assert blocks == [
        "SceneVariables {\n}",
        *(f'{kind}("{name}") {{\n}}' for kind, name in order),
        'UserData("0") {\n}\n',
    ]


def test_a_block() -> None:
    context = SceneContext()
    image = context.create("ImageMap", "map")
    material = context.create("DwaBaseMaterial", 'a "b"\\\n')
    material.bind("albedo", image)
    material.set("roughness", 0.1)
    camera = context.create("PerspectiveCamera", "camera")
    camera.set_blur("focal", 1, 2.5)
    context.create("RenderOutput", "out").set("result", 3)
    assert to_rdla(context).decode().split("\n\n")[2:] == [
        'DwaBaseMaterial("a \\"b\\"\\\\\\n") {\n'
        '    ["roughness"] = bind(undef(), 0.100000001),\n'
        '    ["albedo"] = bind(ImageMap("map"), Rgb(1, 1, 1)),\n'
        "}",
        'PerspectiveCamera("camera") {\n    ["focal"] = blur(1, 2.5),\n}',
        'RenderOutput("out") {\n    ["result"] = "state variable",\n}\n',
    ]


@pytest.mark.parametrize(
    ("per_line", "text"),
    [(0, "{ 1, 2, 3}"), (1, "{ 1,\n        2,\n        3}"), (2, "{ 1, 2,\n        3}"), (3, "{ 1, 2, 3}")],
)
def test_elements_per_line(per_line: int, text: str) -> None:
    context = SceneContext()
    context.create("UserData", "u").set("int_values", [1, 2, 3])
    source = to_rdla(context, Style(elements_per_line=per_line)).decode()
    assert f'    ["int_values"] = {text},\n' in source


def test_defaults_are_written_on_demand() -> None:
    context = SceneContext()
    context.create("RectLight", "light").set("width", 2)
    short, long = (to_rdla(context, Style(skip_defaults=skip)) for skip in (True, False))
    assert list(read_rdla(short)["light"]["attributes"]) == ["width"]
    assert list(read_rdla(long)["light"]["attributes"]) == CLASSES.names("RectLight")
    assert list(read_rdla(long)["__SceneVariables__"]["attributes"]) == CLASSES.names("SceneVariables")


@pytest.mark.parametrize("attribute", ["int_values", "float_values_0", "string_values", "color_values_0"])
def test_long_vectors_are_in_the_binary_half(tmp_path: Path, attribute: str) -> None:
    assert SPLIT_SIZE == 13
    context = SceneContext()
    values: dict[str, Any] = {"string_values": "x", "color_values_0": (1, 2, 3)}
    for count in (12, 13):
        value = values.get(attribute, 1)
        context.create("UserData", f"u{count}").set(attribute, [value] * count)
    lights = [context.create("RectLight", f"l{index}") for index in range(20)]
    context.create("LightSet", "lights").set("lights", lights)
    text, binary = write_scene(context, tmp_path / "scene")
    assert (text.name, binary.name) == ("scene.rdla", "scene.rdlb")
    said = {name: item["attributes"] for name, item in read_rdla(text.read_bytes()).items() if item["attributes"]}
    assert {name: list(attributes) for name, attributes in said.items()} == {"u12": [attribute]}
    packed = read_rdlb(binary.read_bytes())
    assert {name: list(item["attributes"]) for name, item in packed.items() if item["attributes"]} == {
        "u13": [attribute]
    }
    assert len(read_rdla(text.read_bytes())["lights"]["rows"]) == 20
    assert not any(item["rows"] for item in packed.values())
    assert read_scene([binary, text]) == context


# --- the checkers themselves


@pytest.mark.parametrize(
    "source",
    [
        "NoClass('x') {}",
        "RectLight('x') { ['wdth'] = 1 }",
        "RectLight('x') { ['width'] = '1' }",
        "RectLight('x') { ['width'] = 1 ['height'] = 2 }",
        "RectLight('x') { ['width'] = 1, ['width'] = 1 }",
        "RectLight('x') { ['label'] = 'a\nb' }",
        "RectLight('x') { ['label'] = '\\q' }",
        "RectLight('x') { ['color'] = Vec3(1, 2, 3) }",
        "RectLight('x') { ['color'] = Rgb(1, 2) }",
        "RectLight('x') { ['width'] = bind(ImageMap('i'), 1) }",
        "RectLight('x') { ['width'] = blur(1, 2) }",
        "RectLight('x') SphereLight('x')",
        "SceneVariables { ['sampling_mode'] = 'no label' }",
        "SceneVariables { ['camera'] = RectLight('x') }",
        "SceneVariables { ['image_width'] = 2147483648 }",
        "SceneVariables",
        "UserData('u') { ['int_values'] = { 1, 2.5 } }",
        "LightSet('s') { undef() }",
        "LightSet('s') { SphereGeometry('g') }",
        "Layer('l') { {SphereGeometry('g'), ''}, {SphereGeometry('g')} }",
        "Layer('l') { {SphereGeometry('g'), '', LightSet('a'), LightSet('b')} }",
        "local x = 1",
        "RectLight('x') {",
    ],
)
def test_the_checker_of_rdla_refuses(source: str) -> None:
    with pytest.raises(Wrong):
        read_rdla(source.encode())


def test_the_checker_of_rdla_reads_what_lua_reads() -> None:
    source = rb"""-- a comment
        UserData('u') { ['string_values'] = { "\x41\065\u{41}\z
            A", '\'"\\', "\
", },  -- [[ another
            ['float_values_0'] = { -0.0, 0/0, 1/0, -1/0, .5, 0x10, -(1e2), math.huge };
            --[[ ['no'] = 1,
            ]] ["int_values"] = {} }; Camera("c") SceneVariables { ['camera'] = PerspectiveCamera("c") }
    """
    found = completed(read_rdla(source), CLASSES)
    values = found["u"]["attributes"]
    assert values["string_values"] == ("AAAA", "'\"\\", "\n")
    assert [float.fromhex(value) for value in values["float_values_0"]][3:] == [-np.inf, 0.5, 16, -100, np.inf]
    assert values["float_values_0"][:3] == ("-0x0.0p+0", "nan", "inf")
    assert found["__SceneVariables__"]["attributes"]["camera"] == ("PerspectiveCamera", "c")
    assert plain(read(("rdla", source))) == found


def test_the_checker_of_rdlb_refuses_every_cut_and_every_other_size() -> None:
    context = SceneContext()
    context.create("SphereGeometry", "s").set("radius", 2)
    data = to_rdlb(context)
    assert completed(read_rdlb(data), CLASSES) == plain(context)
    for length in range(len(data)):
        with pytest.raises(Wrong):
            read_rdlb(data[:length])
    sizes = [7, 15, 16, *(match.start() for match in re.finditer(rb".\0{7}", data[16:], re.DOTALL))]
    for index in sizes[:3]:
        changed = bytearray(data)
        changed[index] += 1
        with pytest.raises(Wrong):
            read_rdlb(bytes(changed))
