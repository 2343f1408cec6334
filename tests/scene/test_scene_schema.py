"""The schema: all classes, exact names and aliases, typed defaults."""

from __future__ import annotations

import numpy as np
import pytest

from arras_ray.scene import load_schema
from arras_ray.scene.schema import INTERFACES, interface_mask
from arras_ray.scene.values import TYPES, Rgb


def test_all_classes_load_with_defaults_of_their_type() -> None:
    schema = load_schema()
    assert len(schema) == 195
    count = 0
    for name in schema:
        scene_class = schema.find(name)
        assert scene_class is not None
        assert scene_class.interfaces <= set(INTERFACES)
        for index, attribute in enumerate(scene_class.attributes.values()):
            count += 1
            assert attribute.index == index
            if isinstance(attribute.default, np.ndarray):
                assert not attribute.default.flags.writeable
                assert attribute.type.vector or attribute.default.shape == (4, 4)
            interface_mask(part for part in attribute.object_type.split("|") if part not in ("", "GENERIC"))
    assert count == 4000


def test_the_schema_is_read_once() -> None:
    assert load_schema() is load_schema()
    assert load_schema().find("RectLight") is load_schema().find("RectLight")


def test_names_and_aliases_match_exactly() -> None:
    variables = load_schema().find("SceneVariables")
    assert variables is not None
    width = variables.find("image_width")
    assert width is not None
    assert variables.find("image width") is width
    assert variables.find("Image_width") is None
    assert variables.find("image_width ") is None
    mesh = load_schema().find("RdlMeshGeometry")
    assert mesh is not None
    accelerations = mesh.find("accleration_list")
    assert accelerations is not None
    assert mesh.find("acceleration list") is accelerations


def test_flags_enums_and_object_types() -> None:
    schema = load_schema()
    material, light, camera = (schema.find(n) for n in ("DwaBaseMaterial", "RectLight", "PerspectiveCamera"))
    assert material is not None
    assert light is not None
    assert camera is not None
    albedo = material.attributes["albedo"]
    assert albedo.bindable
    assert not albedo.blurrable
    assert albedo.default == Rgb(1, 1, 1)
    assert camera.attributes["focal"].blurrable
    assert light.attributes["texture"].filename
    assert light.attributes["sidedness"].labels == {"regular": 0, "reverse": 1, "2-sided": 2}
    layer = schema.find("Layer")
    assert layer is not None
    shaders = layer.attributes["surface_shaders"]
    assert shaders.accepts(material)
    assert not shaders.accepts(light)


def test_an_attribute_that_accepts_several_interfaces_accepts_each() -> None:
    schema = load_schema()
    sheet, output, camera = (schema.find(n) for n in ("ContactSheetDisplayFilter", "RenderOutput", "PerspectiveCamera"))
    assert sheet is not None
    assert output is not None
    assert camera is not None
    assert sheet.attributes["mask"].accepts(output)
    assert sheet.attributes["mask"].accepts(sheet)
    assert not sheet.attributes["mask"].accepts(camera)


@pytest.mark.parametrize(
    ("name", "closest"), [("RectLigth", "RectLight"), ("Xyzzy", None), ("Geometri", "VdbGeometry")]
)
def test_the_closest_class_is_one_that_can_be_made(name: str, closest: str | None) -> None:
    assert load_schema().closest(name) == closest


def test_the_35_types_have_the_codes_of_rdlb() -> None:
    assert sorted(value_type.code for value_type in TYPES.values()) == list(range(1, 36))
    codes = {"bool": 1, "intVector": 4, "string": 11, "Rgb": 13, "Vec3f": 21, "Mat4d": 31, "SceneObject": 33}
    assert {name: TYPES[name].code for name in codes} == codes
    assert TYPES["SceneObjectIndexable"].code == 35
