"""The edits of a scene that have to be kept, for whoever comes later: not all that there ever were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arras_ray.messages import RDLMessage
from arras_ray.scene import rdlb


def edit(sync_id: int, delta: bytes, options: Mapping[str, Any]) -> RDLMessage:
    """A change of a scene by RDLB, empty for none. Raise SceneError for bytes that are not RDLB."""
    return RDLMessage(sync_id, delta, True, dict(options), rdlb.touched(delta) if delta else frozenset())


def kept(edits: Sequence[RDLMessage], new: RDLMessage) -> list[RDLMessage]:
    """The edits with another one at their end, without those that it makes void: of a camera that is dragged the last
    move is left."""
    return [*(edit for edit in edits if not _is_void(edit, new)), new]


def _is_void(earlier: RDLMessage, later: RDLMessage) -> bool:
    """Whether all that an edit sets a later one sets again. Options hold as the last edit says."""
    return not earlier.payload or bool(earlier.sets and earlier.sets <= later.sets)
