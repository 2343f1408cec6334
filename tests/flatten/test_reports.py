"""What is drawn otherwise than the scene asks is told once a kind, with a count and the first name."""

from __future__ import annotations

import numpy as np
import pytest
from small_scenes import SmallScene, scaling, translate

from arras_ray.flatten import Report, flatten


def warnings(small: SmallScene) -> tuple[str, ...]:
    return flatten(small.context).warnings


def drawn() -> SmallScene:
    small = SmallScene()
    small.light("EnvLight")
    small.put(small.sphere("ball"), small.matte("grey", 0.5))
    return small


def test_a_remark_about_many_objects_is_one_line() -> None:
    report = Report()
    report.note("is odd", "first")
    report.note("is bad", "other")
    report.note("is odd", "second")
    report.note("is odd", "second")
    report.note("is odd", "third")
    assert report.lines() == ["is odd: first and 2 more", "is bad: other"]


def test_nothing_to_tell() -> None:
    assert warnings(drawn()) == ()


def test_a_material_of_another_kind_becomes_a_grey_lambert() -> None:
    small = drawn()
    for name in ("metal", "second metal"):
        small.put(small.sphere(name + " ball"), small.make("DwaMetalMaterial", name))
    flat = flatten(small.context)
    assert flat.warnings == ("DwaMetalMaterial is not drawn yet; a grey Lambert stands in: metal and 1 more",)
    record = flat.scene.materials[1]
    assert record["albedo"].tolist() == [0.5, 0.5, 0.5]
    assert record["specular"] == 0.0
    assert not record["emission"].any()


def test_lights_of_other_kinds_are_left_out() -> None:
    small = drawn()
    for name in ("a", "b", "c"):
        small.light("DiskLight", name)
    flat = flatten(small.context)
    assert flat.warnings == ("DiskLight is not drawn yet and left out: a and 2 more",)
    assert flat.light_names == ("light",)


def test_geometry_of_other_kinds_is_left_out() -> None:
    small = drawn()
    for name in ("groom", "hair"):
        small.put(small.make("RdlCurveGeometry", name), small.context["grey"])
    flat = flatten(small.context)
    assert flat.warnings == ("RdlCurveGeometry is not drawn yet and left out: groom and 1 more",)
    assert flat.geometry_names == ("ball",)


def test_subdivision_meshes_are_drawn_as_their_cage() -> None:
    small = drawn()
    wall = small.wall()
    wall.set("is_subd", True)
    small.put(wall, small.context["grey"])
    flat = flatten(small.context)
    assert flat.warnings == ("a subdivision mesh is drawn as its control cage so far: wall",)
    assert flat.geometry_names == ("ball", "wall")


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"show_clearcoat": True}, "materials are drawn without clearcoat so far: plastic"),
        ({"show_clearcoat": True, "clearcoat": 0.0}, None),
        ({"transmission": 0.5}, "materials are drawn without transmission so far: plastic"),
        ({"scattering_radius": 1.0}, "materials are drawn without subsurface scattering so far: plastic"),
        ({"diffuse_roughness": 0.5}, "materials are drawn without rough diffuse so far: plastic"),
        ({"anisotropy": -0.5}, "materials are drawn without anisotropy so far: plastic"),
        ({"specular_model": 0}, "the Beckmann model is drawn as GGX so far: plastic"),
        ({"presence": 0.5}, "presence is not drawn yet: plastic"),
    ],
)
def test_parts_of_materials_that_are_left_out(attributes: dict[str, object], told: str | None) -> None:
    small = drawn()
    small.put(small.sphere("second"), small.make("DwaBaseMaterial", "plastic", **attributes))
    assert warnings(small) == (() if told is None else (told,))


@pytest.mark.parametrize(
    ("kind", "attributes", "told"),
    [
        ("RectLight", {"texture": "x.exr"}, "light textures are not drawn yet: lamp"),
        ("RectLight", {"spread": 0.5}, "light spread is not drawn yet: lamp"),
        ("SphereLight", {"clear_radius": 0.5}, "clear radius of lights is not drawn yet: lamp"),
        (
            "SphereLight",
            {"node_xform": scaling(1.0, 2.0, 1.0)},
            "a SphereLight scaled unevenly is off, as in MoonRay: lamp",
        ),
    ],
)
def test_parts_of_lights_that_are_left_out(kind: str, attributes: dict[str, object], told: str) -> None:
    small = drawn()
    small.light(kind, "lamp", **attributes)
    assert warnings(small) == (told,)


def test_scene_variables_that_have_no_effect_yet() -> None:
    small = drawn()
    small.context.variables.set("sampling_mode", 2)
    small.context.variables.set("region_window", [0, 0, 4, 4])
    assert warnings(small) == ("scene variables without effect yet: region_window and 1 more",)


def test_layer_slots_that_have_no_effect_yet() -> None:
    small = drawn()
    displacement = small.make("NormalDisplacement", "bumps")
    small.layer.assign(small.sphere("rough"), "", [small.context["grey"], small.lights, displacement])
    assert warnings(small) == ("NormalDisplacement in the layer has no effect yet: bumps",)


def test_single_sided_geometry() -> None:
    small = drawn()
    small.put(small.sphere("shell", side_type=1), small.context["grey"])
    assert warnings(small) == ("single-sided geometry is drawn two-sided so far: shell",)


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ({"node_xform": scaling(0.0, 1.0, 1.0)}, "a geometry is left out because its node_xform cannot be inverted: s"),
        (
            {"node_xform": np.full((4, 4), np.nan)},
            "a geometry is left out because its node_xform cannot be inverted: s",
        ),
        (
            {"node_xform": translate(1e30, 0, 0)},
            "a geometry is left out because it reaches further than 1e+18 units: s",
        ),
        ({"radius": 1e30}, "a geometry is left out because it reaches further than 1e+18 units: s"),
        ({"radius": 0.0}, None),
    ],
)
def test_spheres_that_cannot_be_drawn(attributes: dict[str, object], shown: str | None) -> None:
    small = drawn()
    small.put(small.make("SphereGeometry", "s", **attributes), small.context["grey"])
    flat = flatten(small.context)
    assert flat.geometry_names == ("ball",)
    assert flat.warnings == (() if shown is None else (shown,))
    assert small.render(1)[8, 8, 3] == 1.0
