"""The bounded pattern functions do what Lua's own do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lupa.lua54
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import arras_ray.scene

COMPARE = b"""
local load_patterns = ...
local own = table.pack(load_patterns(function() end, -1 << 40))   -- nothing is quick: all goes to the matcher
local NAMES = {"find", "match", "gmatch", "gsub"}
local function run(f, name, ...)
  local results
  if name == "gmatch" then
    results = {}
    for a, b in f(...) do
      results[#results + 1] = tostring(a) .. "|" .. tostring(b)
      if #results > 100 then break end
    end
  else
    results = table.pack(f(...))
  end
  for i = 1, results.n or #results do results[i] = math.type(results[i]) and results[i] or tostring(results[i]) end
  return table.concat(results, ";", 1, results.n or #results)
end
local REPLACEMENTS = {
  TABLE = {a = "A", b = false, [1] = 7},
  FUNCTION = function(a, b) return b or a ~= "a" and tostring(a) .. "!" end,
}
local function compare(which, ...)
  local name = NAMES[which]
  local fine, expected = pcall(run, string[name], name, ...)
  local also_fine, got = pcall(run, own[which], name, ...)
  if not fine then expected = "error" end
  if not also_fine then got = "error" end
  return expected, got
end
return function(which, subject, pattern, third, ...)
  if third == nil then return compare(which, subject, pattern) end
  return compare(which, subject, pattern, REPLACEMENTS[third] or third, ...)
end
"""


@pytest.fixture(scope="module")
def compare() -> Any:
    runtime = lupa.lua54.LuaRuntime(encoding=None, unpack_returned_tuples=True)
    source = Path(arras_ray.scene.__file__).with_name("patterns.lua").read_bytes()
    return runtime.execute(COMPARE, runtime.compile(source))


ITEMS = ["a", "b", ".", "%a", "%d", "%A", "[ab]", "[^a]", "[a-c%d]", "[]]", "[^]a]", "%.", "$", "^", "[%]]"]
PATTERNS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(ITEMS), st.sampled_from(["", "", "*", "+", "-", "?"])).map("".join),
        st.sampled_from(["(", ")", "()", "(", ")", "%b()", "%f[a]", "%f[^a]", "%1", "%2", "%0", "%", "[", "[^", "%f"]),
    ),
    max_size=7,
).map("".join)
SUBJECTS = st.text("aab1(). \0^$]", max_size=12)
INITS = st.integers(-14, 14)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, SUBJECTS, INITS)
@example("^(a*)(.-)$", "aab", 1)
@example("()a()", "aaa", -2)
@example("(a*)%1b", "aaaab", 1)
@example("^a", "^a^a", 1)
@example("$a", "$a", 1)
def test_find_match_and_gmatch(compare: Any, pattern: str, subject: str, init: int) -> None:
    for which in (1, 2, 3):
        expected, got = compare(which, subject.encode(), pattern.encode(), init)
        # a pattern that is wrong may be found out later by Lua's own, which reads it as far as it gets
        assert expected == got or got == b"error"


@pytest.mark.parametrize("pattern", ["a*b", "(a)(b)", "^a", "()", "%f[a]a+", "a-", "", ".-b?", "%b()", "(a)%1"])
@pytest.mark.parametrize("replacement", ["<%0>", "%1", "%%", "%2", "%x", "x", "TABLE", "FUNCTION", 5])
@pytest.mark.parametrize("count", [None, 0, 1, 2])
def test_gsub(compare: Any, pattern: str, replacement: Any, count: int | None) -> None:
    given = replacement.encode() if isinstance(replacement, str) else replacement
    for subject in (b"", b"a", b"aab", b"abaab", b"(a(b))a"):
        expected, got = compare(4, subject, pattern.encode(), given, *([] if count is None else [count]))
        assert expected == got


@pytest.mark.parametrize("pattern", ["[a", "%", "%f", ".)", "%1", "[]", "[^", "%b(", "[%", "()%2", "(%1)"])
def test_malformed_patterns_are_errors(compare: Any, pattern: str) -> None:
    for which in (1, 2, 3, 4):
        expected, got = compare(which, b"aaa", pattern.encode(), *([b"x"] if which == 4 else []))
        assert (expected, got) == (b"error", b"error")
