"""`arras-ray ps`, `scale` and `stop` as processes of their own, on a cluster with a token and two cores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import COMMAND, Start, environment
from counting_engine import HEIGHT, SPP, WIDTH, expected
from gated_engine import PATIENCE, Gate
from head import Head, running_head

from arras_ray import client, overview
from arras_ray.actors.cluster import Cluster, connect
from arras_ray.client import SessionRender
from arras_ray.errors import ComputationError
from arras_ray.image import read_exr
from arras_ray.overview import Sessions
from arras_ray.render_start import render_session
from arras_ray.session.definition import SessionDefinition, parse_definition
from arras_ray.unit_plan import UnitPlan

HERE = Path(__file__).parent
ENGINE = "gated_engine:load"
SMALL = """{"computations": {
    "dispatch": {"dso": "libcomputation_progmcrt_dispatch.so",
        "requirements": {"resources": {"cores": 0, "memoryMB": 64}}},
    "mcrt": {"dso": "libcomputation_progmcrt.so", "arrayExpand": 1,
        "requirements": {"resources": {"cores": 1, "memoryMB": 64}}},
    "merge": {"dso": "libcomputation_progmcrt_merge.so",
        "requirements": {"resources": {"cores": 0, "memoryMB": 64}}}
}}"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head whose workers find the gated engine."""
    with running_head(cpus=2, PYTHONPATH=f"{HERE}:{HERE.parents[1]}") as head:
        yield head


@pytest.fixture
def command(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `arras-ray ARGUMENTS... --address HEAD`; whatever this test starts has the cluster's token."""
    for name, value in head.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(COMMAND), *map(str, arguments), "--address", head.address],
            env=environment(tmp_path) | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def cluster(head: Head, command: Command) -> Iterator[Cluster]:
    """The cluster, joined by this process."""
    with connect(head.address) as cluster:
        yield cluster


@pytest.fixture
def small() -> SessionDefinition:
    return parse_definition(SMALL, "small")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where mcrts wait; open at the end, whatever happened."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; fail, with what was waited for, when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
    return result


def states(cluster: Cluster) -> dict[str, str]:
    """State of each computation of the only session."""
    (session,) = Sessions(cluster).report()
    return {one.name: one.state for one in session.computations}


def nothing_runs(cluster: Cluster) -> bool:
    """No session, and everything is free; Ray counts that a moment later."""
    sessions = Sessions(cluster)
    (node,) = sessions.nodes()
    return not sessions.names() and (node.free_cpus, node.free_memory) == (node.cpus, node.memory)


@pytest.mark.slow
def test_mcrts_come_and_go_while_a_render_runs(
    cluster: Cluster, command: Command, small: SessionDefinition, gate: Gate, tmp_path: Path
) -> None:
    with render_session(small, gate.message, cluster=cluster, num_mcrt=1, engine=ENGINE) as render:
        (first,) = gate.wait_for(1)
        found = command("ps", "--json")
        told = command("ps").stdout.splitlines()
        more = command("scale", render.name, "--num-mcrt", 2)
        pids = gate.wait_for(2)
        fewer = command("scale", render.name, "--num-mcrt", 1, "--drain")
        until(lambda: states(cluster)["mcrt_i1"] == "draining", "the second mcrt to be drained")
        gate.open()
        until(lambda: render.status().stage in client.OVER, "the end of the render")
        until(lambda: "mcrt_i1" not in states(cluster), "the second mcrt to leave")
        status, picture, log = render.status(), render.final(), render.log()
    (session,), (node,) = json.loads(found.stdout)["sessions"], json.loads(found.stdout)["nodes"]
    rows = {row["name"]: row for row in session["computations"]}
    assert (session["name"], session["stage"], session["answers"]) == (render.name, "rendering", True)
    assert set(rows) == {"supervisor", "dispatch", "mcrt_i0", "merge"}
    assert (rows["mcrt_i0"]["pid"], rows["mcrt_i0"]["state"], rows["mcrt_i0"]["cpus"]) == (first, "ready", 1)
    assert rows["mcrt_i0"]["memory"] > 0
    assert rows["mcrt_i0"]["memory_limit"] == 64 << 20
    assert rows["mcrt_i0"]["cpu_seconds"] > 0
    assert rows["mcrt_i0"]["age"] > 0
    assert {row["node_id"] for row in rows.values() if row["name"] != "supervisor"} == {node["id"]}
    assert (node["alive"], node["cpus"], node["free_cpus"]) == (True, 2, 1)
    assert told[0] == f"Ray cluster at {cluster.address}"
    assert told[1].startswith(f"session {render.name}: rendering, ")
    assert more.stdout == f"session {render.name}: 1 more as soon as there is room\n"
    assert first in pids
    assert (fewer.returncode, fewer.stderr) == (0, "")
    assert fewer.stdout.startswith(f"session {render.name}: 1 ")
    assert status.stage == "finished"
    assert [text for text in status.warnings if "joins" not in text] == []
    assert next(row.samples for row in status.mcrts if row.name == "mcrt_i1") > 0  # what it held was not lost
    np.testing.assert_array_equal(picture, expected())
    assert sorted(log) == list(range(UnitPlan(WIDTH, HEIGHT, SPP).n_units))
    until(lambda: nothing_runs(cluster), "the cluster to be free")


@pytest.mark.slow
def test_a_render_that_somebody_stops_writes_the_samples_so_far(
    cluster: Cluster, command: Command, start_arras_ray: Start, scene: Path, tmp_path: Path
) -> None:
    running = start_arras_ray(
        *("render", scene, "--address", cluster.address, "--num-mcrt", 1, "--num-cores", 1),
        *("--size", 640, 480, "--spp", 65536, "-o", "out.exr"),
    )
    running.wait_for("progress")
    unknown = command("stop", "nobody")
    (name,) = Sessions(cluster).names()
    stopped = command("stop", name)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout == f"session {name} has ended\n"
    assert running.end() == 6
    error = running.events[-1]
    assert (error["event"], error["kind"]) == ("error", "ComputationError")
    assert error["message"] == (
        f"session {name} was ended by somebody else (arras-ray stop); wrote the samples so far to out.exr"
    )
    picture, _ = read_exr(tmp_path / "out.exr")
    assert np.isfinite(picture).all()
    assert picture.any()
    assert unknown.returncode == 2
    assert unknown.stderr == f"arras-ray: there is no session nobody\n  hint: there are {name}\n"
    until(lambda: nothing_runs(cluster), "the cluster to be free")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.slow
def test_a_client_that_does_not_leave_loses_its_session(
    cluster: Cluster, small: SessionDefinition, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LEAVE_SECONDS", 0.0)
    with render_session(small, gate.message, cluster=cluster, num_mcrt=1, engine=ENGINE) as render:
        gate.wait_for(1)
        arguments = [str(COMMAND), "stop", render.name, "--address", cluster.address]
        with subprocess.Popen(arguments, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as patient:
            first = until(lambda: failed(render), "the client to be told")
            patient.send_signal(signal.SIGINT)
            _, err = patient.communicate(timeout=PATIENCE)
        there = Sessions(cluster).names()
        Sessions(cluster).stop(render.name)
        gone = Sessions(cluster).names()
        until(lambda: render.error, "the client to notice")
        last = render.status()
    assert first.error == f"session {render.name} was ended by somebody else (arras-ray stop)"
    assert (patient.returncode, err) == (130, "\narras-ray: interrupted\n")
    assert (there, gone) == ([render.name], [])
    assert last.stage == "failed"
    until(lambda: nothing_runs(cluster), "the cluster to be free")


def failed(render: SessionRender) -> Any:
    status = render.status()
    return status if status.stage == "failed" else None


@pytest.mark.slow
def test_a_supervisor_that_hangs_is_shown_and_can_be_stopped(
    cluster: Cluster, small: SessionDefinition, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LEAVE_SECONDS", 0.0)
    with render_session(small, gate.message, cluster=cluster, num_mcrt=1, engine=ENGINE) as render:
        gate.wait_for(1)
        (session,) = Sessions(cluster).report()
        os.kill(session.computations[0].pid, signal.SIGSTOP)
        (silent,) = Sessions(cluster).report()
        with pytest.raises(ComputationError, match=f"the supervisor of session {render.name} does not answer"):
            Sessions(cluster).scale(render.name, 2)
        Sessions(cluster).stop(render.name)
    assert session.computations[0].name == "supervisor"
    assert (silent.name, silent.answers, silent.computations) == (render.name, False, ())
    until(lambda: nothing_runs(cluster), "the cluster to be free")


def test_a_wrong_token_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("f" * 64, encoding="ascii")
    refused = command("ps", RAY_AUTH_TOKEN_PATH=str(tmp_path / "wrong"))
    assert refused.returncode == 7
    assert "refused the token" in refused.stderr.splitlines()[0]
    assert refused.stdout == ""
