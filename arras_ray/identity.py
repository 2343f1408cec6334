"""What makes a picture's bits: two renders whose identities are equal give the same ones, so one can go on with the
samples of the other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from arras_ray.errors import CheckpointError
from arras_ray.messages import RDLMessage
from arras_ray.versions import COMPARED, versions

PACKAGE = Path(__file__).resolve().parent

ROOMS = ("kernels", "flatten")
"""Folders of the package whose sources decide what a sample is."""


@dataclass(frozen=True)
class Identity:
    """scene: SHA-256 of the scene as it travels. settings: width, height (pixels) and the overrides of the command line
    except spp. code: SHA-256 of the sources that compute samples. packages: versions of those that shape bits."""

    scene: str
    settings: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    packages: dict[str, str] = field(default_factory=dict)


def identity_of(message: RDLMessage, width: int, height: int) -> Identity:
    """The identity of a render of this scene, here and now. width, height: of the picture, pixels."""
    settings = {name: value for name, value in message.options.items() if name != "spp" and value is not None}
    here = versions()
    return Identity(
        scene=hashlib.sha256(message.payload).hexdigest(),
        settings=settings | {"width": width, "height": height},
        code=code_digest(),
        packages={package: here[package] for package in COMPARED},
    )


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the sources of ROOMS, which are read and not imported."""
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((PACKAGE / room).glob("*.py")):
            content = path.read_bytes()
            digest.update(f"{room}/{path.name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def refuse_other(ours: Identity, theirs: Identity, path: str) -> None:
    """Raise CheckpointError, with all that differs, if samples of `theirs`, read from `path`, do not belong to ours."""
    differences = _differences(ours, theirs)
    if not differences:
        return
    if replace(ours, settings=theirs.settings) == theirs:
        hint = "Leave the option out: what the command line does not say is taken from the checkpoint."
    else:
        hint = "Render it from the start, without --resume."
    raise CheckpointError(f"cannot go on from {path}: {'; '.join(differences)}", hint=hint, path=path)


def _differences(ours: Identity, theirs: Identity) -> list[str]:
    found = []
    if ours.scene != theirs.scene:
        found.append("the scene has changed")
    found += _other_settings(ours.settings, theirs.settings)
    if ours.code != theirs.code:
        found.append("it was rendered by other kernels")
    names = sorted(ours.packages.keys() | theirs.packages.keys())
    versions_of = ((name, theirs.packages.get(name, "none"), ours.packages.get(name, "none")) for name in names)
    found += [f"{name} {there} there, {here} here" for name, there, here in versions_of if there != here]
    return found


def _other_settings(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    found = []
    sizes = [f"{settings.get('width')}x{settings.get('height')}" for settings in (theirs, ours)]
    if sizes[0] != sizes[1]:
        found.append(f"it was rendered at {sizes[0]}, now {sizes[1]}")
    for name in sorted((ours.keys() | theirs.keys()) - {"width", "height"}):
        there, here = (settings.get(name, "the scene's own") for settings in (theirs, ours))
        if there != here:
            found.append(f"its {name} was {there}, now {here}")
    return found
