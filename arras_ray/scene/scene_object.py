"""One object of a scene: its attribute values, bindings and references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from arras_ray.errors import SceneError
from arras_ray.scene.schema import Attribute, SceneClass
from arras_ray.scene.transform import blend
from arras_ray.scene.values import ConversionError, Packed, convert, frozen, kind_of, lerp, same

if TYPE_CHECKING:
    from arras_ray.scene.context import SceneContext

BEGIN = 0
END = 1


class SceneObject:
    """An object of one class, with a name no other object of its context has.

    A blurrable attribute holds two values, at the motion steps BEGIN and END. A binding is an object whose output
    replaces or scales an attribute's value when it is rendered; it stands next to the value.
    """

    __slots__ = ("_before", "_bindings", "_values", "context", "name", "scene_class")

    def __init__(self, context: SceneContext, scene_class: SceneClass, name: str) -> None:
        self.context = context
        self.scene_class = scene_class
        self.name = name
        self._values: dict[str, tuple[Any, Any]] = {}
        self._bindings: dict[str, SceneObject] = {}
        self._before: dict[str, tuple[Any, Any, SceneObject | None]] = {}
        """Of attributes that were changed since the last commit: begin, end and binding as they were then."""

    def __repr__(self) -> str:
        return f'{self.scene_class.name}("{self.name}")'

    def attribute(self, name: str) -> Attribute:
        """The attribute of exactly this name or alias. Raises SceneError."""
        found = self.scene_class.find(name)
        if found is None:
            closest = self.scene_class.closest(name)
            raise SceneError(
                f"no attribute named '{name}' on class {self.scene_class.name}",
                hint=f"did you mean '{closest}'?" if closest else "",
                object=self.name,
                attribute=name,
            )
        return found

    def is_a(self, interface: str) -> bool:
        """Whether the object has an interface, `LIGHT` for example."""
        return self.scene_class.is_a(interface)

    def get(self, name: str, timestep: int | None = None) -> Any:
        """An attribute's value in its stored form (see `values`).

        timestep: BEGIN or END; None is the value at the frame itself, which by the default motion steps {-1, 0} of the
        scene variables is the one at END.
        """
        attribute = self.attribute(name)
        begin, end = self._pair(attribute)
        if timestep is None:
            return self._between(attribute, 0.0)
        return (begin, end)[timestep]

    def get_at(self, name: str, time: float) -> Any:
        """An attribute's value at `time`, in frames relative to the scene's frame.

        Numbers and colours go straight from one motion step to the other and beyond them; matrices as
        `transform.blend` says.
        """
        return self._between(self.attribute(name), time)

    def set(self, name: str, value: Any, timestep: int | None = None, *, keep_binding: bool = False) -> None:
        """Set an attribute, at one timestep or (None) at both, and end its binding.

        Raises ConversionError, with nothing but the binding changed.
        """
        attribute = self.attribute(name)
        if not keep_binding:
            self._unbind(attribute)
        stored = self._stored(attribute, value)
        if timestep is None or not attribute.blurrable:
            pair = (stored, stored)
        else:
            begin, end = self._pair(attribute)
            pair = (stored, end) if timestep == BEGIN else (begin, stored)
        self._put(attribute, pair)

    def set_blur(self, name: str, begin: Any, end: Any, *, keep_binding: bool = False) -> None:
        """Set both timesteps; an attribute that cannot be blurred takes `end`. Raises ConversionError."""
        attribute = self.attribute(name)
        if not keep_binding:
            self._unbind(attribute)
        stored = self._stored(attribute, begin), self._stored(attribute, end)
        self._put(attribute, stored if attribute.blurrable else (stored[1], stored[1]))

    def bind(self, name: str, target: SceneObject | None) -> None:
        """Bind an attribute to an object, or (None) end its binding; the value stays. Raises ConversionError."""
        attribute = self.attribute(name)
        if not attribute.bindable:
            raise ConversionError("the attribute cannot be bound", object=self.name, attribute=attribute.name)
        if target is None:
            self._unbind(attribute)
        elif self._bindings.get(attribute.name) is not target:
            accepted = self._accepted(attribute, target)
            self._remember(attribute)
            self._bindings[attribute.name] = accepted

    def binding(self, name: str) -> SceneObject | None:
        """What an attribute is bound to."""
        return self._bindings.get(self.attribute(name).name)

    def is_default(self, name: str) -> bool:
        """Whether an attribute has its default value at both timesteps and no binding."""
        attribute = self.attribute(name)
        if attribute.name in self._bindings:
            return False
        return all(same(value, attribute.default) for value in self._pair(attribute))

    def non_default_attributes(self) -> list[Attribute]:
        """The attributes that are not at their default, in declaration order."""
        return [attribute for name, attribute in self.scene_class.attributes.items() if not self.is_default(name)]

    def before(self, name: str, timestep: int = END) -> Any:
        """An attribute's value at the last commit of the context, in its stored form."""
        attribute = self.attribute(name)
        pair = self._before.get(attribute.name) or self._pair(attribute)
        return pair[timestep]

    def changed_attributes(self) -> list[Attribute]:
        """The attributes whose value or binding is another than at the last commit, in declaration order."""
        if not self._before:  # as of nearly all objects of a scene when one of them is edited
            return []
        return [
            attribute
            for name, attribute in self.scene_class.attributes.items()
            if name in self._before
            and not all(map(same, self._before[name], (*self._pair(attribute), self._bindings.get(name))))
        ]

    def commit(self) -> None:
        """Count as changed only what is changed from now on. `SceneContext.commit` does it for all objects."""
        self._before.clear()

    def differing_attributes(self, other: SceneObject) -> list[Attribute]:
        """The attributes whose values or bindings are not those of another object of the same class; references count
        by class and name, and the order of sets and layer rows does not count.
        """
        return [
            attribute
            for attribute in self.scene_class.attributes.values()
            if not all(map(same, self._compared(attribute), other._compared(attribute)))
        ]

    def same_content(self, other: SceneObject) -> bool:
        """Whether class, name, values and bindings are equal, as `differing_attributes` sees it."""
        same_name = self.scene_class.name == other.scene_class.name and self.name == other.name
        return same_name and not self.differing_attributes(other)

    def _compared(self, attribute: Attribute) -> tuple[Any, ...]:
        """What is equal where two objects have the same attribute: begin, end and binding."""
        return *self._pair(attribute), self._bindings.get(attribute.name)

    def _pair(self, attribute: Attribute) -> tuple[Any, Any]:
        return self._values.get(attribute.name) or (attribute.default, attribute.default)

    def _between(self, attribute: Attribute, time: float) -> Any:
        begin, end = self._pair(attribute)
        if not attribute.blurrable or same(begin, end):
            return begin
        fraction = self.context.motion_fraction(time)
        if attribute.type.family == "matrix" and fraction not in (0.0, 1.0):
            return frozen(blend(begin, end, fraction))
        return lerp(begin, end, fraction)

    def _put(self, attribute: Attribute, pair: tuple[Any, Any]) -> None:
        before = self._pair(attribute)
        if same(pair[0], before[0]) and same(pair[1], before[1]):
            return
        self._remember(attribute)
        self._values[attribute.name] = pair

    def _append(self, name: str, item: Any) -> None:
        """Put an item at the end of a list, which is not looked through again. Raises ConversionError."""
        attribute = self.attribute(name)
        (stored,) = self._stored(attribute, (item,))
        self._unbind(attribute)
        self._remember(attribute)
        longer = (*self._pair(attribute)[END], stored)
        self._values[attribute.name] = (longer, longer)

    def _unbind(self, attribute: Attribute) -> None:
        if attribute.name in self._bindings:
            self._remember(attribute)
            del self._bindings[attribute.name]

    def _remember(self, attribute: Attribute) -> None:
        """Keep what an attribute is, before it is changed for the first time since the last commit."""
        if attribute.name not in self._before:
            self._before[attribute.name] = (*self._pair(attribute), self._bindings.get(attribute.name))

    def _stored(self, attribute: Attribute, value: Any) -> Any:
        try:
            if attribute.type.family != "object":
                return convert(value, attribute.type, attribute.labels)
            if not attribute.type.vector:
                return None if value is None else self._accepted(attribute, value)
            return self._accepted_list(attribute, value)
        except ConversionError as error:
            error.fields |= {"object": self.name, "attribute": attribute.name}
            raise

    def _accepted(self, attribute: Attribute, target: Any) -> SceneObject:
        if not isinstance(target, SceneObject):
            raise ConversionError(f"expected an object, got {kind_of(target)}")
        # MoonRay's reader does not take this class as a value, whatever the attribute accepts
        if not attribute.accepts(target.scene_class) or target.is_a("SHADOWRECEIVERSET"):
            wanted = attribute.object_type.lower().replace("|", " or ")
            raise ConversionError(f"{target} is no {wanted}" if wanted else f"{target} cannot be referred to")
        return target

    def _accepted_list(self, attribute: Attribute, value: Any) -> tuple[SceneObject | None, ...]:
        if isinstance(value, Packed):
            raise ConversionError(f"bad element #1 in table: expected an object, got a {value.kind}")
        if isinstance(value, SceneObject | str) or not isinstance(value, Sequence):
            raise ConversionError(f"expected a list of objects, got {kind_of(value)}")
        accepted = []
        for index, target in enumerate(value, start=1):
            try:
                accepted.append(None if target is None else self._accepted(attribute, target))
            except ConversionError as error:
                raise ConversionError(f"bad element #{index} in table: {error.message}") from None
        return tuple(accepted)
