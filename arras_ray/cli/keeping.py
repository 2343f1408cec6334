"""Which checkpoint a render writes, and which one it goes on from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arras_ray.cli.watch import Told
from arras_ray.errors import UsageError

if TYPE_CHECKING:
    from arras_ray.checkpoint import Checkpoint
    from arras_ray.messages import RDLMessage

ENDING = ".exr"

EVERY_SECONDS = 60.0

MOST_SECONDS = 1e7
"""Between two checkpoints: four months, which every system can wait."""


@dataclass(frozen=True)
class Keeping:
    """What a command line says of checkpoints: the one to write, how often in seconds, the one to go on from."""

    checkpoint: Path | None = None
    every: float = EVERY_SECONDS
    resume: Path | None = None

    def check(self, told: Told) -> None:
        """Raise OutputError now if the checkpoint could not be written; warn of one that will be lost. Temporary files
        of renders that were killed go."""
        if self.checkpoint is None:
            return
        from arras_ray.checkpoint import is_checkpoint
        from arras_ray.image import check_writable
        from arras_ray.output_file import remove_leftovers

        check_writable(self.checkpoint)
        remove_leftovers(self.checkpoint.resolve().parent)
        goes_on = self.resume is not None and same_file(self.checkpoint, self.resume)
        if not goes_on and is_checkpoint(self.checkpoint):
            told.warnings(
                [f"{self.checkpoint} keeps an earlier render and will be replaced; --resume would go on from it"]
            )

    def check_outputs(self, outputs: Sequence[Path]) -> None:
        """Raise UsageError if a picture would take the place of a checkpoint."""
        kept = [path.absolute() for path in (self.checkpoint, self.resume) if path is not None]
        for output in outputs:
            if output.absolute() in kept:
                raise UsageError(f"{output} is the picture and the checkpoint", hint="give one of them another name")

    def read(self) -> Checkpoint | None:
        """The checkpoint to go on from, if there is one. Raise CheckpointError if it cannot be read."""
        if self.resume is None:
            return None
        from arras_ray.checkpoint import read_checkpoint

        return read_checkpoint(self.resume)


def keeping(checkpoint: str | None, every: float | None, resume: str | None) -> Keeping:
    """What --checkpoint, --checkpoint-every and --resume say. Raise UsageError."""
    if every is not None and math.isnan(every):
        raise UsageError("--checkpoint-every is not a number", hint="give it seconds")
    if checkpoint is None and every is not None:
        raise UsageError("--checkpoint-every without --checkpoint", hint="name the file with --checkpoint FILE")
    if checkpoint is not None and Path(checkpoint).suffix.lower() != ENDING:
        name = Path(checkpoint)
        hint = f"name it {name.with_suffix(ENDING)}" if name.name else "give a file name"
        raise UsageError(f"a checkpoint is an EXR file, and the name {checkpoint} does not end in {ENDING}", hint=hint)
    return Keeping(
        checkpoint=Path(checkpoint) if checkpoint is not None else None,
        every=EVERY_SECONDS if every is None else every,
        resume=Path(resume) if resume is not None else None,
    )


def going_on(earlier: Checkpoint, chosen: dict[str, Any]) -> dict[str, Any]:
    """Overrides of a render that goes on: what the command line does not choose stays as it was.

    Raise CheckpointError if there would be fewer samples than there are.
    """
    overrides = {**earlier.identity.settings, "spp": earlier.spp, **chosen}
    earlier.refuse_fewer(overrides["spp"])
    return overrides


def refuse_other_render(earlier: Checkpoint, message: RDLMessage) -> None:
    """Raise CheckpointError if a checkpoint's samples are not this render's; its overrides are those of `going_on`."""
    from arras_ray.identity import identity_of, refuse_other

    ours = identity_of(message, message.options["width"], message.options["height"])
    refuse_other(ours, earlier.identity, earlier.path)


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths lead to one file that exists."""
    return a.exists() and b.exists() and a.samefile(b)
