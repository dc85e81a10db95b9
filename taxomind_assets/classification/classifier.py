"""The one object that classifies: the asset, the command line, a service and the benchmarks all call it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.classification.answers import Answers, answers_table
from taxomind_assets.classification.calibration import Calibration, Masses, masses
from taxomind_assets.classification.crosslingual import check_student
from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.evidence_rows import EvidenceRows
from taxomind_assets.classification.evidence_view import EvidenceView
from taxomind_assets.classification.exact_evidence import answer_by_evidence
from taxomind_assets.classification.gate import decide_by_gate
from taxomind_assets.classification.given_texts import check_codes, check_vectors, checked_texts
from taxomind_assets.classification.routing import Route, route
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.classification.stopping import force_leaf, stop_by_mass
from taxomind_assets.classification.voters import Voters
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.models.voting import ModelVotes, Vote
from taxomind_assets.views.adaptation import adapted_embedder
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.arrow_arrays import repeated_text
from taxomind_resources.crosslingual.lazy import open_student
from taxomind_resources.embedding.runtimes import available_cores
from taxomind_resources.index_store import IndexStore
from taxomind_resources.products import BATCH
from taxomind_resources.settings import Settings, load_settings

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from taxomind_assets.classification.fitting import Fitted
    from taxomind_assets.classification.given_texts import Texts
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.embedding import Embedder

#: Floats that one block of scores may hold; a block then stays in the processor's cache and memory stays flat.
_BLOCK_FLOATS: Final = 1 << 21
_LARGEST_BLOCK: Final = 512
#: Characters of one block; counting the n-grams of long texts takes about 200 bytes for each.
_BLOCK_CHARACTERS: Final = 1 << 18


class Classifier:
    """Classifies texts against one node index. Immutable; safe to share between threads.

    Args:
        index: the node index.
        embedder: the model that the index was made with; its vectors are brought into the space of the index here, so that all
            vectors that the methods take are made by this object's own `embedder`.
        settings: settings of this taxonomy.
        calibration: numbers that make probabilities; the index's own when None.
        scorer: a scorer of this index that exists already.
    """

    def __init__(
        self,
        index: NodeIndex,
        embedder: Embedder,
        settings: Settings,
        calibration: Calibration | None = None,
        *,
        scorer: Scorer | None = None,
    ) -> None:
        self.index = index
        self.embedder = adapted_embedder(embedder, index.adaptation)
        self.settings = settings
        self.calibration = calibration or index.calibration
        self.student = open_student(settings.scoring.crosslingual, embedder.spec)
        self.scorer = scorer or Scorer(index, settings.scoring.negative_weight, student=self.student)

    @classmethod
    def load(
        cls,
        key: str,
        settings: Settings | None = None,
        *,
        data: Path | None = None,
        version: str | None = None,
        model: bool = True,
    ) -> Classifier:
        """The classifier of a taxonomy's current index, or of an older `version` that still exists.

        A model that was promoted votes with it, unless `model` is off.

        Raises:
            Fault: `index_missing`, `index_stale`, `model_unavailable`, `invalid_key`, and as `open_student`.
        """
        from taxomind_assets.classification.fitted_store import stored_fitted
        from taxomind_assets.learning.stored import stored_evidence
        from taxomind_resources.embedding import EmbeddingSpec, load_embedder
        from taxomind_resources.outputs import Outputs

        shared = settings or load_settings(data)
        own = shared.for_taxonomy(key)
        index = NodeIndex.load(IndexStore(shared.data).folder(key, version))
        embedder = load_embedder(own.embedding, shared.data, recorded=EmbeddingSpec.from_json(json.dumps(index.spec)))
        outputs = Outputs(shared.data)
        classifier = cls(index, embedder, own).with_fitted(stored_fitted(outputs, key, index.version))
        check_student(classifier)
        evidence = stored_evidence(outputs, key, index)
        classifier = classifier.with_evidence(replace(evidence, vectors=index.placed(evidence.vectors)))
        if not (model and own.models.vote):
            return classifier
        from taxomind_assets.models.joining import stored_vote

        return classifier.with_model(stored_vote(key, shared, index))

    def with_calibration(self, calibration: Calibration) -> Classifier:
        """The same classifier with other numbers."""
        return Classifier(self.index, self.embedder, self.settings, calibration, scorer=self.scorer)

    def with_evidence(self, evidence: Evidence) -> Classifier:
        """The same classifier with this evidence in place of any other.

        Codes that the taxonomy does not have are left out; with the setting `scoring.use_updated_evidence` off, everything is.
        """
        view = None
        if self.settings.scoring.use_updated_evidence:
            rows = EvidenceRows.of(evidence, self.tree.position)
            view = EvidenceView(self.scorer.base, rows) if len(rows) else None
        return self.with_scorer(self.scorer.with_evidence(view))

    def with_fitted(self, fitted: Fitted | None) -> Classifier:
        """The same classifier with fitted weights, voters and calibration in place of any others; None = without.

        A model does not vote in it: its weight was fitted beside other numbers (`with_model`).
        """
        scorer, own = self.scorer, []
        if fitted is not None and fitted.voters is not None:
            own.append(fitted.voters)
        others = [view for view in scorer.added if not isinstance(view, Voters | ModelVotes)]
        scorer = scorer.with_views([*others, *own]).with_weights(fitted.weights if fitted else None)
        calibration = fitted.calibration if fitted else self.index.calibration
        return Classifier(self.index, self.embedder, self.settings, calibration, scorer=scorer)

    def with_model(self, vote: Vote | None) -> Classifier:
        """The same classifier with a model voting in it, under the calibration that belongs to both; None = as it is."""
        if vote is None:
            return self
        others = [view for view in self.scorer.added if not isinstance(view, ModelVotes)]
        scorer = self.scorer.with_views([*others, vote.view])
        return Classifier(self.index, self.embedder, self.settings, vote.calibration, scorer=scorer)

    @property
    def model(self) -> Vote | None:
        """The model that votes, if there is one."""
        view = next((view for view in self.scorer.added if isinstance(view, ModelVotes)), None)
        return Vote(view, self.calibration) if view else None

    def learn(self, texts: Sequence[str], codes: Sequence[str]) -> Classifier:
        """The same classifier with further evidence, at once: what exists already is shared, not made anew.

        What is learned so is in this object alone; corrections last when they are written to the inbox.

        Args:
            texts: k corrected texts.
            codes: the code of each, of a leaf or an internal node.

        Raises:
            Fault: `invalid_input` when a text is empty, a code is not in the taxonomy, or one has no counterpart.
        """
        cleaned = checked_texts(list(texts))
        check_codes(cleaned, codes, self.tree)
        if not cleaned or not self.settings.scoring.use_updated_evidence:
            return self
        vectors = self.embedder.embed(cleaned, "query")
        known = self.scorer.evidence
        if known is None:
            return self.with_evidence(Evidence.of(cleaned, codes, vectors))
        return self.with_scorer(self.scorer.with_evidence(known.with_more(cleaned, codes, vectors)))

    def with_scorer(self, scorer: Scorer) -> Classifier:
        """The same classifier with another scorer of its index."""
        return Classifier(self.index, self.embedder, self.settings, self.calibration, scorer=scorer)

    @property
    def tree(self) -> Taxonomy:
        """The taxonomy."""
        return self.index.tree

    @cached_property
    def versions(self) -> dict[str, str]:
        """What an answer depends on, as written beside each result."""
        return {
            "taxonomy_version": self.index.tree.version,
            "index_version": self.index.version,
            "evidence_version": self.scorer.evidence.version if self.scorer.evidence else "",
            "calibration_version": self._calibration_version,
            "settings_version": self.settings.deciding_version(),
        }

    @property
    def _calibration_version(self) -> str:
        """12 hex digits over all fitted numbers: of the calibration alone when nothing else is fitted."""
        fitted = self.scorer.fitted
        voters = [view.version for view in self.scorer.added if isinstance(view, Voters | ModelVotes)]
        if fitted is None and not voters:
            return self.calibration.version
        parts = [self.calibration.version, fitted.version if fitted else "", *voters]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]

    def classify(self, texts: Texts, *, vectors: NDArray[np.float32] | None = None) -> pa.Table:
        """Answers for b texts, in their order; identical texts are scored once.

        Args:
            texts: one text, a list of b texts, or a pandas or Arrow table with a column `text`; an empty text gets no answer
                and an error of its own.
            vectors: float32[b, d] unit rows made by `embedder`, when they are known already.

        Returns:
            A table with the columns of `classification.results` from `text` to `error`, and the versions.

        Raises:
            Fault: `invalid_input` or `missing_column` when there are no texts in `texts`, or `vectors` has another shape.
        """
        cleaned = checked_texts(texts)
        check_vectors(vectors, (len(cleaned), self.index.vectors.shape[1]))
        return self.table(cleaned, self.answers(cleaned, vectors))

    def table(self, texts: Sequence[str], answers: Answers) -> pa.Table:
        """Answers to clean texts as `classify` returns them."""
        table = answers_table(self.index.tree, texts, answers)
        for name, value in self.versions.items():
            table = table.append_column(name, [repeated_text(value, table.num_rows)])
        return table

    def answers(self, texts: Sequence[str], vectors: NDArray[np.float32] | None = None) -> Answers:
        """Like `classify`, as arrays. `texts` are clean (`views.texts.clean`)."""
        first: dict[str, int] = {}
        place = np.fromiter((first.setdefault(text, len(first)) for text in texts), np.int64, len(texts))
        unique = list(first)
        trusted = self._trusted(unique)
        if vectors is None:
            known = self._embedded(unique, trusted)
        else:
            known = np.empty((len(unique), vectors.shape[1]), np.float32)
            known[place] = vectors
        empty = np.fromiter((not text for text in unique), np.bool_, len(unique))
        # Texts of one kind together: a block that has both needs the views of both.
        order = np.argsort(trusted, kind="stable")
        answers = self._answer_unique([unique[i] for i in order.tolist()], known[order], trusted[order])
        answers = answers.take(np.argsort(order)).without(empty)
        if self.settings.judge.enabled or self.settings.reranker.model:
            from taxomind_assets.classification.second_opinion import reconsider

            answers = reconsider(self, unique, answers, known)
        if self.scorer.evidence:
            answers = answer_by_evidence(self.tree, self.scorer.evidence.rows, unique, answers)
        return answers.take(place)

    def _trusted(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """How far the encoder is trusted with each text, float32[b]; by blocks, because the counts of n-grams are large."""
        return np.concatenate([self.scorer.trust.of(texts[block]) for block in _blocks(texts, _LARGEST_BLOCK)])

    def _embedded(self, texts: Sequence[str], trusted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of texts, float32[b, d]; zero rows for those whose vector weighs nothing: embedding is most of the work."""
        if self.settings.routing.stop_rule == "rules" or self.scorer.reads_untrusted_vectors:
            return self.embedder.embed(list(texts), "query")
        rows = np.flatnonzero(trusted > 0)
        vectors = np.zeros((len(texts), self.index.vectors.shape[1]), np.float32)
        if rows.size:
            vectors[rows] = self.embedder.embed([texts[row] for row in rows.tolist()], "query")
        return vectors

    def probabilities(self, texts: Sequence[str], *, vectors: NDArray[np.float32] | None = None) -> Masses:
        """Probabilities of all n nodes, from which answers are made; `matrix()` gives them as float32[b, n].

        Args:
            texts: b texts, at most about `block_size`: all of them are scored at once.
            vectors: float32[b, d] unit rows made by `embedder`, when they are known already.

        Raises:
            Fault: as `classify`.
        """
        cleaned = checked_texts(texts)
        check_vectors(vectors, (len(cleaned), self.index.vectors.shape[1]))
        query = self.scorer.query(self.embedder.embed(cleaned, "query") if vectors is None else vectors, cleaned)
        return self.masses(self.scorer.logits(query), query.trusted)

    def _answer_unique(self, texts: list[str], vectors: NDArray[np.float32], trusted: NDArray[np.float32]) -> Answers:
        blocks = list(_blocks(texts, self.block_size))
        in_turn = len(blocks) == 1 or available_cores() == 1 or not self.scorer.single_threaded
        every = map if in_turn else _threads(os.getpid()).map
        found = every(lambda block: self._answer_block(texts[block], vectors[block], trusted[block]), blocks)
        return Answers.concatenate(list(found))

    @property
    def block_size(self) -> int:
        """Texts scored together."""
        evidence = 2 * len(self.scorer.evidence.rows) if self.scorer.evidence else 0
        widest = max(self.index.vectors.shape[0], 2 * len(self.index.tree), evidence, 1)
        return int(np.clip(_BLOCK_FLOATS // widest // BATCH, 1, _LARGEST_BLOCK // BATCH)) * BATCH

    def _answer_block(self, texts: Sequence[str], vectors: NDArray[np.float32], trusted: NDArray[np.float32]) -> Answers:
        routing = self.settings.routing
        query = self.scorer.query(vectors, texts, trusted)
        mass = self.masses(self.scorer.logits(query), query.trusted)
        found = route(self.index.tree, mass, routing.top_codes)
        decisions = self._decide(texts, vectors, mass, found)
        path, confidences = self._answer_path(decisions, mass, found)
        return Answers(
            decisions.nodes,
            decisions.reasons,
            decisions.ambiguous,
            path,
            confidences,
            decisions.alternatives,
            mass.beside(decisions.nodes, decisions.alternatives),
            found.leaves,
            found.leaf_probabilities[:, 0],
            _objects(decisions.details, len(texts)),
        )

    def masses(self, logits: NDArray[np.float32], trusted: NDArray[np.float32]) -> Masses:
        """Probabilities of nodes under the settings; `logits` float32[n, b] are overwritten, `trusted` is float32[b]."""
        routing = self.settings.routing
        abstain = routing.abstain and routing.stop_rule != "never"
        return masses(self.index.tree, logits, self.calibration, trusted, abstain=abstain)

    def _decide(self, texts: Sequence[str], vectors: NDArray[np.float32], mass: Masses, found: Route) -> Decisions:
        routing, tree = self.settings.routing, self.index.tree
        threshold = self.calibration.threshold_for(routing.accuracy_target)
        if routing.stop_rule == "never":
            return force_leaf(tree, mass, found, threshold, alternatives=routing.alternatives)
        if routing.stop_rule == "rules":
            from taxomind_assets.classification.retrieval import decide_by_rules

            return decide_by_rules(self.scorer, texts, vectors, mass, self.settings)
        if routing.stop_rule == "gate":
            return decide_by_gate(
                tree,
                mass,
                found,
                texts,
                calibration=self.calibration,
                threshold=threshold,
                max_depth=routing.max_depth,
                alternatives=routing.alternatives,
            )
        return stop_by_mass(tree, mass, found, threshold, max_depth=routing.max_depth, alternatives=routing.alternatives)

    def _answer_path(self, decisions: Decisions, mass: Masses, found: Route) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The path that the answer lies on: that of the best leaf, unless the older rules went elsewhere."""
        if self.settings.routing.stop_rule != "rules":
            return found.path, found.confidences
        path = self.index.tree.paths[np.maximum(decisions.nodes, 0)]
        return path, np.minimum.accumulate(mass.of(path), axis=1)

    def explain(self, text: str) -> dict[str, Any]:
        """Why a text gets its answer: see `explain.explain`."""
        from taxomind_assets.classification.explain import explain

        return explain(self, text)


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads that score blocks; they are kept, because the products that each has prepared are. None survives a fork."""
    return ThreadPoolExecutor(available_cores(), thread_name_prefix=f"scoring-{process}")


def _blocks(texts: Sequence[str], size: int) -> Iterator[slice]:
    """Consecutive texts, at most `size` and about `_BLOCK_CHARACTERS` characters of them; one empty block of no texts."""
    start, characters = 0, 0
    for place, text in enumerate(texts):
        if place > start and (place - start == size or characters + len(text) > _BLOCK_CHARACTERS):
            yield slice(start, place)
            start, characters = place, 0
        characters += len(text)
    yield slice(start, len(texts))


def _objects(values: Sequence[object] | None, size: int) -> NDArray[np.object_]:
    """object[size] of the values, or of None."""
    array = np.full(size, None, object)
    if values:
        array[:] = list(values)
    return array
