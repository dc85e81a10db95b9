"""Carrying out a retag run: checkpoint by checkpoint, then applied or rolled back as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.taxonomy.retag import OUTCOMES, Judge, Outcome, outcome_of
from taxomind_assets.taxonomy.retag_plan import placed_by_people, retag_classifier
from taxomind_assets.taxonomy.retag_store import TEXTS, RetagRun, RetagStore, State, table
from taxomind_assets.taxonomy.revision_choice import choose_among
from taxomind_assets.taxonomy.versions import current_translation, current_version
from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name, locked

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.revision import Translation
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

#: Texts of a checkpoint; with a language model a kill may cost at most so many answers again.
CHECKPOINT: Final[Mapping[str, int]] = {"router": 2_000, "llm": 50}
#: Stop reason of an answer that was chosen among the parts of a split node.
AMONG_PARTS: Final = "among_parts"


def carry_out(
    settings: Settings,
    inbox: Inbox,
    outputs: Outputs,
    key: str,
    name: str,
    *,
    by: str,
    confirmed: float | None = None,
    report: Callable[[int], None] = lambda texts: None,
) -> RetagRun:
    """Classify the texts of a run again, or go on with it where it stopped. Stored answers are not touched.

    Args:
        settings, inbox, outputs, key: as in `plan_retag`.
        name: the run.
        by: who asks for it.
        confirmed: US dollars that a run with a language model may cost; it must be at least what is expected, and when it is
            spent the run pauses (state `paused_cost`) until it is carried out with more.
        report: told the number of texts after each checkpoint.

    Raises:
        Fault: `invalid_input` (run, its state, or the confirmation), `revision_conflict` when the taxonomy is another one now,
            `storage_failed`, and what the classifier raises (the run is `failed` then, and can be gone on with).
    """
    store = RetagStore(outputs, key)
    with locked(outputs.root / "taxonomy" / f".retag-{folder_name(key)}.lock"):
        run = store.run(name)
        _check_ready(run, key, current_version(outputs, key), confirmed)
        if run.state == "completed":
            return run
        run = store.save(run.noted(by, "resumed" if run.state != "planned" else "started", state="running"))
        try:
            return _carry_out(settings, inbox, store, run, by=by, confirmed=confirmed, report=report)
        except Fault as fault:
            store.save(store.run(name).noted(by, f"failed: {fault.what}", state="failed"))
            raise


def _check_ready(run: RetagRun, key: str, version: str, confirmed: float | None) -> None:
    if run.state == "canceled":
        raise Fault("invalid_input", f"Retag run {run.run} of {key!r} was canceled.", next_step="Plan another one.")
    if run.taxonomy_version != version:
        what = f"{key!r} has changed since retag run {run.run} was planned."
        raise Fault("revision_conflict", what, value=version, allowed=run.taxonomy_version, next_step="Plan another run.")
    if run.strategy == "llm" and (confirmed is None or confirmed < (run.cost or 0.0)):
        expected = "an amount, since the price is not known" if run.cost is None else f"at least {run.cost:.2f}"
        what = f"Retag run {run.run} asks a language model {run.questions:,} questions."
        raise Fault("invalid_input", what, value=confirmed, allowed=expected, next_step="Add --confirm-cost AMOUNT.")


def _carry_out(
    settings: Settings,
    inbox: Inbox,
    store: RetagStore,
    run: RetagRun,
    *,
    by: str,
    confirmed: float | None,
    report: Callable[[int], None],
) -> RetagRun:
    classifier = retag_classifier(settings, store.key, run.strategy)
    if classifier.tree.version != run.taxonomy_version:
        raise Fault("index_stale", f"The index of {store.key!r} is not that of the taxonomy in force.")
    translation = current_translation(inbox, store.outputs, store.key, run.taxonomy_version)
    plan, size = store.plan(run.run), CHECKPOINT[run.strategy]
    for number, start in enumerate(range(0, plan.num_rows, size)):
        rows = plan.slice(start, size).to_pylist()
        if not store.has_checkpoint(run.run, number):
            if run.strategy == "llm" and confirmed is not None and (run.spent or 0.0) >= confirmed and run.spent:
                return store.save(run.noted(by, f"paused: {confirmed:.2f} are spent", state="paused_cost"))
            before = _spent(classifier, run.strategy)
            store.save_checkpoint(run.run, number, table(TEXTS, _classified(classifier, translation, run.run, rows)))
            run = store.save(_with_cost(run, before, _spent(classifier, run.strategy)))
        report(len(rows))
    counts = outcomes(store, run.run)
    summary = ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "no texts"
    return store.save(run.noted(by, f"completed: {summary}", state="completed"))


def _spent(classifier: Classifier, strategy: str) -> float | None:
    from taxomind_assets.classification.second_opinion import spent

    return spent(classifier.settings).cost if strategy == "llm" else 0.0


def _with_cost(run: RetagRun, before: float | None, after: float | None) -> RetagRun:
    from dataclasses import replace

    known = run.spent is not None and before is not None and after is not None
    return replace(run, spent=(run.spent or 0.0) + (after or 0.0) - (before or 0.0) if known else None)


def _classified(
    classifier: Classifier, translation: Translation, run: str, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of `taxonomy.retag_texts` for rows of a plan."""
    asked = [row for row in rows if not row["human"]]
    answers = classifier.classify([row["text"] for row in asked]).to_pylist()
    split = [place for place, row in enumerate(asked) if row["options"]]
    chosen = choose_among(classifier, [asked[i]["text"] for i in split], [asked[i]["options"] for i in split])
    target = classifier.settings.routing.accuracy_target
    unsure = set()
    for place, choice in zip(split, chosen, strict=True):
        answers[place] |= _part(classifier, asked[place], choice.code, choice.confidence)
        answers[place]["ambiguous"] = choice.confidence < target
        if choice.confidence < target:
            unsure.add(place)
    judge = Judge(classifier.tree, translation, {})
    now = datetime.now(UTC)
    found = []
    for place, (row, answer) in enumerate(zip(asked, answers, strict=True)):
        outcome: Outcome = "unsure" if place in unsure else _outcome(judge, row, answer)
        found.append({**answer, **_kept(row, run), "outcome": outcome, "classified_at": now})
    return found + [_human(row, run) for row in rows if row["human"]]


def _outcome(judge: Judge, row: Mapping[str, Any], answer: Mapping[str, Any]) -> Outcome:
    if answer["error_code"] is not None:
        return "error"
    edition = judge.translation.editions.get(row["old_version"], judge.translation.edition)
    before = () if row["old_code"] is None else judge.translation.between(row["old_code"], edition, judge.translation.edition)
    return outcome_of(judge.tree, before, answer["code"])


def _part(classifier: Classifier, row: Mapping[str, Any], code: str, confidence: float) -> dict[str, Any]:
    """An answer that is one part of the former one: as sure as that was, times how sure the choice is."""
    tree = classifier.tree
    position = tree.position[code]
    path = tree.path_codes(position)
    former = float(row["old_confidence"])
    above = [max(float(value), former) for value in row["old_level_confidences"][: len(path) - 1]]
    above += [former] * (len(path) - 1 - len(above))
    return {
        "code": code,
        "label": tree.nodes[position].label,
        "level": int(tree.levels[position]),
        "path": path,
        "confidence": former * confidence,
        "level_confidences": [*above, former * confidence],
        "stop_reason": AMONG_PARTS,
    }


def _kept(row: Mapping[str, Any], run: str) -> dict[str, Any]:
    given = (
        "batch_id",
        "source_file",
        "row",
        "text_id",
        "text",
        "language",
        "why",
        "old_code",
        "old_confidence",
        "old_version",
    )
    return {"run": run, **{name: row[name] for name in given}}


def _human(row: Mapping[str, Any], run: str) -> dict[str, Any]:
    """A text that a person has placed: its answer as it was."""
    unknown = ("index_version", "evidence_version", "calibration_version", "settings_version")
    return {
        **_kept(row, run),
        **dict.fromkeys(unknown, ""),
        "outcome": "human",
        "code": row["old_code"],
        "label": None,
        "level": 0,
        "path": row["old_path"],
        "confidence": row["old_confidence"],
        "level_confidences": row["old_level_confidences"],
        "stop_reason": "",
        "ambiguous": False,
        "alternatives": [],
        "top_codes": [],
        "leaf_confidence": 0.0,
        "taxonomy_version": row["old_version"],
        "classified_at": datetime.now(UTC),
    }


def outcomes(store: RetagStore, run: str) -> dict[str, int]:
    """How many texts of a run came to each outcome, in the order of `OUTCOMES`."""
    counts = Counter(store.texts(run, ["outcome"])["outcome"].to_pylist())
    return {name: counts[name] for name in OUTCOMES if counts[name]}


def applicable(store: RetagStore, run: RetagRun, only: Collection[str], min_confidence: float = 0.0) -> pa.Table:
    """The answers of a run that would be put in place: texts that people have placed meanwhile are left out.

    Args:
        only: outcomes.
        min_confidence: least confidence of the new answer; an abstention counts with any.

    Raises:
        Fault: `invalid_input` when the run is not completed or an outcome cannot be applied.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if run.state != "completed":
        next_step = f"taxomind taxonomy retag run {store.key} {run.run}"
        raise Fault("invalid_input", f"Retag run {run.run} is not completed.", value=run.state, next_step=next_step)
    allowed = [name for name in OUTCOMES if name not in {"human", "error"}]
    unknown = sorted(set(only) - set(allowed))
    if unknown:
        raise Fault("invalid_input", "These outcomes cannot be applied.", value=unknown, allowed=", ".join(allowed))
    rows = store.texts(run.run)
    sure = pc.or_(pc.greater_equal(rows["confidence"], min_confidence), pc.is_null(rows["code"]))
    kept = rows.filter(pc.and_(pc.is_in(rows["outcome"], pa.array(sorted(only), pa.string())), sure))
    placed = placed_by_people(store.outputs, store.key)
    return kept.filter(pa.array([text not in placed for text in kept["text"].to_pylist()], pa.bool_()))


def apply_run(store: RetagStore, run: RetagRun, rows: pa.Table, *, by: str) -> RetagRun:
    """Let answers of a run stand in the place of the stored ones, all at once.

    Args:
        rows: see `applicable`.

    Raises:
        Fault: `storage_failed`.
    """
    store.put_in_place(run.run, rows)
    return store.save(run.noted(by, f"applied: {rows.num_rows:,} answers", applied=True))


def roll_back(store: RetagStore, run: RetagRun, *, by: str) -> RetagRun:
    """Let the stored answers stand again.

    Raises:
        Fault: `invalid_input` when the run is not applied; `storage_failed`.
    """
    if not store.take_back(run.run):
        raise Fault("invalid_input", f"Retag run {run.run} of {store.key!r} is not applied.", value=run.state)
    return store.save(run.noted(by, "rolled back", applied=False))


def cancel(store: RetagStore, run: RetagRun, *, by: str) -> RetagRun:
    """Give a run up that is not applied; what it found stays readable.

    Raises:
        Fault: `invalid_input` when it is applied; `storage_failed`.
    """
    if store.is_applied(run.run):
        raise Fault("invalid_input", f"Retag run {run.run} is applied.", next_step="Roll it back first.")
    state: State = "canceled"
    return store.save(run.noted(by, "canceled", state=state))
