"""GET /v1/taxonomies/{key}/report: what was measured, and whether the texts change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter

from taxomind_app.api.v1.deps import Called, Key, Reading, problems
from taxomind_app.api.v1.report_models import Report
from taxomind_app.api.v1.shapes import finite, ref

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_app.api.jobs import Place

router = APIRouter(prefix="/taxonomies/{key}", tags=["v1: reports"])
_MEASURES: Final = ("slice", "strategy", "metric", "level", "value", "n", "interval_low", "interval_high")
_POINTS: Final = ("kind", "threshold", "coverage", "accuracy")
_BINS: Final = ("kind", "low", "high", "n", "confidence", "accuracy")
#: Rows and columns of the matrix of branches, as in the figure of the report.
_MOST_BRANCHES: Final = 16
_DAYS: Final = """
SELECT strftime(r.classified_at, '%Y-%m-%d') AS period, coalesce(r.path[1], '') AS code, count(*) AS answers,
    coalesce(sum(r.confidence) FILTER (r.code IS NOT NULL), 0)::DOUBLE AS confidence
FROM classification.results AS r WHERE r.taxonomy_key = $key AND r.error_code IS NULL GROUP BY ALL
"""


@router.get("/report", operation_id="v1_report", response_model=Report, responses=problems(404, 409))
def report(key: Key, called: Reading) -> dict[str, Any]:
    """Measures, coverage against accuracy, reliability, confusion by branch, and drift."""
    return report_of(called, called.place(key))


def report_of(called: Called, place: Place) -> dict[str, Any]:
    """`models.Report` of a taxonomy."""
    outputs, key = called.service.outputs, place.stored
    metrics = outputs.read("reports.metrics", key)
    rows = metrics.to_pylist()
    errors = outputs.read("reports.errors", key)
    return {
        "report_id": rows[0]["report_id"] if rows else None,
        "measured_at": rows[0]["measured_at"] if rows else None,
        "texts": errors.num_rows,
        "metrics": _rows(metrics, _MEASURES),
        "coverage": _rows(outputs.read("reports.coverage", key), _POINTS),
        "reliability": _rows(outputs.read("reports.calibration", key), _BINS),
        "confusion": _confusion(called, place, errors),
        "drift": drift_of(called, place),
    }


def drift_of(called: Called, place: Place) -> list[dict[str, Any]]:
    """`models.DriftPeriod` of every day with answers."""
    from dataclasses import asdict

    from taxomind_assets.reports.drift import Counted, drift
    from taxomind_resources.catalogue import Catalogue

    rows = Catalogue(called.service.data).query(_DAYS, {"key": place.stored}).to_pylist()
    return [finite(asdict(period)) for period in drift(Counted(**row) for row in rows)]


def _confusion(called: Called, place: Place, errors: pa.Table) -> dict[str, Any] | None:
    from taxomind_app.api.results import tree_of
    from taxomind_assets.reports.branches import branch_shares
    from taxomind_resources.faults import Fault

    if not errors.num_rows:
        return None
    indexes = called.service.indexes
    try:
        tree = tree_of(indexes.folder(place.stored, errors["index_version"][0].as_py()))
        shares, sizes, rows, columns = branch_shares(tree, errors, _MOST_BRANCHES)
    except Fault as fault:
        if fault.code != "index_missing":
            raise
        return None  # measured with an index that is gone; the next report brings it back
    named = [ref(tree, code) for code in rows]
    return {"rows": named, "columns": columns, "texts": sizes.tolist(), "shares": shares.round(4).tolist()}


def _rows(table: pa.Table, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [finite(row) for row in table.select(list(names)).to_pylist()]
