"""Sets, layers, trace sets and metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene_reader import Reader

from arras_ray.errors import SceneError
from arras_ray.scene import Assignment, Layer, MemberSet, Metadata, SceneContext, TraceSet

PARTS = """
    g, g2 = SphereGeometry("g"), BoxGeometry("g2")
    material, volume = DwaBaseMaterial("material"), BaseVolume("volume")
    lights, filters, shadows = LightSet("lights"), LightFilterSet("filters"), ShadowSet("shadows")
    receivers, displacement = ShadowReceiverSet("receivers"), NormalDisplacement("displacement")
"""


def layer_of(context: SceneContext) -> Layer:
    layer = context["layer"]
    assert isinstance(layer, Layer)
    return layer


def names_of(context: SceneContext, name: str) -> list[str]:
    found = context[name]
    assert isinstance(found, MemberSet)
    return [member.name for member in found.members]


def test_calling_a_set_again_adds_to_it(read: Reader) -> None:
    context = read("""
        local b, a, c = SphereGeometry("b"), SphereGeometry("a"), SphereGeometry("c")
        local set = GeometrySet("set") { b, a }
        GeometrySet("set") { a, c }
        assert(#set == 3)
        assert(#GeometrySet("empty") {} == 0)
    """)
    assert names_of(context, "set") == ["b", "a", "c"]
    assert context["set"].get("geometries") == tuple(context[name] for name in "bac")


def test_what_is_added_goes_to_what_the_set_holds_now() -> None:
    context = SceneContext()
    lights = {name: context.create("RectLight", name) for name in "abcd"}
    lightset = context.create("LightSet", "set")
    assert isinstance(lightset, MemberSet)
    lightset.add([lights["c"]])
    lightset.add([lights["a"], lights["c"]])
    assert names_of(context, "set") == ["a", "c"]
    lightset.set("lights", [lights["d"], lights["b"]])
    lightset.add([lights["a"], None, lights["d"]])
    assert names_of(context, "set") == ["a", "b", "d"]
    lightset.set("lights", [])
    lightset.add([lights["b"]])
    assert names_of(context, "set") == ["b"]


@pytest.mark.parametrize(
    ("set_class", "member"),
    [("LightSet", "RectLight"), ("ShadowSet", "SphereLight"), ("LightFilterSet", "IntensityLightFilter")],
)
def test_light_sets_are_sorted_by_name(read: Reader, set_class: str, member: str) -> None:
    context = read(f"""
        {set_class}("set") {{ {member}("c"), {member}("a") }}
        {set_class}("set") {{ {member}("b") }}
        assert(#{set_class}("set") == 3)
    """)
    assert names_of(context, "set") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("LightSet('s') { 1 }", "bad element #1 in table"),
        ("LightSet('s') { RectLight('r'), undef() }", "bad element #2 in table"),
        ("LightSet('s') { SphereGeometry('g') }", 'SphereGeometry("g") is no light'),
        ("GeometrySet('s') { RectLight('r') }", 'RectLight("r") is no geometry'),
        ("LightSet('s')(3)", "bad argument #1 (table expected, got number)"),
        ("local x = LightSet('s')['lights']", "no attributes to index"),
        ("LightSet('s')['lights'] = {}", "no attributes to index"),
        ("Layer('s')['geometries'] = {}", "no attributes to index"),
        ("Layer('s') { 1 }", "bad element #1 in table"),
        ("Layer('s') { {SphereGeometry('g')} }", "row #1 has 1 columns"),
        ("Layer('s') { {1, ''} }", "column 1 must be a geometry, not a number"),
        ("Layer('s') { {RectLight('r'), ''} }", 'RectLight("r") is no geometry'),
        ("Layer('s') { {SphereGeometry('g'), 5} }", "column 2 must be a part's name"),
        ("Layer('s') { {SphereGeometry('g'), {'a', 5}} }", "bad part name #2"),
        ("Layer('s') { {SphereGeometry('g'), '', LightSet('a'), LightSet('b')} }", "two objects for one slot"),
        ("Layer('s') { {SphereGeometry('g'), '', ImageMap('m')} }", "cannot be assigned by a layer"),
        ("Layer('s') { {SphereGeometry('g'), '', true} }", "a boolean cannot stand in column 3"),
        ("TraceSet('s') { {SphereGeometry('g')} }", "has 1 columns"),
        ("TraceSet('s') { {SphereGeometry('g'), '', 'x'} }", "has 3 columns"),
        ("TraceSet('s') { {RectLight('r'), ''} }", 'RectLight("r") is no geometry'),
        ("Metadata('s') { {'a', 'string'} }", "must be {name, type, value}"),
        ("Metadata('s') { {'a', 'string', 5} }", "column 3 must be a string"),
        ("Metadata('s') { {'a', 'text', 'x'} }", "no metadata type 'text'"),
    ],
)
def test_bad_members_and_rows_end_the_reading(read: Reader, source: str, message: str) -> None:
    with pytest.raises(SceneError) as caught:
        read("\n" + source)
    assert message in caught.value.message
    assert caught.value.place.endswith("1.rdla:2")


@pytest.mark.parametrize(
    ("columns", "slots"),
    [
        ("material, lights", {"material", "lightset"}),
        ("lights, volume", {"lightset", "volume"}),
        ("material, lights, displacement, undef()", {"material", "lightset", "displacement"}),
        ("lights", {"lightset"}),
        ("undef(), lights, material", {"material", "lightset"}),
        ("", set()),
        ("material, lights, filters", {"material", "lightset", "lightfilterset"}),
        ("shadows, lights, material", {"material", "lightset", "shadowset"}),
        ("5, 'note', nil, receivers, nil, material", {"material", "shadowreceiverset"}),
        (
            "material, lights, displacement, volume, filters, shadows, receivers",
            {"material", "lightset", "displacement", "volume", "lightfilterset", "shadowset", "shadowreceiverset"},
        ),
    ],
)
def test_layer_rows_of_any_arity_and_order(read: Reader, columns: str, slots: set[str]) -> None:
    layer = layer_of(read(PARTS + f"Layer('layer') {{ {{g, '', {columns}}} }}"))
    (row,) = layer.assignments
    assert (row.geometry.name, row.part) == ("g", "")
    found = {
        "material": row.material,
        "lightset": row.lightset,
        "displacement": row.displacement,
        "volume": row.volume,
        "lightfilterset": row.lightfilterset,
        "shadowset": row.shadowset,
        "shadowreceiverset": row.shadowreceiverset,
    }
    assert {slot for slot, target in found.items() if target is not None} == slots
    names = {"material": "material", "lightset": "lights", "volume": "volume", "shadowset": "shadows"}
    for slot in slots & names.keys():
        target = found[slot]
        assert target is not None
        assert target.name == names[slot]


def test_layer_keys(read: Reader) -> None:
    context = read(
        PARTS
        + """
        local layer = Layer("layer") {
            {g, {"left", "right"}, material, lights},
            {g, "", material},
            {g2, "ignored by a volume", volume},
        }
        Layer("layer") { {g, "left", lights} }
        assert(#layer == 4)
    """
    )
    layer = layer_of(context)
    g, g2 = context["g"], context["g2"]
    assert [(row.geometry.name, row.part) for row in layer.assignments] == [
        ("g", "left"),
        ("g", "right"),
        ("g", ""),
        ("g2", ""),
    ]
    # the second row of a key replaces all slots of the first
    assert layer.lookup(g, "left") == Assignment(g, "left", lightset=context["lights"])
    assert layer.lookup(g, "right") == Assignment(g, "right", material=context["material"], lightset=context["lights"])
    assert layer.lookup(g, "other") == Assignment(g, "", material=context["material"])
    assert layer.lookup(g2, "x") == Assignment(g2, "", volume=context["volume"])
    assert layer.lookup(context["g"], "other") is not None
    assert layer.get("parts") == ("left", "right", "", "")
    assert layer.get("surface_shaders") == (None, context["material"], context["material"], None)
    assert layer.get("displacements") == ()


def test_a_geometry_without_a_row(read: Reader) -> None:
    context = read(PARTS + "Layer('layer') { {g, 'a', material} }")
    assert layer_of(context).lookup(context["g2"], "a") is None
    assert layer_of(context).lookup(context["g"], "b") is None


def test_a_layer_is_changed_by_rows_only(read: Reader) -> None:
    context = read(PARTS + "Layer('layer') {}")
    with pytest.raises(SceneError, match="row by row"):
        context["layer"].set("parts", ["a"])


def test_trace_set(read: Reader) -> None:
    context = read(
        PARTS + "TraceSet('t') { {g, 'a'}, {g2, {'b', 'c'}} } TraceSet('t') { {g, 'a'} } assert(#TraceSet('t') == 3)"
    )
    found = context["t"]
    assert isinstance(found, TraceSet)
    assert found.rows == ((context["g"], "a"), (context["g2"], "b"), (context["g2"], "c"))


def test_metadata_is_replaced(read: Reader) -> None:
    context = read("""
        Metadata("m") { {"a", "string", "1"}, {"b", "v2f", "1 2"} }
        Metadata("m") { {"c", "int", "3"} }
        assert(#Metadata("m") == 1)
    """)
    found = context["m"]
    assert isinstance(found, Metadata)
    assert found.entries == (("c", "int", "3"),)


def test_shadow_receiver_set_has_ordinary_attributes(read: Reader) -> None:
    context = read(PARTS + "receivers { ['geometries'] = {g, g2}, ['complement'] = true }")
    receivers = context["receivers"]
    assert receivers.get("geometries") == (context["g"], context["g2"])
    assert receivers.get("complement") is True


def test_a_set_grows_from_file_to_file(read: Reader) -> None:
    context = read("LightSet('s') { RectLight('a') }", "LightSet('s') { RectLight('b') }")
    assert names_of(context, "s") == ["a", "b"]
    assert [Path(file).name for file in context.files] == ["1.rdla", "2.rdla"]
