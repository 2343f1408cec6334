"""A client on a machine that is no node: two hosts in network namespaces, with folders that do not know each other."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from command_line import COMMAND
from head import PATIENCE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"),
        reason="makes network namespaces",
    ),
]

HEAD, DESK = "10.77.13.1", "10.77.13.2"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Names of two network namespaces that are connected."""
    tag = secrets.token_hex(2)
    names = (f"arh{tag}", f"ard{tag}")
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", f"vh{tag}", "type", "veth", "peer", "name", f"vd{tag}")
        for name, device, address in zip(names, (f"vh{tag}", f"vd{tag}"), (HEAD, DESK), strict=True):
            ip("link", "set", device, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.fixture
def head(hosts: tuple[str, str], tmp_path: Path) -> Iterator[str]:
    """Address of a cluster on the first host."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef" * 4, encoding="ascii")
    command = ["ip", "netns", "exec", hosts[0], str(Path(sys.executable).with_name("ray")), "start", "--head"]
    command += [f"--node-ip-address={HEAD}", "--port=6379", "--block", "--num-cpus=2", "--include-dashboard=false"]
    command += ["--object-store-memory=100000000", "--disable-usage-stats", f"--temp-dir={tmp_path / 'ray'}"]
    variables = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    with (tmp_path / "log").open("wb") as log:
        process = psutil.Popen(command, env=variables, stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + PATIENCE
    while "Ray runtime started" not in (told := (tmp_path / "log").read_text(encoding="utf-8")):
        assert process.poll() is None, told
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    yield f"{HEAD}:6379"
    below = process.children(recursive=True)
    process.terminate()
    process.wait(PATIENCE)
    psutil.wait_procs(below, timeout=PATIENCE)


def at_the_desk(host: str, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run arras-ray on a host that sees nothing of the head's folder."""
    hidden = f"mount -t tmpfs none {folder / 'ray'} && exec {COMMAND} {' '.join(map(str, words))}"
    command = ["ip", "netns", "exec", host, "unshare", "-m", "sh", "-c", hidden]
    variables = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(folder / "token"), "TMPDIR": str(folder)}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, cwd=folder)


def test_a_desk_joins_for_the_time_of_its_render(
    hosts: tuple[str, str], head: str, tmp_path: Path, scene: Path
) -> None:
    result = at_the_desk(hosts[1], tmp_path, "render", scene, "--address", head, "-o", tmp_path / "out.exr")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == f"Ray cluster at {head}, which this machine joins for now"
    assert (tmp_path / "out.exr").stat().st_size > 0
    assert not [path for path in tmp_path.iterdir() if re.match("arras-", path.name)]
    guest = {f"--address={head}", "--num-cpus=0"}
    assert not [p for p in psutil.process_iter(["cmdline"]) if guest <= set(p.info["cmdline"] or ())]


def test_a_desk_that_cannot_be_reached_is_told_what_to_do(
    hosts: tuple[str, str], head: str, tmp_path: Path, scene: Path
) -> None:
    if not shutil.which("nft"):
        pytest.skip("needs nft, of the package nftables")
    rules = "add table inet f; add chain inet f in { type filter hook input priority 0; };"
    rules += ' add rule inet f in iifname != "lo" tcp flags & (syn|ack) == syn drop'
    subprocess.run(["ip", "netns", "exec", hosts[1], "nft", rules], check=True)
    result = at_the_desk(hosts[1], tmp_path, "render", scene, "--address", head, "-o", tmp_path / "out.exr")
    assert result.returncode == 7
    assert "cannot reach this machine" in result.stderr or "could not join" in result.stderr
    assert "run the command on a node of the cluster" in result.stderr
