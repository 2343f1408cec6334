"""Which edits of a scene have to be kept."""

from __future__ import annotations

from arras_ray.edits import kept
from arras_ray.messages import RDLMessage

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
