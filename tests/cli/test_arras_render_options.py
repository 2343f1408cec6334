"""arras_render's flags: their table, its page, and each flag through the real command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from command_line import SCENE, Run

from arras_ray.cli.arras_render_options import (
    IN_THE_VIEW,
    LABELS,
    SPELLINGS,
    VIEW_SPELLINGS,
    Fate,
    Spelling,
    SpellingOption,
    cluster_address,
    scenes_in_place,
)
from arras_ray.cli.engines import RayStarter, Wishes, session_for
from arras_ray.cli.main import cli, run
from arras_ray.cli.options import Settings
from arras_ray.cli.render_command import render
from arras_ray.cli.view_command import view
from arras_ray.cli.watch import Told
from arras_ray.errors import ClusterError, DefinitionError, UsageError
from arras_ray.image import read_exr

DOCUMENT = Path(__file__).parents[2] / "docs" / "arras_render.md"

ARRAS_RENDERS_FLAGS = """
    --rdl --exr --aov-interval --no-scale
    -s --session --num-mcrt --num-cores --merge-cores --local-only --no-local --fps --delay --auto-credit-off --lag-ms
    --min-update-ms
    --env --dc --host --port -t --con-timeout
    --current-env --rez-context --rez-context-file --rez-packages --rez-prepend
    -p --production --sequence --shot --assetGroup --asset --department --team --progress-channel
    --gui --no-gui --overlay --overlayFont --overlaySize --telemetry --telemetryPanel --showStats
    --script --run-script --exit-after-script --benchmark
    -l --log-level --trace-level --athena-env --infoRec --infoRecDisp --infoRecFile --debug-console
"""

LOCAL = ("--engine", "local", "--size", "8", "8", "--spp", "1", "--threads", "1")


def of(fate: Fate) -> list[Spelling]:
    return [spelling for spelling in SPELLINGS if spelling.fate is fate]


def name_of(spelling: Spelling) -> str:
    return spelling.names[0]


def row_of(spelling: Spelling) -> str:
    flags = ", ".join(f"`{name} {spelling.value}`" if spelling.value else f"`{name}`" for name in spelling.names)
    told = spelling.told
    if spelling.fate is not Fate.WORKS:
        told = f"{told[0].upper()}{told[1:]}{'; ' + spelling.instead if spelling.instead else ''}."
    return f"| {flags} | {spelling.fate} | {told} |"


@pytest.fixture
def ball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The scene, in the current folder."""
    (tmp_path / "ball.rdla").write_text(SCENE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "ball.rdla"


def test_no_flag_of_arras_render_is_missing() -> None:
    names = [name for spelling in SPELLINGS for name in spelling.names]
    assert sorted(names) == sorted([*ARRAS_RENDERS_FLAGS.split(), "-exr"])


def test_the_page_has_the_tables() -> None:
    rows = re.findall(r"^\| `.*$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [row_of(spelling) for spelling in (*SPELLINGS, *IN_THE_VIEW)]


def test_what_differs_in_the_view_is_a_flag_of_the_table() -> None:
    keys = [spelling.key for spelling in SPELLINGS]
    assert {spelling.key for spelling in IN_THE_VIEW} <= set(keys)
    assert [spelling.key for spelling in VIEW_SPELLINGS] == keys


@pytest.mark.parametrize(("command", "table"), [(render, SPELLINGS), (view, VIEW_SPELLINGS)], ids=["render", "view"])
def test_every_flag_is_an_option_of_its_kind(command: click.Command, table: tuple[Spelling, ...]) -> None:
    options = {name: option for option in command.params if isinstance(option, click.Option) for name in option.opts}
    for spelling in table:
        for name in spelling.names:
            option = options[name]
            assert option.is_flag == (not spelling.value), name
            assert isinstance(option, SpellingOption) != spelling.own, name
    assert sum(isinstance(option, SpellingOption) for option in set(options.values())) == sum(
        not spelling.own for spelling in table
    )


def test_the_help_has_them_in_a_group_of_their_own() -> None:
    text = CliRunner().invoke(cli, ["render", "--help"]).output
    options, spellings = text.split("\narras_render's spellings:\n")
    assert "--telemetryPanel" in spellings
    assert "--telemetryPanel" not in options
    assert "--num-mcrt" in options
    assert "--num-mcrt" not in spellings


@pytest.mark.parametrize("spelling", of(Fate.REFUSED), ids=name_of)
def test_what_is_refused_says_what_to_do_instead(spelling: Spelling, capsys: pytest.CaptureFixture[str]) -> None:
    value = ["a.js"] if spelling.value else []
    assert run(["render", "a.rdla", *LOCAL, spelling.names[0], *value]) == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert message == f"arras-ray: {spelling.names[0]}: {spelling.told}"
    assert hint == f"  hint: {spelling.instead}"


def test_what_has_no_effect_takes_its_values_and_is_told_once(ball: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        argument
        for spelling in of(Fate.NO_EFFECT)
        for argument in (spelling.names[0], *(["-1"] if spelling.value else []))
    ]
    assert run(["render", *flags, ball, *LOCAL]) == 0
    err = capsys.readouterr().err
    assert all(line.startswith("warning: ") and ": no effect here, " in line for line in err.splitlines())
    told = [flag for line in err.splitlines() for flag in re.findall(r"(?<=[ ,])--[\w-]+(?=[,:])", line)]
    assert sorted(told) == sorted(spelling.names[0] for spelling in of(Fate.NO_EFFECT))
    assert "warning: --overlay, --overlayFont, " in err


def test_with_json_a_flag_without_effect_is_a_warning_event(ball: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", ball, *LOCAL, "--env", "prod", "--json"]) == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events[:2]] == ["start", "warning"]
    assert events[1]["text"] == "--env: no effect here, there is no configuration service to ask"
    assert err == ""


WORKING = ("--exr out.exr", "-exr out.exr", "--current-env --no-gui --local-only", "--dc local", "--fps 30")


@pytest.mark.parametrize("flags", WORKING)
def test_what_works_in_one_process_says_nothing(flags: str, ball: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", *flags.split(), ball, *LOCAL]) == 0
    assert capsys.readouterr().err == ""
    assert Path("out.exr" if "exr" in flags else "ball.exr").exists()


def test_a_command_line_of_arras_render(arras_ray: Run, scene: Path, tmp_path: Path) -> None:
    line = "--rdl ball.rdla -exr one.exr --exr two.exr --dc local --current-env --no-gui -p film --shot s10 -l 2"
    result = arras_ray("render", *line.split(), *LOCAL)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    one, metadata = read_exr(tmp_path / "one.exr")
    assert (one == read_exr(tmp_path / "two.exr")[0]).all()
    assert (metadata["production"], metadata["shot"]) == ("film", "s10")
    assert "team" not in metadata


def test_all_labels_are_kept_and_empty_ones_are_not(ball: str) -> None:
    flags = [argument for label in LABELS if label != "team" for argument in (f"--{label}", f"the {label}")]
    assert run(["render", ball, *LOCAL, "--quiet", *flags, "--team", ""]) == 0
    metadata = read_exr("ball.exr")[1]
    assert {label: metadata.get(label) for label in LABELS} == {
        label: f"the {label}" if label != "team" else None for label in LABELS
    }


@pytest.mark.parametrize(
    ("arguments", "placed"),
    [
        ("--rdl a b --rdl c", "a b c"),
        ("a --rdl=b -o o.exr c", "a b -o o.exr c"),
        ("-- --rdl", "-- --rdl"),
    ],
)
def test_scenes_keep_their_order(arguments: str, placed: str) -> None:
    assert scenes_in_place(arguments.split()) == placed.split()


def test_a_later_scene_overrides_an_earlier_one_with_or_without_its_flag(ball: str) -> None:
    for name, width in (("five", 5), ("nine", 9)):
        Path(f"{name}.rdla").write_text(f'SceneVariables {{ ["image_width"] = {width} }}\n', encoding="utf-8")
    local = ["--engine", "local", "--spp", "1", "--quiet", "--exr", "out.exr"]
    assert run(["render", ball, "nine.rdla", "--rdl", "five.rdla", *local]) == 0
    assert read_exr("out.exr")[0].shape[1] == 5
    assert run(["render", "--rdl", ball, "--rdl", "five.rdla", "nine.rdla", *local]) == 0
    assert read_exr("out.exr")[0].shape[1] == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--rdl --exr out.exr", "Option '--rdl' requires an argument."),
        ("--rdl", "Option '--rdl' requires an argument."),
        ("--exr out.exr", "Missing argument 'SCENE [MORE]...'."),
        ("a.rdla out.exr", "out.exr is a picture, and stands where scenes do"),
        ("a.rdla --exr out.jpg", "cannot write out.jpg: its name does not end in .exr or .png"),
        ("a.rdla --exr o.exr -o o.exr", "the same output is named twice"),
        ("a.rdla --num-mcrt 0", "Invalid value for '--num-mcrt': a render begins with one mcrt at least, not with 0."),
        ("a.rdla --num-mcrt 0-3", "a render begins with one mcrt at least, not with 0."),
        ("a.rdla --num-mcrt 4-2", "4-2 ends below its beginning; 2-4 begins with 2."),
        ("a.rdla --num-mcrt x", "'x' is neither a number of mcrts nor a range such as 2-4."),
        ("a.rdla --num-mcrt -3", "'-3' is neither a number of mcrts nor a range such as 2-4."),
        ("a.rdla --num-mcrt 2-", "'2-' is neither a number of mcrts nor a range such as 2-4."),
        ("a.rdla --merge-cores 0", "Invalid value for '--merge-cores': 0 is not in the range x>=1."),
        ("a.rdla --fps 0", "Invalid value for '--fps': 0 is not in the range"),
        ("a.rdla --port 65536 --host a", "Invalid value for '--port': 65536 is not in the range"),
        ("a.rdla -t 0", "Invalid value for '--con-timeout' / '-t': 0 is not in the range"),
        ("a.rdla -l 6", "Invalid value for '--log-level' / '-l': 6 is not in the range 0<=x<=5."),
        ("a.rdla --local-only --no-local", "--local-only and --no-local leave no machine"),
        ("a.rdla --no-local --engine local", "--no-local and --engine local, which is this machine"),
        ("a.rdla --host a --address b:1", "--address and --host both name the cluster"),
        ("a.rdla --host a:1", "--host takes a name without a port, not a:1"),
    ],
)
def test_what_cannot_be_meant(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", *arguments.split()]) == 2
    first, hint = capsys.readouterr().err.splitlines()
    assert message in first
    assert hint.startswith("  hint: ")


@pytest.mark.parametrize(
    ("given", "address", "found", "words"),
    [
        ({}, None, None, []),
        ({}, "a:1", "a:1", []),
        ({"host": "head"}, None, "head:6379", []),
        ({"host": "head", "port": 7000}, None, "head:7000", []),
        ({"host": "head", "port": 8087}, None, "head:8087", ["the port of a Ray head, 6379 unless"]),
        ({"host": "head", "port": 8888}, None, "head:8888", ["the port of a Ray head, 6379 unless"]),
        ({"port": 8888}, None, None, ["--port: no effect without --host"]),
        ({"dc": "local"}, None, "local", []),
        ({"dc": "local"}, "local", "local", []),
        ({"dc": "local"}, "a:1", "a:1", ["--dc local: no effect beside --address"]),
        ({"dc": "local", "host": "head"}, None, "head:6379", ["--dc local: no effect beside --host"]),
        ({"dc": "gld"}, None, None, ["there is no configuration service to ask"]),
    ],
)
def test_which_cluster_is_meant(
    given: dict[str, Any], address: str | None, found: str | None, words: list[str]
) -> None:
    got, told = cluster_address(given, address, ray=True)
    assert got == found
    assert len(told) == len(words)
    assert all(word in text for word, text in zip(words, told, strict=True))


def test_one_process_has_no_address() -> None:
    told = ["--host: no effect with --engine local", "--port: no effect with --engine local"]
    assert cluster_address({"host": "head", "port": 1, "dc": "local"}, None, ray=False) == (None, told)


def test_what_is_for_ray_only_is_told_in_one_process(ball: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--num-mcrt 1-2 --merge-cores 2 -t 5 -s mcrt_progressive --host head --dc nowhere"
    assert run(["render", ball, *LOCAL, *flags.split()]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: --dc: no effect here, there is no configuration service to ask",
        "warning: --host: no effect with --engine local",
        "warning: --num-mcrt, --merge-cores, --con-timeout, --session: "
        "without meaning for --engine local, which is one process",
    ]


@pytest.mark.parametrize(("level", "warned", "debug"), [(0, 0, False), (1, 0, False), (2, 1, False), (5, 1, True)])
def test_the_log_level(level: int, warned: int, debug: bool, ball: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings()
    arguments = ["render", ball, *LOCAL, "--env", "prod", "-l", str(level)]
    assert cli.main(arguments, standalone_mode=False, obj=settings) == 0
    out, err = capsys.readouterr()
    assert err.count("warning: ") == warned
    assert ("wrote ball.exr" in out) == (level > 2)
    assert settings.debug == debug


def test_a_range_of_mcrts_begins_with_the_least_and_lets_the_others_join() -> None:
    definition, num_mcrt = session_for(Wishes(num_mcrt=1, most_mcrts=3), n_nodes=5)
    assert (definition.name, num_mcrt, definition.most_mcrts) == ("mcrt_progressive_n", 1, 3)
    assert [c.name for c in definition.expand(num_mcrt) if c.kind == "mcrt"] == ["mcrt_i0"]
    plain, num_mcrt = session_for(Wishes(num_mcrt=3), n_nodes=5)
    assert (plain.name, num_mcrt, plain.most_mcrts) == ("mcrt_progressive_n", 3, 0)


def test_the_only_mcrt_of_a_session_becomes_an_array_where_several_are_asked_for() -> None:
    for most in (None, 4):
        definition, num_mcrt = session_for(Wishes(num_mcrt=3, most_mcrts=most, session="mcrt_progressive"), n_nodes=1)
        names = [c.name for c in definition.expand(num_mcrt)]
        assert names == ["dispatch", "mcrt_i0", "mcrt_i1", "mcrt_i2", "merge"]
        assert definition.most_mcrts == (most or 0)
    alone, num_mcrt = session_for(Wishes(num_mcrt=1, session="mcrt_progressive"), n_nodes=1)
    assert [c.name for c in alone.expand(num_mcrt)] == ["dispatch", "mcrt", "merge"]


def test_a_range_of_mcrts_needs_an_array(tmp_path: Path) -> None:
    path = tmp_path / "two.sessiondef"
    block = '{"dso": "libcomputation_progmcrt.so"}'
    path.write_text(f'{{"computations": {{"left": {block}, "right": {block}}}}}', encoding="utf-8")
    with pytest.raises(DefinitionError, match="session two cannot have up to 3 mcrts: none of its blocks is an mcrt"):
        session_for(Wishes(num_mcrt=1, most_mcrts=3, session=str(path)), n_nodes=1)


def test_wishes_stand_in_the_definition_as_arras_render_writes_them() -> None:
    wishes = Wishes(num_mcrt=2, merge_cores=3, local_only=True, fps=7)
    definition, num_mcrt = session_for(wishes, n_nodes=1)
    computations = definition.expand(num_mcrt)
    assert [c.resources.min_cores for c in computations if c.kind == "merge"] == [3]
    assert {c.block["requirements"]["local_only"] for c in computations} == {"yes"}
    assert {c.block["fps"] for c in computations} == {7}
    plain = session_for(Wishes(num_mcrt=2), n_nodes=1)[0].expand(2)
    assert [c.resources.memory for c in plain] == [c.resources.memory for c in computations]
    assert not any("local_only" in c.block["requirements"] for c in plain)
    elsewhere = session_for(Wishes(num_mcrt=2, no_local=True), n_nodes=1)[0].expand(2)
    assert {c.block["requirements"]["no_local"] for c in elsewhere} == {"yes"}


def test_elsewhere_needs_a_cluster() -> None:
    nobody: Any = None  # neither a report nor a scene is needed to say so
    starter = RayStarter(Wishes(no_local=True, address="local"), nobody, Told(nobody), nobody, nobody)
    with pytest.raises(ClusterError, match="there is no cluster, only this machine"):
        starter.prepare()


def test_the_benchmark_prints_arras_renders_lines_for_two_renders(
    ball: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["render", ball, *LOCAL, "--benchmark", "-l", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    ready = r"BENCHMARK Session startup time \(session local \) 00:00:\d\d\.\d{3}"
    reached = r"BENCHMARK Time to (.*) on (initial|second) render \(session local \) 00:\d\d:\d\d\.\d{3}"
    marks = ["first frame", "1%", "10%", "100%"]
    assert [bool(re.fullmatch(ready, line)) for line in lines] == 2 * [True, False, False, False, False]
    told = [match.groups() for line in lines if (match := re.fullmatch(reached, line))]
    assert told == [*((mark, "initial") for mark in marks), *((mark, "second") for mark in marks)]


def test_the_benchmark_as_events(ball: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", ball, "--engine", "local", "--benchmark", "--json", "--fps", "100"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    times = [event for event in events if event["event"] == "benchmark"]
    for which in ("initial", "second"):
        reached = {event["reached"]: event["seconds"] for event in times if event["render"] == which}
        assert list(reached) == ["ready", "first frame", "1%", "10%", "100%"]
        seconds = list(reached.values())[1:]
        assert seconds == sorted(seconds)
    assert [event["event"] for event in events].count("done") == 1
    assert (events[-1]["event"], events[-1]["outputs"]) == ("done", ["ball.exr"])


def test_a_usage_error_is_raised_before_anything_is_rendered() -> None:
    with pytest.raises(UsageError, match="--gui: this writes a file"):
        cli.main(["render", "no-such-scene.rdla", "--gui"], standalone_mode=False)


def test_flags_of_a_view(arras_ray: Run, scene: Path) -> None:
    result = arras_ray("view", scene, *LOCAL, "--benchmark", "--telemetry", "--exr", "seen.exr", "--shot", "7")
    assert result.returncode == 0
    assert "--telemetry: no effect here, the page shows it by itself" in result.stderr
    assert read_exr(scene.parent / "seen.exr")[1]["shot"] == "7"
    result = arras_ray("view", scene, *LOCAL, "--no-gui")
    assert result.returncode == 2
    assert "arras-ray render writes a picture without one" in result.stderr
