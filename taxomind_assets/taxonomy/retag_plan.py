"""Planning a retag run: which stored answers it looks at again, and what that will cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.taxonomy.retag import Changes, Judge, Placed, Selection, Touched, homes_of_added
from taxomind_assets.taxonomy.retag_store import PLANS, RetagRun, RetagStore, table
from taxomind_assets.taxonomy.stored import stored_taxonomy
from taxomind_assets.taxonomy.versions import HISTORY, current_translation
from taxomind_resources.catalogue import Catalogue
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.revision import Translation
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.llm import Spending
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

STRATEGIES: Final = ("router", "llm")
_PAIRS: Final = """
SELECT DISTINCT taxonomy_version AS version, code FROM classification.current_results
WHERE taxonomy_key = $key AND error_code IS NULL
"""
_ANSWERS: Final = """
SELECT r.batch_id, r.source_file, r.row, r.text_id, r.text, r.language, r.code AS old_code, r.path AS old_path,
    r.confidence AS old_confidence, r.level_confidences AS old_level_confidences, r.taxonomy_version AS old_version
FROM classification.current_results AS r
JOIN (SELECT unnest($versions::VARCHAR[]) AS version, unnest($codes::VARCHAR[]) AS code) AS t
    ON r.taxonomy_version = t.version AND r.code IS NOT DISTINCT FROM t.code
WHERE r.taxonomy_key = $key AND r.error_code IS NULL
    AND ($since::TIMESTAMPTZ IS NULL OR r.classified_at >= $since::TIMESTAMPTZ)
    AND ($until::TIMESTAMPTZ IS NULL OR r.classified_at <= $until::TIMESTAMPTZ)
ORDER BY r.batch_id, r.row LIMIT $most
"""
_MOST: Final = 2**62


@dataclass(frozen=True)
class RetagPlan:
    """A run that has been thought through and not been stored.

    Attributes:
        run: what it is to do, with its cost.
        rows: rows of `taxonomy.retag_plans`.
    """

    run: RetagRun
    rows: pa.Table

    @property
    def reasons(self) -> dict[str, int]:
        """How many texts are looked at again, by why; `human` are left alone."""
        why = [
            "human" if human else why
            for why, human in zip(self.rows["why"].to_pylist(), self.rows["human"].to_pylist(), strict=True)
        ]
        return dict(Counter(why))


def plan_retag(
    settings: Settings, inbox: Inbox, outputs: Outputs, key: str, selection: Selection, *, strategy: str = "router", by: str
) -> RetagPlan:
    """Find the stored answers that the changes of the taxonomy touch. Writes nothing.

    Args:
        settings: the shared settings.
        inbox: knows the revisions.
        outputs: holds answers, versions and corrections.
        key: taxonomy key.
        selection: limits.
        strategy: `router`, or `llm` to let a language model look at unsure answers.
        by: who plans.

    Raises:
        Fault: `index_stale` when the index is not that of the taxonomy in force, `index_missing`, `invalid_input` (strategy or
            code), `storage_failed`.
    """
    if strategy not in STRATEGIES:
        raise Fault("invalid_input", "There is no such strategy.", value=strategy, allowed=", ".join(STRATEGIES))
    tree = stored_taxonomy(outputs, key)
    if selection.under is not None and selection.under not in tree.position:
        raise Fault(
            "invalid_input", f"{key!r} has no node {selection.under!r}.", value=selection.under, allowed="one of its codes"
        )
    classifier = retag_classifier(settings, key, strategy)
    if classifier.tree.version != tree.version:
        raise Fault("index_stale", f"The index of {key!r} is not that of the taxonomy in force.", value=classifier.tree.version)
    rows = _touched_answers(outputs, tree, current_translation(inbox, outputs, key, tree.version), selection)
    cost = _cost(classifier, rows) if strategy == "llm" else None
    run = RetagRun(
        run=RetagStore(outputs, key).next_name(),
        taxonomy_version=tree.version,
        index_version=classifier.index.version,
        strategy=strategy,
        selection=selection.to_json(),
        texts=rows.num_rows,
        questions=cost.questions if cost else 0,
        tokens=cost.input_tokens + cost.output_tokens if cost else 0,
        cost=cost.cost if cost else 0.0,
    )
    named = rows.set_column(0, "run", [[run.run] * rows.num_rows]) if rows.num_rows else rows
    return RetagPlan(run.noted(by, "planned"), named)


def store_plan(outputs: Outputs, key: str, plan: RetagPlan) -> None:
    """Keep a plan, so that it can be carried out; the run's row comes last.

    Raises:
        Fault: `storage_failed`.
    """
    store = RetagStore(outputs, key)
    store.save_plan(plan.run.run, plan.rows)
    store.save(plan.run)


def placed_by_people(outputs: Outputs, key: str) -> Placed:
    """Texts that people have placed: no run may change their answers.

    Raises:
        Fault: `storage_failed`.
    """
    rows = outputs.read("learning.corrections", key, columns=["text", "status"]).to_pylist()
    return Placed(row["text"] for row in rows if row["status"] != "withdrawn")


def retag_classifier(settings: Settings, key: str, strategy: str) -> Classifier:
    """The classifier of a strategy.

    Raises:
        Fault: as `Classifier.load`.
    """
    from taxomind_assets.classification.classifier import Classifier

    own = settings.for_taxonomy(key)
    if strategy == "llm":
        own = own.model_copy(update={"judge": own.judge.model_copy(update={"enabled": True}), "taxonomy": {}})
    return Classifier.load(key, own)


def _cost(classifier: Classifier, rows: pa.Table) -> Spending:
    from taxomind_assets.classification.second_opinion import outlook
    from taxomind_assets.views.texts import clean
    from taxomind_resources.llm import Spending

    # Among the parts of a split node the classifier decides alone.
    free = [
        not (human or options) for human, options in zip(rows["human"].to_pylist(), rows["options"].to_pylist(), strict=True)
    ]
    texts = [clean(text) for text, asked in zip(rows["text"].to_pylist(), free, strict=True) if asked]
    return outlook(classifier, texts).judged or Spending()


def _touched_answers(outputs: Outputs, tree: Taxonomy, translation: Translation, selection: Selection) -> pa.Table:
    key, catalogue = tree.key, Catalogue(outputs.root.parent)
    pairs = [(row["version"], row["code"]) for row in catalogue.query(_PAIRS, {"key": key}).to_pylist()]
    changes = {version: _changes(outputs, key, version, tree, translation) for version in {version for version, _ in pairs}}
    judge = Judge(tree, translation, changes, selection.under)
    touched = {pair: found for pair in pairs if (found := judge.touched(*pair)).why}
    found = catalogue.query(
        _ANSWERS,
        {
            "key": key,
            "versions": [version for version, _ in touched],
            "codes": [code for _, code in touched],
            "since": selection.since,
            "until": selection.until,
            "most": _MOST if selection.limit is None else selection.limit,
        },
    )
    placed = placed_by_people(outputs, key)
    return table(PLANS, [_plan_row(row, touched[row["old_version"], row["old_code"]], placed) for row in found.to_pylist()])


def _changes(outputs: Outputs, key: str, version: str, tree: Taxonomy, translation: Translation) -> Changes:
    """What the taxonomy in force has that a version had not."""
    edition = translation.editions.get(version, translation.edition)
    if version == tree.version or not outputs.exists(HISTORY, key, version):
        return Changes(edition)
    codes = outputs.read(HISTORY, key, columns=["code"], parts=[version])["code"].to_pylist()
    known = {found for code in codes for found in translation.between(code, edition, translation.edition)}
    return Changes(edition, homes_of_added(tree, known))


def _plan_row(row: dict[str, Any], touched: Touched, placed: Placed) -> dict[str, Any]:
    return {**row, "run": "", "why": touched.why, "options": list(touched.options), "human": row["text"] in placed}
