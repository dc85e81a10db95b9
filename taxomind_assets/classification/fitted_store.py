"""What was fitted to a taxonomy, on disk: one row of numbers, and the voters as arrays in a file of their own.

The row names the voters that belong to it and is written last, by one rename, so a process that is killed leaves the former
state whole. All of it can be fitted again from the labels, so what cannot be read (a damaged file, or one of another version of
taxomind) counts as absent: the numbers of the node index serve, with a warning, until `stop_calibration` has replaced it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.calibration import Calibration
from taxomind_assets.classification.fitting import Fitted
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.gate import FEATURES
from taxomind_assets.classification.voters import Voters
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_resources.outputs import Outputs

CALIBRATIONS: Final = "classification.calibrations"
VOTERS: Final = "classification.voters"
_LOG = logging.getLogger(__name__)


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
    """What labels have made for this index; None when there is nothing, or, with a warning in the log, nothing readable.

    Raises:
        Fault: `invalid_key`.
    """
    found, problem = read_fitted(outputs, key, index_version)
    if problem:
        _LOG.warning("What labels have taught %s is left out until `stop_calibration` has fitted it again. %s", key, problem)
    return found


def read_fitted(outputs: Outputs, key: str, index_version: str) -> tuple[Fitted | None, str]:
    """As `stored_fitted`, with what is wrong with the files, '' = nothing.

    Raises:
        Fault: `invalid_key`.
    """
    try:
        return _read_fitted(outputs, key, index_version), ""
    except Fault as fault:
        if fault.code != "storage_failed":
            raise
        return None, f"{fault.what} ({fault.value})"
    except (KeyError, TypeError, ValueError) as error:
        path = outputs.path(CALIBRATIONS, key)
        return None, f"The numbers are those of another version of taxomind: {type(error).__name__}: {error} ({path})"


def stored_row(outputs: Outputs, key: str, index_version: str) -> dict[str, Any] | None:
    """The row of `classification.calibrations` of this index; None when there is none that can be read.

    Raises:
        Fault: `invalid_key`.
    """
    try:
        return _row(outputs, key, index_version)
    except Fault as fault:
        if fault.code != "storage_failed":
            raise
        return None


def _read_fitted(outputs: Outputs, key: str, index_version: str) -> Fitted | None:
    row = _row(outputs, key, index_version)
    if row is None:
        return None
    voters = _read_voters(outputs, key, row["voters_version"])
    if row["voters_version"] and voters is None:  # replaced between the two reads
        row = _row(outputs, key, index_version)
        voters = _read_voters(outputs, key, row["voters_version"]) if row else None
    if row is None:
        return None
    if row["voters_version"] and voters is None:
        raise ValueError(f"its voters {row['voters_version']} are missing")
    weights = FusionWeights.from_json(json.loads(row["weights"])) if row["weights"] else None
    calibration = Calibration.from_text(row["numbers"])
    if calibration.gate is not None and len(calibration.gate) != 1 + len(FEATURES):
        raise ValueError(f"its gate has {len(calibration.gate)} numbers, not {1 + len(FEATURES)}")
    return Fitted(calibration, weights, voters, row["labelled_texts"])


def _row(outputs: Outputs, key: str, index_version: str) -> dict[str, Any] | None:
    # A time as a Python object loads pandas first, which takes as long as all else of an answer on the command line.
    rows: list[dict[str, Any]] = outputs.read(CALIBRATIONS, key).drop_columns(["fitted_at"]).to_pylist()
    return next((row for row in reversed(rows) if row["index_version"] == index_version), None)


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
