"""The edits of a scene that have to be kept, for whoever comes later: not all that there ever were."""

from __future__ import annotations

from collections.abc import Sequence

from arras_ray.messages import RDLMessage


def kept(edits: Sequence[RDLMessage], new: RDLMessage) -> list[RDLMessage]:
    """The edits with another one at their end, without those that it makes void: of a camera that is dragged the last
    move is left."""
    return [*(edit for edit in edits if not _is_void(edit, new)), new]


def _is_void(earlier: RDLMessage, later: RDLMessage) -> bool:
    """Whether all that an edit sets a later one sets again. Options hold as the last edit says."""
    return not earlier.payload or bool(earlier.sets and earlier.sets <= later.sets)
