"""Enrichment: a language model writes definitions, examples and phrases for the nodes, each checked, marked and paid once.

What it writes never takes the place of what the file says: accepted texts stand beside it (`Node.added`), in the table
`taxonomy.enriched_nodes` in a column of their own. A node whose question fails keeps its texts; its definition without cross
references is added, and the question is asked again with the next run.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.taxonomy.enrichment_checks import Taken, Verdict, judged
from taxomind_assets.taxonomy.enrichment_prompt import (
    Enriched,
    Subject,
    nearest_labels,
    prompt_version,
    question,
    subject,
    without_references,
)
from taxomind_assets.taxonomy.enrichment_store import QUESTION, EnrichmentStore, RunRecord, Stored, Task
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.texts import clean, normalise
from taxomind_resources.faults import Fault
from taxomind_resources.llm import Answer, LlmClient, Spending, load_llm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taxomind_resources.settings import EnrichmentSettings, Settings

    Embed = Callable[[Sequence[str]], NDArray[np.float32]]
    Progress = Callable[[int, int, Spending], object]

#: Questions between two writes; a kill loses no answer, since the client keeps each of them at once.
_CHUNK: Final = 64
_ENOUGH_EXAMPLES: Final = 2
_RULES: Final = "rules"
#: (code, language, fault)
Failed = tuple[str, str, Fault]
_KINDS: Final = ("definition", "example", "positive", "negative")


@dataclass(frozen=True)
class Plan:
    """What a run would ask.

    Attributes:
        subjects: questions that are open, in the order in which they are asked.
        known: questions that were answered in former runs.
        left_out: open questions beyond the limit that was given.
        estimate: cost of the open questions, an upper guess; those that the client's cache answers cost nothing.
    """

    subjects: list[Subject]
    known: int
    left_out: int
    estimate: Spending


@dataclass(frozen=True)
class Report:
    """What a run has done.

    Attributes:
        estimate: what had been expected.
        spent: what it has cost.
        accepted: texts by kind.
        refused: texts by reason.
        failed: (code, language, fault) of questions without a usable answer.
        left: questions that were not asked.
        stopped: why; None when none is left.
        seconds: wall time.
    """

    estimate: Spending
    spent: Spending
    accepted: Mapping[str, int]
    refused: Mapping[str, int]
    failed: Sequence[Failed]
    left: int
    stopped: str | None
    seconds: float


class Enricher:
    """Asks about the nodes of one taxonomy.

    Args:
        tree: the taxonomy as the file gave it.
        store: what is known already; new answers go there.
        client: the language model.
        settings: group `enrichment`.
        model: name of the model, for the record.
        embed: makes unit vectors of labels, to find similar nodes; None = the model sees none.
    """

    def __init__(
        self,
        tree: Taxonomy,
        store: EnrichmentStore,
        client: LlmClient,
        settings: EnrichmentSettings,
        *,
        model: str,
        embed: Embed | None = None,
    ) -> None:
        self._tree = tree
        self._store = store
        self._client = client
        self._settings = settings
        self._model = model
        self._embed = embed

    def plan(self, limit: int | None = None) -> Plan:
        """The open questions and what they would cost; nothing is asked.

        Args:
            limit: ask no more than so many.

        Raises:
            Fault: `storage_failed`, or what the embedder raises.
        """
        known, open_ = 0, []
        for place, language in tasks(self._tree, self._settings):
            about = subject(self._tree, place, language)
            stored = self._store.found.get((about.code, language))
            if stored and stored.answers(about.content, self._model, prompt_version(self._settings)):
                known += 1
            else:
                open_.append((place, language))
        # Nodes of one part follow one another, so that few parts are written at a time.
        open_.sort(key=lambda task: self._store.bucket(self._tree.codes[task[0]]))
        chosen = open_ if limit is None else open_[:limit]
        similar = self._similar() if chosen else []
        subjects = [subject(self._tree, place, language, similar[place]) for place, language in chosen]
        return Plan(subjects, known, len(open_) - len(chosen), self._estimate(subjects))

    def run(self, plan: Plan, progress: Progress = lambda done, total, spent: None) -> Report:
        """Ask the questions of a plan; each answer is checked and kept before the next ones are asked.

        Stops early when the next questions could pass `enrichment.max_cost`, or when the endpoint answers none of them.

        Args:
            plan: what to ask.
            progress: told after each step: questions done, questions in all, cost so far.

        Raises:
            Fault: `storage_failed`; `invalid_setting` when a limit is set and the price is not known.
        """
        self._check_price(plan)
        started, run_at, before = time.monotonic(), datetime.now(UTC), self._client.spent
        taken = self._taken()
        found: dict[Task, Stored] = {}
        failed: list[Failed] = []
        stopped = "limit" if plan.left_out else None
        spent, done = Spending(cost=plan.estimate.cost and 0.0), 0
        while done < len(plan.subjects):
            chunk = plan.subjects[done : done + _CHUNK]
            if self._passes_limit(spent, chunk):
                stopped = "max_cost"
                break
            new, faults = self._asked(chunk, taken)
            self._store.keep(new)
            found.update(new)
            failed += faults
            done += len(chunk)
            spent = _since(before, self._client.spent)
            progress(done, len(plan.subjects), spent)
            if len(faults) == len(chunk) < len(plan.subjects) and all(fault.code == "llm_failed" for _, _, fault in faults):
                stopped = faults[-1][2].what
                break
        left = len(plan.subjects) - done + plan.left_out
        accepted, refused = _counts(found.values())
        seconds = time.monotonic() - started
        report = Report(plan.estimate, spent, accepted, refused, failed, left, stopped if left else None, seconds)
        self._store.record(self._record(report, run_at))
        return report

    def messages(self, about: Subject) -> list[dict[str, str]]:
        """One question word for word, as the endpoint gets it."""
        return question(about, self._settings).messages

    def _similar(self) -> list[list[int]]:
        labels = [clean(node.label) for node in self._tree.nodes]
        if self._embed is None or not self._settings.similar_labels:
            return [[] for _ in labels]
        return nearest_labels(self._embed(labels), self._tree.levels, self._settings.similar_labels)

    def _estimate(self, subjects: Sequence[Subject]) -> Spending:
        total = Spending(cost=None if self._client.spent.cost is None else 0.0)
        for start in range(0, len(subjects), _CHUNK):
            prompts = [question(about, self._settings) for about in subjects[start : start + _CHUNK]]
            total += self._client.estimate(prompts, Enriched)
        return total

    def _check_price(self, plan: Plan) -> None:
        if plan.subjects and plan.estimate.cost is None and self._settings.max_cost is not None:
            raise Fault(
                "invalid_setting",
                "The price of the model is not known, so that a limit of the cost cannot be kept.",
                value=f"enrichment.max_cost = {self._settings.max_cost:g}",
                allowed="llm.input_price and llm.output_price, or enrichment.max_cost without a value",
                next_step="Set the prices of the model; 0 when it costs nothing.",
            )

    def _passes_limit(self, spent: Spending, chunk: Sequence[Subject]) -> bool:
        limit = self._settings.max_cost
        if limit is None:
            return False
        return (spent.cost or 0.0) + (self._estimate(chunk).cost or 0.0) > limit

    def _taken(self) -> Taken:
        taken = Taken.of(self._tree)
        for (code, _), stored in self._store.found.items():
            taken.add(code, (row["text"] for row in stored.rows if _is_kept(row) and row["kind"] in {"example", "positive"}))
        return taken

    def _asked(self, chunk: Sequence[Subject], taken: Taken) -> tuple[dict[Task, Stored], list[Failed]]:
        prompts = [question(about, self._settings) for about in chunk]
        answers = self._client.ask_many(prompts, Enriched)
        new: dict[Task, Stored] = {}
        failed: list[Failed] = []
        for about, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, Fault):
                failed.append((about.code, about.language, answer))
                if self._is_better_kept(about):
                    continue
            new[about.code, about.language] = self._rows(about, answer, taken)
        return new, failed

    def _is_better_kept(self, about: Subject) -> bool:
        """Whether a former answer still holds for the node, so that a question that failed must not take its place."""
        stored = self._store.found.get((about.code, about.language))
        return stored is not None and stored.question["status"] == "answered" and stored.question["content"] == about.content

    def _rows(self, about: Subject, answer: Answer[Enriched] | Fault, taken: Taken) -> Stored:
        common = {
            "code": about.code,
            "language": about.language,
            "prompt_version": prompt_version(self._settings),
            "content": about.content,
            "created_at": datetime.now(UTC),
        }
        if isinstance(answer, Fault):
            return Stored((_question_row(common, self._model, "failed", answer.what), *_cleaned(common, about)))
        asked = _question_row(common, self._model, "answered", None) | {
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "cost": self._client.cost_of(answer),
        }
        verdicts = judged(answer.value, about, self._settings, taken)
        return Stored((asked, *(_text_row(common, self._model, verdict) for verdict in verdicts)))

    def _record(self, report: Report, run_at: datetime) -> RunRecord:
        values = {
            "run_at": run_at,
            "model": self._model,
            "prompt_version": prompt_version(self._settings),
            "accepted": sum(report.accepted.values()),
            "refused": sum(report.refused.values()),
            "left": report.left,
            "stopped": report.stopped,
            "estimated_cost": report.estimate.cost,
            "seconds": report.seconds,
        }
        return RunRecord(report.spent, values)


def enricher(tree: Taxonomy, store: EnrichmentStore, settings: Settings, embed: Embed | None = None) -> Enricher:
    """The enricher of these settings; its client is shared by the process.

    Args:
        tree: the taxonomy as the file gave it.
        store: what is known already.
        settings: those of the taxonomy.
        embed: makes unit vectors of labels.

    Raises:
        Fault: `invalid_setting` without a key, or for an address that may not be asked.
    """
    own = settings.enrichment
    changed = {} if own.concurrency is None else {"concurrency": own.concurrency}
    client = load_llm(settings.llm.model_copy(update=changed), settings.data)
    return Enricher(tree, store, client, own, model=settings.llm.model, embed=embed)


def tasks(tree: Taxonomy, settings: EnrichmentSettings) -> Iterator[tuple[int, str]]:
    """(position of a node, language) of everything that may be asked, nodes in preorder."""
    for place, node in enumerate(tree.nodes):
        if settings.nodes == "poor" and not _is_poor(node):
            continue
        for language in settings.languages or [text.language for text in node.texts]:
            yield place, language


def with_enrichment(tree: Taxonomy, found: Mapping[Task, Stored]) -> Taxonomy:
    """The taxonomy with the accepted texts beside its own; those written for what a node no longer says are left out."""
    added: dict[str, list[NodeText]] = {}
    for (code, language), stored in found.items():
        place = tree.position.get(code)
        if place is not None and subject(tree, place, language).content == stored.question["content"]:
            text = _added(language, stored)
            if text is not None:
                added.setdefault(code, []).append(text)
    if not added:
        return tree
    nodes = (dataclasses.replace(node, added=tuple(added.get(node.code, ()))) for node in tree.nodes)
    return dataclasses.replace(tree, nodes=tuple(nodes))


def _added(language: str, stored: Stored) -> NodeText | None:
    kept: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for row in stored.rows:
        if _is_kept(row):
            kept[row["kind"]].append(row["text"])
    if not any(kept.values()):
        return None
    return NodeText(
        language,
        "",
        " ".join(kept["definition"]),
        (*kept["example"], *kept["positive"]),
        negative_examples=tuple(kept["negative"]),
    )


def _is_kept(row: Mapping[str, Any]) -> bool:
    return row["kind"] != QUESTION and row["status"] in {"accepted", "cleaned"}


def _is_poor(node: Node) -> bool:
    own = node.texts
    return not any(text.definition for text in own) or sum(len(text.examples) for text in own) < _ENOUGH_EXAMPLES


def _cleaned(common: Mapping[str, Any], about: Subject) -> Iterator[dict[str, Any]]:
    """A definition without cross references, for a node about which nothing could be asked."""
    own = about.text
    cleaned = without_references(own.definition)
    if own.language == about.language and cleaned and normalise(cleaned) != normalise(own.definition):
        yield {
            **common,
            **_NOTHING,
            "kind": "definition",
            "text": cleaned,
            "status": "cleaned",
            "reason": None,
            "model": _RULES,
        }


_NOTHING: Final[Mapping[str, None]] = {"input_tokens": None, "output_tokens": None, "cost": None}


def _question_row(common: Mapping[str, Any], model: str, status: str, reason: str | None) -> dict[str, Any]:
    return {**common, **_NOTHING, "kind": QUESTION, "text": "", "status": status, "reason": reason, "model": model}


def _text_row(common: Mapping[str, Any], model: str, verdict: Verdict) -> dict[str, Any]:
    status = "accepted" if verdict.reason is None else "refused"
    own = {"kind": verdict.kind, "text": verdict.text, "status": status, "reason": verdict.reason, "model": model}
    return {**common, **_NOTHING, **own}


def _since(before: Spending, now: Spending) -> Spending:
    cost = None if before.cost is None or now.cost is None else now.cost - before.cost
    return Spending(
        now.questions - before.questions,
        now.cached - before.cached,
        now.failed - before.failed,
        now.input_tokens - before.input_tokens,
        now.output_tokens - before.output_tokens,
        cost,
    )


def _counts(found: Iterable[Stored]) -> tuple[dict[str, int], dict[str, int]]:
    """(accepted texts by kind, refused ones by reason)."""
    texts = [row for stored in found for row in stored.rows if row["kind"] != QUESTION]
    accepted = Counter(row["kind"] for row in texts if row["status"] == "accepted")
    refused = Counter(row["reason"] for row in texts if row["status"] == "refused")
    return dict(accepted), dict(refused)
