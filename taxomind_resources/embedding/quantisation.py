"""Static INT8: number ranges fixed once from calibration texts, so that a vector does not depend on its batch.

(Dynamic INT8 takes its ranges from each batch; the same text then gets other vectors in other company. It is not offered.)
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from taxomind_resources.faults import Fault

CALIBRATION_TEXTS: Final = 300
_BATCH: Final = 4


def require_nncf() -> None:
    """Say at once that the package which quantises is absent.

    Raises:
        Fault: `missing_extra`.
    """
    if importlib.util.find_spec("nncf") is None:
        raise Fault(
            "missing_extra",
            "Making an INT8 model needs nncf.",
            value="embedding.number_format = int8",
            next_step="pip install 'taxomind[int8]'",
        )


def quantised(model: Any, folder: Path, pad_id: int, max_tokens: int) -> Any:
    """The OpenVINO model with static INT8 matrix products (NNCF post-training quantisation, transformer settings)."""
    import nncf

    batches = list(_batches(folder, pad_id, max_tokens))
    dataset = nncf.Dataset(batches)
    return nncf.quantize(model, dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches))


def _batches(folder: Path, pad_id: int, max_tokens: int) -> Iterator[dict[str, Any]]:
    import numpy as np

    from taxomind_resources.embedding.calibration import calibration_texts
    from taxomind_resources.embedding.runtimes import padded
    from taxomind_resources.embedding.tokens import Tokens

    tokens, _ = Tokens(folder, max_tokens).chunks(calibration_texts(CALIBRATION_TEXTS), "")
    tokens.sort(key=len)
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    for start in range(0, len(tokens), _BATCH):
        ids, mask = padded(tokens, np.arange(start, min(start + _BATCH, len(tokens))), lengths, pad_id)
        yield {"input_ids": ids, "attention_mask": mask}
