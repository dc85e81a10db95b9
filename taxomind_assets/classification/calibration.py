"""From logits to probabilities: of each leaf and internal node, of each subtree, and of belonging nowhere.

Softmax over the leaves, and over internal nodes at a penalty, divided by a temperature (Guo et al., 2017, "On calibration of
modern neural networks"). The probability of a node is the sum over its subtree, so confidences never rise with depth.

Texts that belong nowhere are told by their energy, the log of the summed exponentials (Liu et al., 2020, "Energy-based
out-of-distribution detection"): softmax alone hides how well the best node fits at all. The energies of fixed noise texts,
measured when the index is built, say what "nowhere" looks like for this taxonomy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Probability under which a node is more likely wrong than right.
_LIKELY: Final = 0.5
#: Log odds beyond which float32 knows no difference and their exponential would overflow.
_LARGEST_ODDS: Final = 80.0
_SMALLEST_CHANCE: Final = np.float32(1e-6)


@dataclass(frozen=True)
class Calibration:
    """Numbers that turn logits into probabilities.

    Attributes:
        temperature: divides the logits of texts, without and with the encoder trusted.
        internal_penalty: subtracted from the logits of internal nodes, which are rarely the whole truth.
        nowhere_energy: energies at which a text belongs here or nowhere with equal probability, without and with the encoder
            trusted; None = no test.
        nowhere_width: energy over which that probability changes by a factor e in its odds.
        threshold: probability that a node must reach to be returned; None = a default by
            the accuracy target, unproven.
        accuracy_target: target for which labels have shown the threshold to be enough.
        proven: True when the numbers were fitted on labels of this taxonomy, False for the shipped ones.
        thresholds: (target, threshold) of further targets that the same labels have shown to be kept.
        gate: intercept and weights of the stop rule `gate` (see `gate.FEATURES`); None = too few labels for one.
        curve: numbers of the curve that makes labelled texts' probabilities true, see `curved`; None = they stay as they are.
        student: version of the cross-lingual student in place when the numbers were fitted, '' = none.
    """

    temperature: tuple[float, float] = (1.0, 1.0)
    internal_penalty: float = 3.0
    nowhere_energy: tuple[float, float] | None = None
    nowhere_width: float = 0.5
    threshold: float | None = None
    accuracy_target: float | None = None
    proven: bool = False
    gate: tuple[float, ...] | None = None
    curve: tuple[float, ...] | None = None
    student: str = ""
    thresholds: tuple[tuple[float, float], ...] = ()

    @property
    def version(self) -> str:
        """12 hex digits over the numbers."""
        text = json.dumps({name: repr(value) for name, value in asdict(self).items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_json`."""
        return cls(**{name: _tuples(value) for name, value in values.items()})

    def to_text(self) -> str:
        """The numbers as one line of JSON."""
        return json.dumps(self.to_json(), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Calibration:
        """The inverse of `to_text`."""
        return cls.from_json(json.loads(text))

    def threshold_for(self, accuracy_target: float) -> float:
        """Probability a node must reach: the proven one for this target, else a default.

        Of answers whose probabilities spread evenly between a threshold t and 1, the share (1 + t) / 2 is right; the default is
        the t that makes this the target. It kept the target 0.80 on five of six public taxonomies (0.86 to 0.91 were right) and
        missed it on one (0.72), so it is called unproven wherever it is shown.
        """
        shown = self._shown.get(accuracy_target)
        if shown is not None:
            wanted = shown
        else:  # Where labels have been asked and have not shown a lower one, the target itself is the careful choice.
            wanted = accuracy_target if self.proven or self.curve is not None else 2 * accuracy_target - 1
        # Where even the best leaves are right often enough, an answer must still be more likely right than wrong.
        return round(max(wanted, min(_LIKELY, accuracy_target)), 6)

    def proves(self, accuracy_target: float) -> bool:
        """Whether labels have shown that answers keep this target."""
        return (self.proven and self.accuracy_target == accuracy_target) or accuracy_target in dict(self.thresholds)

    @property
    def _shown(self) -> dict[float, float]:
        """Threshold by target."""
        own = {} if self.threshold is None or self.accuracy_target is None else {self.accuracy_target: self.threshold}
        return dict(self.thresholds) | own


@dataclass(frozen=True)
class Masses:
    """Probabilities of n nodes for b texts.

    Attributes:
        subtree: float32[n, b], sum of the nodes' own probabilities over each subtree, for a text that belongs here.
        belongs: float32[b], probability that the text belongs in this taxonomy at all.
        energy: float32[b].
        logits: float32[n, b], tempered; internal nodes already penalised.
        curve: as in `Calibration`; `of` and `matrix` give probabilities on it.
    """

    tree: Taxonomy
    subtree: NDArray[np.float32]
    belongs: NDArray[np.float32]
    energy: NDArray[np.float32]
    logits: NDArray[np.float32]
    curve: tuple[float, ...] | None = None

    def of(self, nodes: NDArray[np.int32], columns: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Subtree probability of `nodes` [b, ...] (row i belongs to text i, or to text `columns[i]`); 0 for `ROOT` padding."""
        texts = np.arange(nodes.shape[0]) if columns is None else columns
        shaped = texts.reshape((-1,) + (1,) * (nodes.ndim - 1))
        mass = curved(self.subtree[nodes, shaped] * self.belongs[shaped], self.curve, self.tree.depths[nodes])
        mass[nodes == ROOT] = 0
        return mass

    def confidences(self, nodes: NDArray[np.int32]) -> NDArray[np.float32]:
        """Probability of each of `nodes` int32[b], float32[b]: that of the least probable node on its path; 1 for `ROOT`."""
        path = self.tree.paths[nodes]
        along = np.where(path == ROOT, np.float32(1), self.of(path)).min(axis=1)
        return np.where(nodes == ROOT, np.float32(1), along)

    def beside(self, nodes: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.float32]:
        """Probabilities of `others` int32[b, a] next to answers `nodes` int32[b], float32[b, a]; 0 for `ROOT` padding.

        A curve maps each node for itself, so what it gives several nodes need not add up. Here nodes below an answer share its
        confidence, and those elsewhere share what it leaves, as their masses do.
        """
        texts = np.arange(nodes.size)[:, None]
        mass = self.subtree[others, texts] * self.belongs[:, None]
        own_mass = np.where(nodes == ROOT, 1, self.subtree[nodes, texts[:, 0]] * self.belongs)[:, None]
        own = self.confidences(nodes)[:, None]
        below = (nodes[:, None] == ROOT) | ((others >= nodes[:, None]) & (others < self.tree.ends[nodes][:, None]))
        held, left = np.maximum(own_mass, _SMALLEST_CHANCE), np.maximum(1 - own_mass, _SMALLEST_CHANCE)
        found = np.where(below, own * np.minimum(mass / held, 1), (1 - own) * np.minimum(mass / left, 1))
        return np.where(others == ROOT, 0, found).astype(np.float32)

    def matrix(self) -> NDArray[np.float32]:
        """Subtree probabilities of all nodes, float32[b, n]."""
        return np.ascontiguousarray(curved(self.subtree * self.belongs, self.curve, self.tree.depths[:, None]).T)


def masses(
    tree: Taxonomy,
    logits: NDArray[np.float32],
    calibration: Calibration,
    trusted: NDArray[np.float32],
    *,
    abstain: bool = True,
) -> Masses:
    """Probabilities of nodes.

    Args:
        logits: float32[n, b], overwritten.
        trusted: float32[b], how far the encoder is trusted with each text.
        abstain: False = every text belongs here.
    """
    belongs = np.ones(logits.shape[1], np.float32)
    inner = ~tree.is_leaf
    temperature = _between(calibration.temperature, trusted)
    logits /= temperature
    logits[inner] -= np.float32(calibration.internal_penalty)
    top = logits.max(axis=0)
    own = np.exp(logits - top)
    total = own.sum(axis=0)
    energy = temperature * (top + np.log(total))
    if abstain and calibration.nowhere_energy is not None:
        odds = (energy - _between(calibration.nowhere_energy, trusted)) / calibration.nowhere_width
        belongs = (1 / (1 + np.exp(-np.clip(odds, -_LARGEST_ODDS, _LARGEST_ODDS)))).astype(np.float32)
    own /= total
    return Masses(tree, np.minimum(tree.descendants @ own, 1), belongs, energy, logits, calibration.curve)


def curved(
    chances: NDArray[np.float32], curve: tuple[float, ...] | None, depths: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Probabilities on a curve that never falls: log odds = a log(p) - b log(1 - p) + c, any shape.

    "Beta calibration" (Kull et al., 2017). A temperature makes the best leaf as likely as it should be on average; where labels
    are noisy, or texts are either plain or hopeless, sure answers are less sure than that and unsure ones more.

    Args:
        chances: probabilities.
        curve: a, b, and c for each depth of the tree; None = no change.
        depths: depth of the node of each probability (1 = top), of a shape that fits.
    """
    if curve is None:
        return chances
    a, b = np.float32(curve[0]), np.float32(curve[1])
    offsets = np.array(curve[2:], np.float32)[np.clip(depths, 1, len(curve) - 2) - 1]
    kept = np.clip(chances, _SMALLEST_CHANCE, 1 - _SMALLEST_CHANCE)
    odds = a * np.log(kept) - b * np.log1p(-kept) + offsets
    return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def _between(pair: tuple[float, float], trusted: NDArray[np.float32]) -> NDArray[np.float32]:
    """From the first number (not trusted) to the second (trusted), float32[b]."""
    return (pair[0] + (pair[1] - pair[0]) * trusted).astype(np.float32)


@lru_cache(maxsize=1)
def noise_texts() -> tuple[str, ...]:
    """The fixed list of texts that belong in no taxonomy."""
    text = files("taxomind_assets.classification").joinpath("noise.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line.strip())
