"""From checked rows to a checked tree: translations join their node, the tree is judged as a whole."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from taxomind_assets.inputs import RejectedRow
from taxomind_assets.taxonomy.problems import SHOWN, Link, Problem, find_problems, refusal
from taxomind_assets.taxonomy.records import content_version
from taxomind_assets.taxonomy.rows import NodeRow, unique
from taxomind_assets.taxonomy.sources import Source
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

_ROOT_WORDS = frozenset({"NA", "N/A"})


@dataclass(slots=True)
class _Draft:
    """A node while its rows come in."""

    line: int
    parents: list[str] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    texts: list[NodeText] = field(default_factory=list)
    is_leaf: bool | None = None


@dataclass(frozen=True)
class TaxonomyFile:
    """A taxonomy as it was accepted.

    Attributes:
        taxonomy: the checked tree; `version` is set.
        rejected: rows that were refused by themselves, in file order.
        warnings: what was accepted with a remark, one sentence each.
    """

    taxonomy: Taxonomy
    rejected: tuple[RejectedRow, ...]
    warnings: tuple[str, ...]


def assemble(name: str, key: str, source: Source, limits: LimitSettings) -> TaxonomyFile:
    """Join the rows of `source` into a tree.

    Args:
        name: name of the file, for messages.
        key: taxonomy key.
        source: what a format reader found.
        limits: `max_nodes`.

    Raises:
        Fault: `invalid_taxonomy` with one detail per kind of problem, or `too_large`.
    """
    drafts, rejected, duplicates = _collect(name, source, limits)
    warnings = list(source.warnings)
    problems = [*source.problems, *duplicates]
    links, conflicts = _links(drafts, warnings)
    problems += conflicts
    broken, levels = find_problems(links)
    problems += _explained(broken, rejected)
    if source.max_depth is not None:
        deep = [code for code, level in levels.items() if level > source.max_depth]
        note = f"maxDepth {source.max_depth}"
        problems += [Problem("over_max_depth", code, links[code].line, f"level {levels[code]}, {note}") for code in deep]
    if not drafts:
        problems += [Problem("row_refused", row.reason, row.line) for row in rejected]
    if problems or not drafts:
        raise (
            refusal(name, problems)
            if problems
            else Fault("invalid_taxonomy", f"{name} has no nodes.", allowed="at least one node")
        )
    warnings += _attach(drafts, source.synonyms)
    languages = _by_coverage(drafts)
    taxonomy = Taxonomy.build(
        key,
        (
            Node(code, links[code].parent_code, levels[code], _in_order(draft.texts, languages))
            for code, draft in drafts.items()
        ),
        display_name=source.display_name,
        level_names=source.level_names,
    )
    taxonomy = dataclasses.replace(taxonomy, version=content_version(taxonomy))
    warnings += _remarks(taxonomy, drafts, rejected)
    return TaxonomyFile(taxonomy, tuple(rejected), tuple(warnings))


def _collect(name: str, source: Source, limits: LimitSettings) -> tuple[dict[str, _Draft], list[RejectedRow], list[Problem]]:
    drafts: dict[str, _Draft] = {}
    rejected: list[RejectedRow] = []
    duplicates: list[Problem] = []
    for row in source.rows:
        if isinstance(row, RejectedRow):
            rejected.append(row)
            continue
        draft = drafts.get(row.code)
        if draft is None:
            draft = drafts[row.code] = _Draft(row.line)
            if len(drafts) > limits.max_nodes:
                allowed = f"at most {limits.max_nodes:,} nodes (limits.max_nodes)"
                raise Fault(
                    "too_large", f"{name} has more than {limits.max_nodes:,} nodes.", value=len(drafts), allowed=allowed
                )
        elif any(text.language == row.text.language for text in draft.texts):
            language = f"language {row.text.language}, " if row.text.language else ""
            note = f"{language}first in line {draft.line}"
            duplicates.append(Problem("duplicate_code", row.code, row.line, note))
            continue
        _add(draft, row)
    return drafts, rejected, duplicates


def _add(draft: _Draft, row: NodeRow) -> None:
    if row.parent_code and row.parent_code not in draft.parents:
        draft.parents.append(row.parent_code)
    if row.level is not None and row.level not in draft.levels:
        draft.levels.append(row.level)
    if draft.is_leaf is None:
        draft.is_leaf = row.is_leaf
    draft.texts.append(row.text)


def _links(drafts: dict[str, _Draft], warnings: list[str]) -> tuple[dict[str, Link], list[Problem]]:
    """Places of the nodes. A row of a further language may leave parent and level empty; it may not contradict."""
    links: dict[str, Link] = {}
    conflicts: list[Problem] = []
    rooted = []
    for code, draft in drafts.items():
        parents, levels = draft.parents, draft.levels
        if parents and parents[0].upper() in _ROOT_WORDS and parents[0] not in drafts:
            rooted.append(code)
            parents = parents[1:]
        if len(parents) > 1:
            conflicts.append(Problem("conflicting_parent", code, draft.line, "parents " + " and ".join(parents[:5])))
        if len(levels) > 1:
            conflicts.append(Problem("conflicting_level", code, draft.line, "levels " + " and ".join(map(str, levels[:5]))))
        links[code] = Link(parents[0] if parents else None, levels[0] if levels else None, draft.line)
    if rooted:
        warnings.append(f"{_count(rooted, 'node')} with the parent NA or N/A became top nodes: {listed(rooted)}.")
    return links, conflicts


def _explained(problems: list[Problem], rejected: Sequence[RejectedRow]) -> list[Problem]:
    """A parent that is missing because its own row was refused: say so."""
    missing = [problem for problem in problems if problem.kind == "missing_parent"]
    if not missing or not rejected:
        return problems
    return [*problems, *(Problem("row_refused", row.reason, row.line) for row in rejected)]


def _attach(drafts: dict[str, _Draft], synonyms: Sequence[tuple[str, str]]) -> list[str]:
    """Synonyms become aliases of the first text of their node."""
    found: dict[str, list[str]] = {}
    unknown: list[str] = []
    for code, text in synonyms:
        if code in drafts:
            found.setdefault(code, []).append(text)
        else:
            unknown.append(code)
    for code, texts in found.items():
        first = drafts[code].texts[0]
        drafts[code].texts[0] = dataclasses.replace(first, aliases=unique([*first.aliases, *texts]))
    return [f"{_count(unknown, 'synonym')} left out, for no node has its code: {listed(unique(unknown))}."] if unknown else []


def _by_coverage(drafts: dict[str, _Draft]) -> dict[str, int]:
    """language -> rank: most nodes first, among equals English, then the one seen first."""
    counts = Counter(text.language for draft in drafts.values() for text in draft.texts)
    seen = {language: place for place, language in enumerate(counts)}
    ordered = sorted(counts, key=lambda language: (-counts[language], language != "en", seen[language]))
    return {language: rank for rank, language in enumerate(ordered)}


def _in_order(texts: list[NodeText], languages: dict[str, int]) -> tuple[NodeText, ...]:
    return tuple(sorted(texts, key=lambda text: languages[text.language]) if len(texts) > 1 else texts)


def _remarks(taxonomy: Taxonomy, drafts: dict[str, _Draft], rejected: Sequence[RejectedRow]) -> list[str]:
    nodes = list(zip(taxonomy.nodes, taxonomy.parents.tolist(), taxonomy.is_leaf.tolist(), strict=True))
    primary = Counter(node.texts[0].language for node in taxonomy.nodes).most_common(1)[0][0]
    skipped = [node.code for node, parent, _ in nodes if node.level > 1 + (taxonomy.nodes[parent].level if parent >= 0 else 0)]
    flagged = [node.code for node, _, leaf in nodes if drafts[node.code].is_leaf not in {None, leaf}]
    foreign = [node.code for node in taxonomy.nodes if node.texts[0].language != primary]
    undefined = [node.code for node in taxonomy.nodes if not any(text.definition for text in node.texts)]
    undecided = [row for row in rejected if row.reason_code == "undecided_code"]
    remarks = [
        (skipped, f"Levels are skipped above {_count(skipped, 'node')}: {listed(skipped)}."),
        (flagged, f"{_count(flagged, 'node')} with a wrong isLeaf (a leaf is a node without children): {listed(flagged)}."),
        (foreign, f"{_count(foreign, 'node')} without a label in the main language {primary!r}: {listed(foreign)}."),
        (undefined, f"{_count(undefined, 'node')} without a definition: {listed(undefined)}."),
        (undecided, f"{_count(undecided, 'node')} dropped whose code means 'could not decide' (-9, -99, ...)."),
    ]
    return [sentence for found, sentence in remarks if found]


def listed(codes: Sequence[str]) -> str:
    """The first 20 codes in one line."""
    more = f" and {len(codes) - SHOWN:,} more" if len(codes) > SHOWN else ""
    return ", ".join(codes[:SHOWN]) + more


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'}"
