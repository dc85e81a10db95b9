"""Quality over the number of corrections, on texts that were never seen and on leaves that nobody corrected.

Two experiments for each set and each k. In the first all leaves get at most k corrections (nested, by hash). In the second only
every other leaf gets them, and the texts of the others say what corrections do to nodes without any. A third takes texts as
they come: a sample of all texts, in which frequent leaves have many and many leaves have none. All serve as the product does:
once there are enough corrections, weights and voters are fitted to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.reports.learned import paired_difference
from taxomind_assets.views.texts import clean
from tests.bench.material import find_sets
from tests.bench.measures import hierarchical_f1, is_known
from tests.bench.product import classifier_of
from tests.bench.splits import few_shot, sample
from tests.bench.task import Task
from tests.benchmarks.material import measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.settings import Settings
    from tests.bench.material import Text

#: Corrections for each leaf; None = the whole pool of the split `few`.
SHOTS: Final = (0, 1, 2, 3, 5, 10, None)
SETS: Final = ("isco08.en", "naics-2012.en", "clinc150.en", "instacart-aisles.en", "us-soc-2018-onet.en")
#: Corrections of a sample of all texts.
SAMPLES: Final = (100, 300, 1_000, 3_000)
SHOT_HEAD: Final = ("set", "k", "corrections", "accuracy", "change", "hF1", "untouched leaves", "change", "s")
SAMPLE_HEAD: Final = ("set", "corrections", "leaves", "accuracy", "change", "their texts", "change", "change of the others")
SAMPLE_NOTE: Final = (
    "Texts as they come: a sample of all texts of the pool, the share of leaves that got any, the share of test texts that "
    "belong to these leaves, and what changes for these and for the others."
)
#: Texts whose change says something.
_FEWEST: Final = 20
#: Corrections learned one by one to say what one costs.
_TIMED: Final = 5
Record = dict[str, Any]


@dataclass(frozen=True)
class Exam:
    """Texts, their known nodes and vectors float32[b, d]."""

    texts: list[str]
    gold: list[list[int]]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, task: Task, tests: Sequence[Text]) -> Exam:
        """The exam of some texts of a set."""
        texts = [clean(text.text) for text in tests]
        return cls(texts, task.gold(tests), task.index.placed(task.vectors(texts)))

    def leaves(self, classifier: Classifier) -> NDArray[np.int32]:
        """The best leaf of each text, int32[b]."""
        return classifier.answers(self.texts, self.vectors).leaves[:, 0]


def records(data: Path, name: str, embedder: Embedder, settings: Settings, *, work: Path, texts: int) -> Iterator[Record]:
    """One record for each k, and for each size of a sample that is not all texts of the set."""
    found = {bench_set.name: bench_set for bench_set in find_sets(data)}
    task = Task(found[name], embedder, settings, work, texts)
    yield from _of_set(task)
    yield from _of_samples(task)


def _of_set(task: Task) -> Iterator[Record]:
    tests, pool = task.tests("all"), task.pool("all")
    leaves = sorted(code for code, leaf in zip(task.tree.codes, task.tree.is_leaf, strict=True) if leaf)
    taught = set(leaves[::2])
    exam = Exam.of(task, tests)
    apart = Exam.of(task, [text for text in tests if not taught & set(text.codes)])
    # A text that belongs to both halves would correct a node of the other half as well.
    half = [text for text in pool if taught.issuperset(text.codes)]
    plain = classifier_of(task, [])
    before, before_apart = (is_known(one.gold, one.leaves(plain)) for one in (exam, apart))
    for shots in SHOTS:
        own, own_half = (some if shots is None else few_shot(some, shots) for some in (pool, half))
        classifier = classifier_of(task, own)
        leaf = exam.leaves(classifier)
        right, right_apart = is_known(exam.gold, leaf), is_known(apart.gold, apart.leaves(classifier_of(task, own_half)))
        yield {
            "set": task.name,
            "k": "all" if shots is None else shots,
            "corrections": len(own),
            "texts": len(exam.texts),
            "accuracy": float(right.mean()),
            "hierarchical_f1": hierarchical_f1(task.tree, exam.gold, leaf),
            "gain": paired_difference(before, right),
            "untouched_texts": len(apart.texts),
            "untouched": float(right_apart.mean()),
            "untouched_gain": paired_difference(before_apart, right_apart),
            "seconds": _seconds(classifier, own or pool),
        }


def _of_samples(task: Task) -> Iterator[Record]:
    pool, exam = task.pool("all"), Exam.of(task, task.tests("all"))
    before = is_known(exam.gold, exam.leaves(classifier_of(task, [])))
    for size in [size for size in SAMPLES if size < len(pool)]:
        own = sample(pool, size)
        right = is_known(exam.gold, exam.leaves(classifier_of(task, own)))
        codes = {code for text in own for code in text.codes}
        known = {task.tree.position[code] for code in codes}
        told = np.array([not known.isdisjoint(nodes) for nodes in exam.gold], np.bool_)
        yield {
            "set": task.name,
            "sample": size,
            "texts": len(exam.texts),
            "leaves": len(known) / int(task.tree.is_leaf.sum()),
            "accuracy": float(right.mean()),
            "gain": paired_difference(before, right),
            "told": float(told.mean()),
            "told_gain": paired_difference(before[told], right[told]),
            "untold_gain": paired_difference(before[~told], right[~told]),
        }


def _seconds(classifier: Classifier, some: Sequence[Text]) -> float:
    """Processor time of one more correction, its embedding and the first answer after it, median."""
    costs = []
    for number, text in enumerate(some[:_TIMED]):
        said = f"{clean(text.text)}, case {number}"

        def teach(said: str = said, code: str = text.codes[0]) -> None:
            classifier.learn([said], [code]).classify(f"another {said}")

        costs.append(measured(teach).cpu)
    return median(costs)


def tables(found: Sequence[Record]) -> list[str]:
    """The records as lines of Markdown tables; changes are against no corrections on the same texts, with 95 % intervals."""
    by_shots, by_sample = [row for row in found if "k" in row], [row for row in found if "sample" in row]
    lines = _table(SHOT_HEAD, map(_shot_cells, by_shots)) if by_shots else []
    if by_sample:
        lines += ["", SAMPLE_NOTE, ""] if lines else []
        lines += _table(SAMPLE_HEAD, map(_sample_cells, by_sample))
    return lines


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|---{'|--:' * (len(head) - 1)}|", *(f"| {' | '.join(cells)} |" for cells in rows)]


def _shot_cells(row: Record) -> list[str]:
    changes = [_change(row[name]) if row["k"] else "" for name in ("gain", "untouched_gain")]
    shares = [f"{100 * row[name]:.1f}" for name in ("accuracy", "hierarchical_f1", "untouched")]
    cells = [row["set"], str(row["k"]), f"{row['corrections']:,}", shares[0], changes[0], shares[1], shares[2], changes[1]]
    return [*cells, f"{row['seconds']:.3f}"]


def _sample_cells(row: Record) -> list[str]:
    cells = [row["set"], f"{row['sample']:,}", f"{row['leaves']:.0%}", f"{100 * row['accuracy']:.1f}", _change(row["gain"])]
    others = round((1 - row["told"]) * row["texts"])
    return [*cells, f"{row['told']:.0%}", _change(row["told_gain"]), _change(row["untold_gain"]) if others >= _FEWEST else ""]


def _change(gain: Sequence[float]) -> str:
    change, low, high = (100 * value for value in gain)
    return f"{change:+.1f} [{low:+.1f}, {high:+.1f}]"
