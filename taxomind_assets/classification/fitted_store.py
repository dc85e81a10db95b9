"""What was fitted to a taxonomy, on disk: one row of numbers, and the voters as arrays in a file of their own.

The row names the voters that belong to it and is written last, by one rename, so a process that is killed leaves the former
state whole.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.calibration import Calibration
from taxomind_assets.classification.fitting import Fitted
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.voters import Voters
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_resources.outputs import Outputs

CALIBRATIONS: Final = "classification.calibrations"
VOTERS: Final = "classification.voters"


def write_fitted(
    outputs: Outputs, key: str, fitted: Fitted, *, index_version: str, version: str, corrected: int, digest: str
) -> None:
    """Put what was fitted to use.

    Args:
        outputs: where it goes.
        key: taxonomy key.
        fitted: what was fitted.
        index_version: the node index that it belongs to.
        version: the calibration version that answers name.
        corrected: rows of evidence that it was fitted on.
        digest: what it was made from.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    voters = fitted.voters.version if fitted.voters else None
    if fitted.voters:
        outputs.write(VOTERS, key, _voters_table(fitted.voters), digest=fitted.voters.version, part=fitted.voters.version)
    numbers = fitted.calibration
    row = {
        "calibration_version": version,
        "index_version": index_version,
        "labelled_texts": fitted.texts,
        "corrected_texts": corrected,
        "temperature_untrusted": numbers.temperature[0],
        "temperature_trusted": numbers.temperature[1],
        "threshold": numbers.threshold,
        "accuracy_target": numbers.accuracy_target,
        "proven": numbers.proven,
        "numbers": numbers.to_text(),
        "weights": json.dumps(fitted.weights.to_json(), sort_keys=True) if fitted.weights else None,
        "voters_version": voters,
        "fitted_at": datetime.now(UTC),
    }
    outputs.write(CALIBRATIONS, key, pa.Table.from_pylist([row], schema=BY_NAME[CALIBRATIONS].arrow), digest=digest)
    drop_voters(outputs, key, but=voters)


def drop_voters(outputs: Outputs, key: str, *, but: str | None = None) -> None:
    """Remove voters that no row names.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    for part in outputs.parts(VOTERS, key):
        if part != but:
            outputs.delete_part(VOTERS, key, part)


def stored_fitted(outputs: Outputs, key: str, index_version: str) -> Fitted | None:
    """What labels have made for this index; None when there is nothing.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    row = stored_row(outputs, key, index_version)
    if row is None:
        return None
    voters = _read_voters(outputs, key, row["voters_version"])
    if row["voters_version"] and voters is None:  # replaced between the two reads
        row = stored_row(outputs, key, index_version)
        voters = _read_voters(outputs, key, row["voters_version"]) if row else None
    if row is None:
        return None
    weights = FusionWeights.from_json(json.loads(row["weights"])) if row["weights"] else None
    return Fitted(Calibration.from_text(row["numbers"]), weights, voters, row["labelled_texts"])


def stored_row(outputs: Outputs, key: str, index_version: str) -> dict[str, Any] | None:
    """The row of `classification.calibrations` of this index.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    found: list[dict[str, Any]] = [
        row for row in outputs.read(CALIBRATIONS, key).to_pylist() if row["index_version"] == index_version
    ]
    return found[-1] if found else None


def _voters_table(voters: Voters) -> pa.Table:
    rows = [
        {
            "name": name,
            "dtype": values.dtype.name,
            "shape": list(values.shape),
            "numbers": np.ascontiguousarray(values).tobytes(),
        }
        for name, values in voters.to_arrays().items()
    ]
    return pa.Table.from_pylist(rows, schema=BY_NAME[VOTERS].arrow)


def _read_voters(outputs: Outputs, key: str, version: str | None) -> Voters | None:
    rows = outputs.read(VOTERS, key, parts=[version]).to_pylist() if version else []
    if not rows:
        return None
    return Voters.from_arrays(
        {row["name"]: np.frombuffer(row["numbers"], row["dtype"]).reshape(row["shape"]).copy() for row in rows}
    )
