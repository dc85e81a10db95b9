"""A cross-encoder decides ambiguous answers: it reads the text and a node's text together (Nogueira and Cho, 2019).

Scores of the candidates of one text become probabilities by softmax; a candidate is chosen only if it leads the next one by
`reranker.margin`. A cross-encoder compares, it cannot say that nothing fits, so texts that seem to belong nowhere stay.
"""

from __future__ import annotations

import re
import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.classification.open_answers import UNDECIDED, OpenAnswers
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.texts import whole_text
from taxomind_resources.embedding.hub import hub_folder
from taxomind_resources.faults import Fault
from taxomind_resources.settings import EmbeddingSettings, RerankerSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_resources.settings import Settings

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


class Reranker:
    """Runs a cross-encoder by sentence-transformers. The library and the weights are loaded at first use; thread-safe.

    Only safetensors weights are read, and no code of a model repository is run.

    Args:
        folder: the model in the layout of transformers or sentence-transformers.
        settings: group `reranker`.
    """

    name = "reranker"
    knows_nowhere = False

    def __init__(self, folder: Path, settings: RerankerSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: Settings) -> Reranker:
        """The reranker of these settings, shared by the process.

        Raises:
            Fault: `invalid_setting`, `model_unavailable`.
        """
        return _shared(settings.reranker, settings.data, settings.embedding.local_files_only)

    def choose(self, questions: OpenAnswers) -> NDArray[np.int64]:
        """int64[r]: column of `options`, or `UNDECIDED`.

        Where the options are not below the current answer (a leaf and other leaves), that answer is a candidate too.

        Raises:
            Fault: `invalid_setting`, `model_unavailable`.
        """
        candidates = np.column_stack([questions.options, _rivals(questions)])
        row, column = np.nonzero(candidates != ROOT)
        texts = {node: whole_text(questions.tree, node, "") for node in np.unique(candidates[row, column]).tolist()}
        pairs = [(questions.texts[r], texts[node]) for r, node in zip(row, candidates[row, column].tolist(), strict=True)]
        scores = np.full(candidates.shape, -np.inf)
        scores[row, column] = self.scores(pairs)
        return _winners(scores, self._settings.margin)

    def scores(self, pairs: list[tuple[str, str]]) -> NDArray[np.float64]:
        """float64[p], logit of each pair of a text and a node's text.

        Raises:
            Fault: `invalid_setting`, `model_unavailable`.
        """
        import torch

        with self._lock:  # the library's models are not thread-safe
            found = self._model.predict(
                pairs, batch_size=self._settings.batch_size, show_progress_bar=False, activation_fn=torch.nn.Identity()
            )
        return np.asarray(found, np.float64)

    @cached_property
    def _model(self) -> Any:
        import torch
        from sentence_transformers import CrossEncoder

        device = None if self._settings.device == "auto" else self._settings.device
        if device == "cuda" and not torch.cuda.is_available():
            raise _refused("torch sees no CUDA device.", "reranker.device = cuda", "'auto' or 'cpu'")
        try:
            model = CrossEncoder(
                str(self._folder),
                device=device,
                max_length=self._settings.max_tokens,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:  # model code of any kind runs here
            raise Fault(
                "model_unavailable",
                f"sentence-transformers cannot load the reranker: {type(error).__name__}: {error}",
                value=f"reranker.model = {self._settings.model}",
                allowed="a cross-encoder with safetensors weights and no code of its own",
            ) from error
        if model.num_labels != 1:
            what = "The model gives several figures for a pair; a reranker gives one score."
            raise _refused(what, f"{model.num_labels} figures", "a cross-encoder with one label")
        return model


@lru_cache(maxsize=4)
def _shared(settings: RerankerSettings, data: Path, local_files_only: bool) -> Reranker:
    return Reranker(_folder(settings, data, local_files_only=local_files_only), settings)


def _folder(settings: RerankerSettings, data: Path, *, local_files_only: bool) -> Path:
    name = settings.model or ""
    local = Path(name).expanduser()
    if name and local.is_dir():
        return local.absolute()
    if not _COMMIT.fullmatch(settings.revision or ""):
        raise _refused(
            f"{name!r} is no folder, and a reranker from the hub needs a pinned revision.",
            f"reranker.revision = {settings.revision}",
            "the 40 hexadecimal digits of a commit",
        )
    source = EmbeddingSettings.model_validate({"revision": settings.revision, "local_files_only": local_files_only})
    try:
        return hub_folder(name, source, data, None)[0]
    except Fault as fault:
        value = f"reranker.model = {name}"
        raise Fault(fault.code, fault.what, value=value, allowed=fault.allowed, next_step=fault.next_step) from fault


def _rivals(questions: OpenAnswers) -> NDArray[np.int32]:
    """int32[r]: the current answer where some option is not below it, else `ROOT`."""
    tree: Taxonomy = questions.tree
    current, options = questions.current[:, None], questions.options
    below = (current == ROOT) | ((options > current) & (options < tree.ends[np.maximum(current, 0)]))
    return np.where((below | (options == ROOT)).all(axis=1), ROOT, questions.current)


def _winners(scores: NDArray[np.float64], margin: float) -> NDArray[np.int64]:
    """int64[r]: column of the clear winner, `UNDECIDED` where there is none; the last column is the current answer.

    Args:
        scores: float64[r, a + 1], -inf = no candidate.
    """
    usable = (np.isfinite(scores) | (scores == -np.inf)).all(axis=1) & (np.isfinite(scores).sum(axis=1) >= 2)
    scores = np.where(usable[:, None], scores, 0.0)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    ordered = np.sort(shares, axis=1)
    best = shares.argmax(axis=1)
    clear = usable & (ordered[:, -1] - ordered[:, -2] >= margin) & (best < scores.shape[1] - 1)
    return np.where(clear, best, UNDECIDED)


def _refused(what: str, value: str, allowed: str) -> Fault:
    return Fault("invalid_setting", what, value=value, allowed=allowed)
