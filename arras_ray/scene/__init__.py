"""RDL2 scenes: schema, contexts, RDLA and RDLB in and out, deltas. Knows no renderer and no Ray."""

from arras_ray.scene.apart import read_scene_apart
from arras_ray.scene.assets import Asset, assets, frame_path
from arras_ray.scene.context import SceneContext, SceneWarning
from arras_ray.scene.delta import Delta
from arras_ray.scene.files import read_delta, read_scene, write_delta, write_scene
from arras_ray.scene.lua_sandbox import Limits
from arras_ray.scene.scene_object import BEGIN, END, SceneObject
from arras_ray.scene.schema import Attribute, SceneClass, Schema, load_schema
from arras_ray.scene.sets import Assignment, Layer, MemberSet, Metadata, TraceSet
from arras_ray.scene.style import Style
from arras_ray.scene.value_text import bind_from_text, set_from_text, value_from_text
from arras_ray.scene.values import ConversionError, Rgb, Rgba, Vec2, Vec3, Vec4

__all__ = [
    "BEGIN",
    "END",
    "Asset",
    "Assignment",
    "Attribute",
    "ConversionError",
    "Delta",
    "Layer",
    "Limits",
    "MemberSet",
    "Metadata",
    "Rgb",
    "Rgba",
    "SceneClass",
    "SceneContext",
    "SceneObject",
    "SceneWarning",
    "Schema",
    "Style",
    "TraceSet",
    "Vec2",
    "Vec3",
    "Vec4",
    "assets",
    "bind_from_text",
    "frame_path",
    "load_schema",
    "read_delta",
    "read_scene",
    "read_scene_apart",
    "set_from_text",
    "value_from_text",
    "write_delta",
    "write_scene",
]
