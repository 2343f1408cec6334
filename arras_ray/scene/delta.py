"""What makes one state of a scene of another: the objects that are new, and the attributes that are others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from arras_ray.errors import SceneError
from arras_ray.scene import rdla_writer, rdlb
from arras_ray.scene.context import SceneContext
from arras_ray.scene.scene_object import END, SceneObject
from arras_ray.scene.sets import Layer, MemberSet, TraceSet
from arras_ray.scene.values import same


@dataclass(frozen=True)
class Delta:
    """A change of a scene, to be applied as files are: `read_delta` for RDLA, `rdlb.decode` for RDLB.

    context: the scene as it is after the change. attributes: names of those to set, by object; a new object may have
    none. narrowed: sets that have lost members, which RDLB can say and RDLA cannot. lost: what neither can say, one
    sentence each.
    """

    context: SceneContext
    attributes: dict[str, tuple[str, ...]]
    narrowed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @staticmethod
    def since_commit(context: SceneContext) -> Delta:
        """What was changed in a scene since its last commit."""
        new = {item.name for item in context.new_objects}
        attributes: dict[str, tuple[str, ...]] = {}
        narrowed: list[str] = []
        for item in context:
            names = tuple(attribute.name for attribute in item.changed_attributes())
            if not names and item.name not in new:
                continue
            attributes[item.name] = names
            if names and not _only_grown(item, *(item.before(name) for name in _columns(item))):
                narrowed.append(item.name)  # rows of a layer never go
        return Delta(context, attributes, tuple(narrowed))

    @staticmethod
    def between(before: SceneContext, after: SceneContext) -> Delta:
        """What makes `after` of `before`. Raises SceneError where a name belongs to another class."""
        attributes: dict[str, tuple[str, ...]] = {}
        narrowed: list[str] = []
        lost = [f"{item} is gone" for item in before if item.name not in after]
        for item in after:
            if item.name not in before:
                attributes[item.name] = tuple(attribute.name for attribute in item.non_default_attributes())
                continue
            earlier = before[item.name]
            if earlier.scene_class is not item.scene_class:
                raise SceneError(f"{earlier} has become {item}: an object cannot change its class", object=item.name)
            names = tuple(attribute.name for attribute in item.differing_attributes(earlier))
            if not names:
                continue
            attributes[item.name] = names
            if not _only_grown(item, *(earlier.get(name, END) for name in _columns(item))):
                if isinstance(item, Layer):
                    lost.append(f"rows of {item} are gone")
                else:
                    narrowed.append(item.name)
        for what, new, interface in (("camera", after.camera, "CAMERA"), ("layer", after.layer, "LAYER")):
            old = next(iter(before.of_interface(interface)), None)
            if after.variables.get(what) is None and not same(old, new) and old is not None and not lost:
                lost.append(f"the first {what} stays {old}; set the scene variable '{what}' to change that")
        return Delta(after, attributes, tuple(narrowed), tuple(lost))

    def __bool__(self) -> bool:
        return bool(self.attributes)

    def to_rdlb(self) -> bytes:
        """The change as RDLB."""
        return rdlb.encode(self.context, self.attributes)

    def to_rdla(self) -> bytes:
        """The change as RDLA. Raises SceneError where a set has lost members: a program can only add to it."""
        if self.narrowed:
            raise SceneError(
                f"{self.context[self.narrowed[0]]} has lost members, and RDLA can only add to a set",
                hint="write the delta as RDLB",
                object=self.narrowed[0],
            )
        return rdla_writer.encode(self.context, self.attributes)


def _columns(item: SceneObject) -> tuple[str, ...]:
    """The attributes that together are the rows of a set or layer."""
    if isinstance(item, MemberSet):
        return (item.member_attribute,)
    return ("geometries", "parts") if isinstance(item, TraceSet | Layer) else ()


def _only_grown(item: SceneObject, *before: Iterable[Any]) -> bool:
    """Whether a set still has all the rows it had, told as columns; True for what is no set."""
    now = set(zip(*(map(repr, item.get(name, END)) for name in _columns(item)), strict=True))
    return now.issuperset(zip(*(map(repr, column) for column in before), strict=False))
