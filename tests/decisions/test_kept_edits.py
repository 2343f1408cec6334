"""Which edits of a scene have to be kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arras_ray import edits
from arras_ray.edits import kept
from arras_ray.errors import SceneError
from arras_ray.messages import RDLMessage
from arras_ray.scene import BEGIN, SceneContext, rdlb

CAMERA, LIGHT = ("camera", "node_xform"), ("lamp", "color")


def edit(sync_id: int, *sets: tuple[str, str], payload: bytes = b"x") -> RDLMessage:
    return RDLMessage(sync_id, payload, delta=True, sets=frozenset(sets))


def after(*edits: RDLMessage) -> list[int]:
    """The sync_ids that are left."""
    left: list[RDLMessage] = []
    for one in edits:
        left = kept(left, one)
    return [one.sync_id for one in left]


def test_of_a_dragged_camera_the_last_move_is_left() -> None:
    assert after(*(edit(n, CAMERA) for n in range(2, 1000))) == [999]


def test_what_sets_something_else_stays() -> None:
    assert after(edit(2, LIGHT), edit(3, CAMERA), edit(4, CAMERA)) == [2, 4]
    assert after(edit(2, CAMERA, LIGHT), edit(3, CAMERA)) == [2, 3]
    assert after(edit(2, CAMERA), edit(3, LIGHT), edit(4, CAMERA, LIGHT)) == [4]


def test_what_is_not_known_stays_and_voids_nothing() -> None:
    assert after(edit(2), edit(3, CAMERA), edit(4), edit(5, CAMERA)) == [2, 4, 5]


def test_options_hold_as_the_last_edit_says() -> None:
    assert after(edit(2, payload=b""), edit(3, CAMERA)) == [3]
    assert after(edit(2, CAMERA), edit(3, payload=b"")) == [2, 3]


def scene() -> SceneContext:
    context = SceneContext()
    for scene_class, name in (("PerspectiveCamera", "camera"), ("RectLight", "lamp"), ("LightSet", "lights")):
        context.create(scene_class, name)
    for ball in ("ball", "bowl"):
        context.create("SphereGeometry", ball)
    for map_class, name in (("ImageMap", "image"), ("ImageMap", "other")):
        context.create(map_class, name)
    context.create("Layer", "layer")
    context.create("DwaSolidDielectricMaterial", "glass")
    context.commit()
    return context


CHANGES = (
    lambda context, n: context["camera"].set("focal", float(n)),
    lambda context, n: context["camera"].set("focal", float(n), BEGIN),
    lambda context, n: context["camera"].set("near", float(n)),
    lambda context, n: context["lamp"].set("color", (1.0, 1.0, float(n % 2))),  # white is the default
    lambda context, n: context["glass"].bind("roughness", context["image"] if n % 2 else None),
    lambda context, n: context["lights"].set("lights", [context["lamp"]] if n % 2 else []),
    lambda context, n: context["layer"].assign(context["ball" if n % 2 else "bowl"], "", [context["glass"]]),
    lambda context, n: context.create("SphereGeometry", f"new {n % 3}"),
    lambda context, n: context.create("SphereGeometry", f"new {n % 3}").set("radius", float(n)),
)


@given(st.lists(st.lists(st.integers(0, len(CHANGES) - 1), max_size=3), max_size=8))
def test_the_edits_that_are_kept_make_the_scene_that_all_of_them_make(changes: list[list[int]]) -> None:
    context, all_of_them, left = scene(), scene(), list[RDLMessage]()
    for n, batch in enumerate(changes, 2):
        for change in batch:
            CHANGES[change](context, n)
        delta = context.delta()
        one = edits.edit(n, delta.to_rdlb() if delta else b"", {})
        context.commit()
        left = kept(left, one)
        if one.payload:
            rdlb.decode(one.payload, all_of_them)
    some_of_them = scene()
    for one in left:
        if one.payload:
            rdlb.decode(one.payload, some_of_them)
    assert some_of_them == all_of_them


def test_moves_of_a_program_are_voided_like_those_of_the_view() -> None:
    context, left = scene(), list[RDLMessage]()
    for n in range(2, 50):
        context["camera"].set("focal", float(n))
        if n == 10:
            context["lamp"].set("intensity", 3.0)
        left = kept(left, edits.edit(n, context.delta().to_rdlb(), {}))
        context.commit()
    assert [one.sync_id for one in left] == [10, 49]


def test_bytes_that_are_no_change_are_refused() -> None:
    with pytest.raises(SceneError, match="broken binary scene"):
        edits.edit(2, b"RectLight", {})


def test_what_is_left_out_voids_nothing() -> None:
    context = SceneContext()
    context.create("RectLight", "lamp").set("color", (1.0, 0.5, 0.5))
    data = context.to_bytes()
    assert ("lamp", "") in rdlb.touched(data)
    assert not any(name == "lamp" for name, _ in rdlb.touched(data.replace(b"RectLight", b"RectLighT")))
