"""What makes a taxonomy no tree, against naive definitions and against inputs that could hang."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.taxonomy.problems import KINDS, MAX_DEPTH, SHOWN, Link, Problem, find_problems, problem_details


def _links(parents: dict[str, str | None], levels: dict[str, int] | None = None) -> dict[str, Link]:
    return {code: Link(parent, (levels or {}).get(code)) for code, parent in parents.items()}


def _kinds(parents: dict[str, str | None], levels: dict[str, int] | None = None) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for problem in find_problems(_links(parents, levels))[0]:
        found.setdefault(problem.kind, set()).add(problem.code)
    return found


def test_a_sound_tree_has_no_problems_and_gets_its_levels() -> None:
    problems, levels = find_problems(
        {"1": Link(None, None), "11": Link("1", None), "111": Link("11", 5), "1111": Link("111", None)}
    )
    assert problems == []
    assert levels == {"1": 1, "11": 2, "111": 5, "1111": 6}


def test_every_kind_is_found_at_once() -> None:
    parents = {"a": None, "b": "a", "c": "gone", "d": "d", "e": "f", "f": "e"}
    assert _kinds(parents, {"a": 2, "b": 2}) == {
        "missing_parent": {"c"},
        "self_parent": {"d"},
        "cycle": {"e"},
        "level_not_below_parent": {"b"},
    }


def test_levels_are_compared_below_a_broken_place_too() -> None:
    assert _kinds({"a": "gone", "b": "a"}, {"a": 3, "b": 1})["level_not_below_parent"] == {"b"}


codes = st.sampled_from([str(i) for i in range(12)])


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(codes, st.none() | codes | st.just("gone"), min_size=1))
def test_any_parents_are_judged_as_by_walking_up_from_each_node(parents: dict[str, str | None]) -> None:
    def reaches_top(code: str) -> bool:
        for _ in range(len(parents) + 1):
            above = parents[code]
            if above is None:
                return True
            if above not in parents:
                return False
            code = above
        return False

    def circle(code: str) -> frozenset[str] | None:
        walk, here = [code], parents[code]
        while here is not None and here in parents and here not in walk:
            walk.append(here)
            here = parents[here]
        return frozenset(walk) if here == code and len(walk) > 1 else None

    found = _kinds(parents)
    _, levels = find_problems(_links(parents))
    assert found.get("self_parent", set()) == {code for code, parent in parents.items() if parent == code}
    assert found.get("missing_parent", set()) == {
        code for code, parent in parents.items() if parent is not None and parent not in parents
    }
    circles = {circle(code) for code in parents} - {None}
    assert len(found.get("cycle", ())) == len(circles)
    assert all(sum(code in members for code in found["cycle"]) == 1 for members in circles if members)
    assert (not found) == all(reaches_top(code) for code in parents)
    assert set(levels) == {code for code in parents if reaches_top(code)}


def test_a_chain_of_100_000_nodes_is_refused_quickly() -> None:
    parents = {str(i): str(i - 1) if i else None for i in range(100_000)}
    begin = time.process_time()
    found = _kinds(parents)
    assert time.process_time() - begin < 5
    assert found == {"too_deep": {str(MAX_DEPTH)}}


def test_a_chain_of_the_greatest_depth_is_accepted() -> None:
    assert _kinds({str(i): str(i - 1) if i else None for i in range(MAX_DEPTH)}) == {}


def test_a_circle_of_100_000_nodes_is_one_problem_in_few_words() -> None:
    problems, _ = find_problems(_links({str(i): str((i + 1) % 100_000) for i in range(100_000)}))
    assert [problem.kind for problem in problems] == ["cycle"]
    assert len(problems[0].note) < 200


def test_details_show_the_first_20_of_each_kind_and_count_all() -> None:
    problems = [Problem("missing_parent", str(i), i + 2, "parent x") for i in range(50)] + [Problem("cycle", "z")]
    missing, cycle = problem_details(problems)
    assert missing["count"] == 50
    assert missing["codes"] == [str(i) for i in range(SHOWN)]
    assert missing["lines"][0] == 2
    assert "and 30 more" in missing["what"]
    assert missing["what"].startswith("50 nodes name a parent that is no node: 0 (parent x, line 2)")
    assert cycle["count"] == 1
    assert {missing["kind"], cycle["kind"]} <= set(KINDS)
