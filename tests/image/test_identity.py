"""What makes a picture's bits, and how a render is told that a checkpoint is another's."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from arras_ray import identity
from arras_ray.errors import CheckpointError
from arras_ray.identity import Identity, code_digest, identity_of, refuse_other
from arras_ray.messages import RDLMessage

OURS = Identity("scene", {"width": 640, "height": 480, "seed": 3}, "code", {"numba": "0.68.1", "numpy": "2.2.0"})


def test_it_is_made_of_scene_settings_sources_and_packages() -> None:
    message = RDLMessage(1, b"scene", options={"spp": 64, "seed": 3, "width": 4, "height": 5})
    found = identity_of(message, 4, 5)
    assert found.scene == hashlib.sha256(b"scene").hexdigest()
    assert found.settings == {"seed": 3, "width": 4, "height": 5}
    assert set(found.packages) == {"numpy", "numba", "llvmlite", "embreex"}
    assert found == identity_of(replace(message, sync_id=2, options=message.options | {"spp": 128}), 4, 5)
    assert found != identity_of(replace(message, payload=b"other"), 4, 5)
    assert found != identity_of(replace(message, options={"seed": 4}), 4, 5)
    assert found != identity_of(message, 4, 6)


def test_the_size_counts_and_not_who_asked_for_it() -> None:
    assert identity_of(RDLMessage(1, b""), 4, 5) == identity_of(
        RDLMessage(1, b"", options={"width": 4, "height": 5}), 4, 5
    )


def test_every_source_of_the_kernels_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in identity.ROOMS:
        shutil.copytree(identity.PACKAGE / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "PACKAGE", tmp_path)
    digest = code_digest.__wrapped__
    found = {digest()}
    assert found == {code_digest()}
    for source in ("kernels/sampler.py", "flatten/camera.py"):
        path = tmp_path / source
        path.write_bytes(path.read_bytes().replace(b"the", b"hte", 1))
        found.add(digest())
    (tmp_path / "flatten" / "camera.py").rename(tmp_path / "flatten" / "camera2.py")
    found.add(digest())
    assert len(found) == 4


def test_the_sources_are_read_and_not_imported() -> None:
    code = (
        "import sys; from arras_ray.identity import code_digest; code_digest(); "
        "sys.exit(any(name in sys.modules for name in ('numba', 'arras_ray.kernels', 'arras_ray.flatten', 'OpenEXR')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("theirs", "difference", "hint"),
    [
        (replace(OURS, scene="other"), "the scene has changed", "from the start"),
        (replace(OURS, settings=OURS.settings | {"width": 320}), "it was rendered at 320x480, now 640x480", "Leave"),
        (replace(OURS, settings=OURS.settings | {"seed": 4}), "its seed was 4, now 3", "Leave"),
        (
            replace(OURS, settings={"width": 640, "height": 480}),
            "its seed was the scene's own, now 3",
            "Leave",
        ),
        (replace(OURS, code="other"), "it was rendered by other kernels", "from the start"),
        (
            replace(OURS, packages=OURS.packages | {"numba": "0.68.0"}),
            "numba 0.68.0 there, 0.68.1 here",
            "from the start",
        ),
        (
            replace(OURS, packages={"numba": "0.68.1"}),
            "numpy none there, 2.2.0 here",
            "from the start",
        ),
        (
            replace(OURS, scene="other", code="other"),
            "the scene has changed; it was rendered by other kernels",
            "from the start",
        ),
    ],
)
def test_what_differs_is_named(theirs: Identity, difference: str, hint: str) -> None:
    refuse_other(theirs, theirs, "c.exr")
    with pytest.raises(CheckpointError) as caught:
        refuse_other(OURS, theirs, "c.exr")
    assert caught.value.message == f"cannot go on from c.exr: {difference}"
    assert caught.value.hint.startswith((hint, f"Render it {hint}"))
    assert (caught.value.path, caught.value.exit_code) == ("c.exr", 3)
