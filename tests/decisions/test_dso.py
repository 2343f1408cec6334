"""Libraries of definitions, and which classes may stand for them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arras_ray.errors import LoadError
from arras_ray.session.dso import MODULES, OWN, load, resolve

CODE = (
    "from arras_ray.session.computation import Computation\nclass One(Computation):\n    class Two(Computation): ...\n"
)

Module = Callable[..., str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """Writes a module into the working directory; nothing that was imported stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = set(sys.modules)

    def write(name: str, code: str = CODE) -> str:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("dso", "resolved"),
    [
        ("libcomputation_progmcrt.so", ("mcrt", "")),
        ("libcomputation_progmcrt_merge", ("merge", "")),
        ("libcomputation_progmcrt_dispatch.dylib", ("dispatch", "")),
        ("python:one.two:Three", ("python", "one.two:Three")),
        ("libarras4_testcomputation.so", ("python", OWN["libarras4_testcomputation"])),
        ("libarras4_testcomputation.dylib", ("python", OWN["libarras4_testcomputation"])),
        ("libmine.so", ("python", "")),
        ("python:", ("python", "")),
    ],
)
def test_what_stands_for_a_library(dso: str, resolved: tuple[str, str]) -> None:
    assert resolve(dso) == resolved


@pytest.mark.parametrize("name", ["libmine", "libmine.so", "libmine.dylib"])
@pytest.mark.parametrize("dso", ["libmine", "libmine.so", "libmine.dylib"])
def test_a_users_own_name_fits_with_and_without_its_ending(name: str, dso: str) -> None:
    assert resolve(dso, {name: "python:mine:One"}) == ("python", "mine:One")


def test_a_users_own_name_goes_before_those_that_are_known() -> None:
    assert resolve("libcomputation_progmcrt.so", {"libcomputation_progmcrt": "mine:One"}) == ("python", "mine:One")
    assert resolve("libmine.so", {"libmine": "libarras4_time_example.so"}) == ("python", OWN["libarras4_time_example"])
    assert resolve("libmine.so", {"libmine": "libcomputation_progmcrt_merge.so"}) == ("merge", "")


def test_an_installed_package_may_name_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "studio-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: studio\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[arras_ray.computations]\nlibstudio = studio:One\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert resolve("libstudio.so") == ("python", "studio:One")


def test_our_own_can_be_loaded() -> None:
    for dso, target in OWN.items():
        assert load(dso, target).__name__ == target.partition(":")[2]


@pytest.mark.parametrize("target", ["", "nothing", "nothing:", ":One"])
def test_targets_that_name_no_class(target: str) -> None:
    with pytest.raises(LoadError, match=r"no computation for|names no class") as caught:
        load("libmine.so", target)
    assert caught.value.dso == "libmine.so"
    assert caught.value.hint


def test_the_working_directory_is_not_looked_at(module: Module) -> None:
    name = module("found_only_here")
    with pytest.raises(LoadError, match="no module 'found_only_here'"):
        load("x", f"{name}:One")
    assert name not in sys.modules


def test_a_module_that_is_on_the_path_must_be_installed_or_listed(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module("listed_here")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(elsewhere)
    with pytest.raises(LoadError, match="may not be named: it is not installed") as caught:
        load("x", f"{name}:One")
    assert MODULES in caught.value.hint
    monkeypatch.setenv(MODULES, f"other, {name}")
    assert load("x", f"{name}:One").__name__ == "One"
    assert load("x", f"{name}:One.Two").__name__ == "Two"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("listed:Nobody", "AttributeError"),
        ("listed:One.__doc__", "no computation"),
        ("listed:Computation.name", "AttributeError"),
        ("listed.below:One", "ModuleNotFoundError"),
        ("listed:one", "AttributeError"),
    ],
)
def test_what_is_listed_and_is_no_computation(
    target: str, message: str, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODULES, "listed")
    module("listed")
    with pytest.raises(LoadError, match=message):
        load("x", target)


@pytest.mark.parametrize("code", ["raise SystemError('no')", "def f(:", "import nothing_of_that_name"])
def test_a_module_that_fails_is_told(code: str, module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODULES, "failing")
    module("failing", code)
    with pytest.raises(LoadError, match=r"cannot load failing:One: (SystemError|SyntaxError|ModuleNotFoundError)"):
        load("x", "failing:One")


@pytest.mark.parametrize("target", ["os:system", "xml.dom:Node", "antigravity:One"])
def test_the_standard_library_has_no_computations(target: str) -> None:
    with pytest.raises(LoadError, match=r"no computations in .*, a part of Python"):
        load("x", target)


def test_the_path_is_as_before(module: Module) -> None:
    before = list(sys.path)
    with pytest.raises(LoadError):
        load("x", f"{module('left_alone')}:One")
    assert sys.path == before
