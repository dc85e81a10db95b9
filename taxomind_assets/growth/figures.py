"""Figures of growth: what was observed, what was decided, and whether what was added is used."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.growth.decisions import Standing, read_decisions
from taxomind_assets.growth.detector import Rules
from taxomind_assets.growth.normalise import comparison_key
from taxomind_assets.growth.observing import CORRECTIONS, OBSERVATIONS
from taxomind_assets.growth.review import SOURCE, versions_in_force
from taxomind_assets.growth.usage import ZERO_USAGE, texts_at
from taxomind_assets.taxonomy.versions import current_version

if TYPE_CHECKING:
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

_TOP: Final = 5


def growth_figures(key: str, settings: Settings, inbox: Inbox, outputs: Outputs) -> dict[str, Any]:
    """How growth has gone so far.

    Returns:
        observations, divergent, misfits: rows of `growth.observations`; oldest, newest: their times; wanted: the labels that
        are asked for most (label, texts), by comparison key; accepted, rejected, skipped: decisions that stand; grown: per
        node that was added, answers at it and the share of its answers that people corrected (None = no answers); unused:
        nodes that no answer uses.

    Raises:
        Fault: `unreadable_file`, `invalid_key` or `storage_failed`.
    """
    import pyarrow.compute as pc

    decisions = read_decisions(inbox, key)
    versions = versions_in_force(inbox, outputs, key, current_version(outputs, key))
    standing = Standing.of(decisions, versions)
    table = outputs.read(
        OBSERVATIONS, key, columns=["observed_at", "text_id", "primary_label", "proposed_label", "source", "misfit"]
    )
    moments = pc.min_max(table["observed_at"]).as_py()
    wishes = table.filter(
        pc.and_(pc.not_equal(table["source"], ""), pc.not_equal(table["proposed_label"], table["primary_label"]))
    )
    stands = [own for own in decisions if own.decision_id not in standing.undone and own.action != "undo"]
    added = [own for own in stands if own.action in {"add", "name_as_different"} and not own.details.get("unchanged")]
    return {
        "observations": table.num_rows,
        "divergent": wishes.num_rows,
        "misfits": int(pc.sum(pc.not_equal(table["misfit"], "")).as_py() or 0),
        "oldest": moments["min"],
        "newest": moments["max"],
        "wanted": _wanted(
            wishes.select(["text_id", "proposed_label"]).to_pylist(), Rules.of(settings.for_taxonomy(key).growth)
        ),
        "accepted": len(added),
        "rejected": len(standing.rejected),
        "skipped": sum(own.action == "skip" for own in stands),
        "grown": _grown(key, outputs, {own.code or "": own.details.get("added_label", own.label) for own in added}),
        "unused": outputs.read(ZERO_USAGE, key, columns=["code"]).num_rows,
    }


def _wanted(rows: list[dict[str, str]], rules: Rules) -> list[dict[str, Any]]:
    texts: dict[str, set[str]] = {}
    spellings: dict[str, Counter[str]] = {}
    for row in rows:
        own = comparison_key(row["proposed_label"], "", rules.words)
        if own:
            texts.setdefault(own, set()).add(row["text_id"])
            spellings.setdefault(own, Counter())[row["proposed_label"]] += 1
    best = sorted(texts, key=lambda own: (-len(texts[own]), own))[:_TOP]
    return [{"label": spellings[own].most_common(1)[0][0], "texts": len(texts[own])} for own in best]


def _grown(key: str, outputs: Outputs, labels: dict[str, str]) -> list[dict[str, Any]]:
    """Later use of the nodes that growth added, and how often people moved their texts elsewhere."""
    if not labels:
        return []
    answered = texts_at(outputs, key, list(labels))
    placed = outputs.read(CORRECTIONS, key, columns=["text", "code", "status", "source"]).to_pylist()
    told = {row["text"]: row["code"] for row in placed if row["status"] == "applied" and row["source"] != SOURCE}
    found = []
    for code, label in labels.items():
        texts = answered[code]
        moved = sum(told.get(text, code) != code for text in texts)
        found.append({"code": code, "label": label, "answers": len(texts), "corrected": moved / len(texts) if texts else None})
    return found
