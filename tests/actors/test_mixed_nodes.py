"""Nodes that are not alike: other versions are refused by name, another processor draws the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import load, scene
from ray.cluster_utils import Cluster as Nodes
from waiting import to_its_end

from arras_ray import engine as engine_room
from arras_ray.actors import cluster
from arras_ray.actors.cluster import Cluster
from arras_ray.errors import ClusterError
from arras_ray.local_render import LocalRender
from arras_ray.messages import RDLMessage
from arras_ray.render_start import render_session
from arras_ray.scene import read_scene
from arras_ray.session.definition import parse_definition

MB = 1 << 20
STORE = 100 * MB

DEFINITION = """{{"computations": {{
    "dispatch": {{"dso": "libcomputation_progmcrt_dispatch.so",
        "requirements": {{"resources": {{"cores": 0, "memoryMB": 500}}}}}},
    "mcrt": {{"dso": "libcomputation_progmcrt.so", "arrayExpand": {mcrts},
        "requirements": {{"resources": {{"cores": 1, "memoryMB": 64}}}}}},
    "merge": {{"dso": "libcomputation_progmcrt_merge.so",
        "requirements": {{"resources": {{"cores": 0, "memoryMB": 500}}}}}}
}}}}"""
"""dispatch and merge fit on the first node only, one mcrt on each."""

OTHER_NUMBA = """
import importlib.metadata
version = importlib.metadata.version
importlib.metadata.version = lambda name: "0.0.1" if name == "numba" else version(name)
"""

OLDER = {
    "NUMBA_CPU_NAME": "haswell",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX2,-FMA,-FMA4",
}

COMMAND = str(Path(sys.executable).with_name("arras-ray"))

Join = Callable[..., Cluster]

pytestmark = pytest.mark.slow


@pytest.fixture
def join(first_ray: None, home: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Join]:
    """A cluster of a head, a node like it, and one with other variables."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    head: dict[str, Any] = {"num_cpus": 0, "memory": 10 * MB, "object_store_memory": STORE, "include_dashboard": False}
    nodes = Nodes(initialize_head=True, head_node_args=head)

    def with_variables(variables: dict[str, str], cores_of_first: int = 1) -> Cluster:
        nodes.add_node(num_cpus=cores_of_first, memory=1200 * MB, object_store_memory=STORE)
        nodes.add_node(num_cpus=1, memory=100 * MB, object_store_memory=STORE, env_vars=variables)
        return cluster.connect(nodes.address)

    yield with_variables
    nodes.shutdown()


@pytest.fixture
def other_numba(tmp_path: Path, home: Path) -> dict[str, str]:
    """Variables of a node whose numba is another one."""
    (tmp_path / "sitecustomize.py").write_text(OTHER_NUMBA)
    return {"PYTHONPATH": f"{tmp_path}:{os.environ['PYTHONPATH']}"}


def test_an_mcrt_on_a_node_with_other_versions_is_left_out(join: Join, other_numba: dict[str, str]) -> None:
    two = parse_definition(DEFINITION.format(mcrts=2), "two")
    with (
        join(other_numba) as connected,
        render_session(two, scene(), cluster=connected, engine="fake_engine:load") as render,
    ):
        status = to_its_end(render)
        picture = render.final()
    assert status.stage == "finished"
    (warning,) = status.warnings
    assert "is left out: " in warning
    assert "has other versions: numba 0.0.1 there, " in warning
    np.testing.assert_array_equal(picture, LocalRender(load(scene(), 1), 1).final())


def test_a_session_without_another_mcrt_is_refused_with_both_versions(join: Join, other_numba: dict[str, str]) -> None:
    one = parse_definition(DEFINITION.format(mcrts=1), "one")
    with (
        join(other_numba, cores_of_first=0) as connected,
        pytest.raises(ClusterError, match=r"mcrt_i0 on .* has other versions: numba 0\.0\.1 there, .* here"),
    ):
        render_session(one, scene(), cluster=connected, engine="fake_engine:load")


def test_an_older_processor_draws_the_same_bits(join: Join) -> None:
    box = Path(__file__).parent.parent.parent / "scenes" / "cornell_box.rdla"
    options = {"width": 200, "height": 140, "spp": 128}
    message = RDLMessage(sync_id=1, payload=read_scene([str(box)]).to_bytes(), options=options)
    two = parse_definition(DEFINITION.format(mcrts=2), "two")
    for variables in ({}, OLDER):  # none of them begins late because it has to compile
        subprocess.run([COMMAND, "warm"], env={**os.environ, **variables}, check=True, capture_output=True)
    with join(OLDER) as connected, render_session(two, message, cluster=connected) as render:
        status = to_its_end(render)
        picture = render.final()
        shares = [row.samples for row in status.mcrts]
    assert (status.stage, status.warnings) == ("finished", ())
    assert all(shares), "one of the nodes has drawn nothing"
    engine = engine_room.load(message, threads=1)
    np.testing.assert_array_equal(picture, LocalRender(engine, 1).final())
