"""A whole scene: its objects by name, and what was worth a warning while it was read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arras_ray.errors import SceneError
from arras_ray.scene.scene_object import SceneObject
from arras_ray.scene.schema import Schema, load_schema
from arras_ray.scene.sets import SPECIAL, Layer
from arras_ray.scene.values import same

if TYPE_CHECKING:
    from arras_ray.scene.delta import Delta

VARIABLES_NAME = "__SceneVariables__"


@dataclass(frozen=True, slots=True)
class SceneWarning:
    """Something that was skipped. line counts from 1; 0 is unknown, as are empty names."""

    message: str
    file: str = ""
    line: int = 0
    object: str = ""
    attribute: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = self.object + (f".{self.attribute}" if self.attribute else "")
        return ": ".join(part for part in (place, what, self.message) if part)


class SceneContext:
    """All objects of a scene in one name space, in the order they were made.

    Two contexts are equal when they hold the same objects, with the same values and bindings, and have the same active
    camera and layer.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, schema: Schema | None = None) -> None:
        self.schema = schema or load_schema()
        self.files: list[str] = []
        """The files that were read, in order."""
        self.warnings: list[SceneWarning] = []
        self._objects: dict[str, SceneObject] = {}
        self._committed = 0
        """How many objects there were at the last commit."""
        self.variables = self.create("SceneVariables", VARIABLES_NAME)
        """The one SceneVariables object."""

    def create(self, class_name: str, name: str) -> SceneObject:
        """Make an object, or get the one that has this class and name. Raises SceneError."""
        found = self._objects.get(name)
        if found is not None:
            if found.scene_class.name != class_name:
                raise SceneError(
                    f'cannot make {class_name}("{name}"): the name belongs to a {found.scene_class.name}',
                    hint="names are shared by all classes; choose another one",
                    object=name,
                )
            return found
        scene_class = self.schema.find(class_name)
        if scene_class is None or scene_class.abstract:
            closest = self.schema.closest(class_name)
            raise SceneError(
                f"there is no scene class '{class_name}'",
                hint=f"did you mean {closest}?" if closest else "",
                object=name,
            )
        if not name:
            raise SceneError(f"a {class_name} needs a name")
        if (class_name == "SceneVariables") != (name == VARIABLES_NAME):
            raise SceneError(
                f'cannot make {class_name}("{name}": a scene has one SceneVariables, named {VARIABLES_NAME}'
            )
        made = SPECIAL.get(class_name, SceneObject)(self, scene_class, name)
        self._objects[name] = made
        return made

    def __getitem__(self, name: str) -> SceneObject:
        return self._objects[name]

    def __contains__(self, name: object) -> bool:
        return name in self._objects

    def __iter__(self) -> Iterator[SceneObject]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def of_class(self, class_name: str) -> list[SceneObject]:
        """The objects of exactly this class."""
        return [item for item in self if item.scene_class.name == class_name]

    def of_interface(self, interface: str) -> list[SceneObject]:
        """The objects that have an interface, `GEOMETRY` for example."""
        return [item for item in self if item.is_a(interface)]

    @property
    def camera(self) -> SceneObject | None:
        """The camera to look through: the one the scene variables name, else the first that was made."""
        named: SceneObject | None = self.variables.get("camera")
        return named or next((item for item in self if item.is_a("CAMERA")), None)

    @property
    def layer(self) -> Layer | None:
        """The layer to render: the one the scene variables name, else the first that was made."""
        named: Layer | None = self.variables.get("layer")
        return named or next((item for item in self if isinstance(item, Layer)), None)

    def motion_fraction(self, time: float) -> float:
        """Where `time` (frames, relative to the scene's frame) lies between the motion steps: 0 first, 1 second."""
        steps = self.variables.get("motion_steps")
        if len(steps) < 2 or steps[0] == steps[1]:
            return 0.0
        return float((time - steps[0]) / (steps[1] - steps[0]))

    def warn(self, warning: SceneWarning) -> None:
        """Keep a warning."""
        self.warnings.append(warning)

    def commit(self) -> None:
        """From now on `delta` has what is changed from now on."""
        self._committed = len(self._objects)
        for item in self:
            item.commit()

    def delta(self) -> Delta:
        """What was changed since the last commit, or since the context is there."""
        # here and not at the top: a delta is about contexts
        from arras_ray.scene.delta import Delta

        return Delta.since_commit(self)

    @property
    def new_objects(self) -> list[SceneObject]:
        """The objects that were made after the last commit."""
        return list(self)[self._committed :]

    def to_bytes(self) -> bytes:
        """The scene in RDLB, without warnings and file names."""
        # here and not at the top: rdlb builds contexts
        from arras_ray.scene import rdlb

        return rdlb.encode(self)

    @staticmethod
    def from_bytes(data: bytes | memoryview) -> SceneContext:
        """The scene that `to_bytes` wrote, or any other RDLB. Raises SceneError with the offset of what is broken."""
        from arras_ray.scene import rdlb

        return rdlb.decode(data)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, SceneContext):
            return NotImplemented
        if len(self) != len(other) or any(item.name not in other for item in self):
            return False
        return (
            all(item.same_content(other[item.name]) for item in self)
            and same(self.camera, other.camera)
            and same(self.layer, other.layer)
        )
