"""Classifiers that run in ONNX Runtime, in the place of those that were trained; torch is not imported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.models.batching import batches_of_like_length
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.models.contracts import PluginInfo

_ROWS: Final = 64


class OnnxClassifier:
    """A graph with the scores of a `contracts.Classifier`; it can only answer.

    Args:
        info: of the plug-in that was exported.
        path: the graph; a `tokenizer.json` lies beside one that takes tokens.
        classes: logits that it must give.
        threads: threads that it may use.

    Raises:
        Fault: `model_damaged` when the graph cannot be read or does not fit.
    """

    def __init__(self, info: PluginInfo, path: Path, classes: int, threads: int) -> None:
        import onnxruntime

        self.info = info
        self._classes = classes
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(threads, 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self._tokenizer = _tokenizer(path) if info.input == "text" else None
        except Exception as error:
            what = "The exported graph cannot be read."
            raise Fault("model_damaged", what, value=f"{path}: {str(error)[:150]}") from error
        self._takes = {given.name for given in self._session.get_inputs()}
        width = self._session.get_outputs()[0].shape[-1]
        if isinstance(width, int) and width != classes:
            raise Fault("model_damaged", "The exported graph has another number of classes.", value=width, allowed=str(classes))

    def scores(self, inputs: Any) -> NDArray[np.float32]:
        """See `contracts.Classifier`."""
        if self._tokenizer is not None:
            return self._of_texts(inputs)
        give = self._occurring if "columns" in self._takes else self._present if "present" in self._takes else self._dense
        found = [self._run(give(inputs[start : start + _ROWS])) for start in range(0, inputs.shape[0], _ROWS)]
        return np.concatenate(found) if found else np.zeros((0, self._classes), np.float32)

    @staticmethod
    def _occurring(rows: Any) -> dict[str, NDArray[Any]]:
        """The columns that occur in some rows, and the rows over them."""
        from scipy import sparse

        own = sparse.csr_array(rows)
        columns, places = np.unique(own.indices, return_inverse=True)
        if not columns.size:
            columns = np.zeros(1, np.int64)
        narrow = sparse.csr_array((own.data, places, own.indptr), shape=(own.shape[0], columns.size))
        return {"columns": columns.astype(np.int64), "rows": narrow.toarray().astype(np.float32)}

    @staticmethod
    def _dense(rows: Any) -> dict[str, NDArray[Any]]:
        dense = rows if isinstance(rows, np.ndarray) else rows.toarray()
        return {"rows": np.ascontiguousarray(dense, np.float32)}

    @staticmethod
    def _present(rows: Any) -> dict[str, NDArray[Any]]:
        """NaN for what is 0: a column that a text lacks."""
        from scipy import sparse

        own = sparse.csr_array(rows).tocoo()
        dense = np.full(own.shape, np.nan, np.float32)
        dense[own.row, own.col] = own.data
        return {"present": dense}

    def _of_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """In batches of like length, each padded to its longest text."""
        assert self._tokenizer is not None
        ids = [found.ids for found in self._tokenizer.encode_batch(list(texts))]
        logits = np.zeros((len(ids), self._classes), np.float32)
        for rows in batches_of_like_length(ids):
            tokens = np.zeros((len(rows), len(ids[rows[0]])), np.int64)
            mask = np.zeros_like(tokens)
            for place, row in enumerate(rows):
                tokens[place, : len(ids[row])] = ids[row]
                mask[place, : len(ids[row])] = 1
            logits[rows] = self._run({"input_ids": tokens, "attention_mask": mask})
        return logits

    def _run(self, given: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        return np.asarray(self._session.run(["logits"], given)[0], np.float32)


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path.with_name("tokenizer.json")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(json.loads(path.with_name("tokens.json").read_text(encoding="utf-8"))["max_length"])
    return tokenizer
