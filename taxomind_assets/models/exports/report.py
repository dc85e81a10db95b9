"""What an export has come to: `report.json` of the part `onnx` of a version, and which variant may be served."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from taxomind_assets.models.arrays import load_json, save_json
from taxomind_assets.models.exports.agreement import Agreement
from taxomind_resources.faults import Fault
from taxomind_resources.files import content_digest
from taxomind_resources.model_store import ModelStore, file_digests

PART: Final = "onnx"
SOURCE: Final = "source"
AUTO: Final = "auto"
VARIANTS: Final = ("onnx", "onnx-optimized", "onnx-int8")
REPORT: Final = "report.json"


@dataclass(frozen=True)
class Variant:
    """One row of `models.exports`.

    Attributes:
        variant: source, onnx, onnx-optimized or onnx-int8.
        state: reference (the source), accepted, rejected, or impossible.
        reason: why it was rejected or is impossible, else ''.
        size_bytes: bytes of the classifiers' files.
        latency_p50_ms, latency_p95_ms: one text alone, from text to probabilities.
        texts_per_second: all texts at once.
        agreement: how far it is from its reference.
        accuracy, macro_f1: on the labelled texts.
    """

    variant: str
    state: str
    reason: str = ""
    size_bytes: int | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    texts_per_second: float | None = None
    agreement: Agreement | None = None
    accuracy: float | None = None
    macro_f1: float | None = None


@dataclass(frozen=True)
class Exported:
    """What an export has come to: its variants (the source first), and what they were compared on."""

    number: int
    variants: tuple[Variant, ...]
    texts: int
    labelled: int
    threads: int
    machine: str
    exported_at: datetime

    def accepted(self) -> list[str]:
        """Variants that may be served, the fastest first."""
        own = [variant for variant in self.variants if variant.state == "accepted"]
        return [variant.variant for variant in sorted(own, key=lambda v: v.latency_p50_ms or 0.0)]


def save_report(folder: Path, exported: Exported) -> None:
    """Write it, with digests of all files beside it."""
    report = {**asdict(exported), "exported_at": exported.exported_at.isoformat(), "files": file_digests(folder)}
    save_json(folder / REPORT, report)


def stored_export(store: ModelStore, key: str, number: int) -> Exported | None:
    """What exporting a version has come to; None when it was not exported.

    Raises:
        Fault: `no_model` or `model_damaged`.
    """
    path = store.folder(key, number) / PART / REPORT
    if not path.is_file():
        return None
    report = load_json(path)
    try:
        return _exported(report)
    except (KeyError, TypeError, ValueError) as error:
        raise Fault("model_damaged", f"{REPORT} cannot be read.", value=str(path)) from error


def _exported(report: dict[str, Any]) -> Exported:
    variants = []
    for row in report["variants"]:
        given = row["agreement"]
        found = None if given is None else Agreement(**{**given, "reasons": tuple(given["reasons"])})
        variants.append(Variant(**{**row, "agreement": found}))
    facts = {name: value for name, value in report.items() if name not in {"files", "variants", "exported_at"}}
    return Exported(**facts, variants=tuple(variants), exported_at=datetime.fromisoformat(report["exported_at"]))


def approved_folder(store: ModelStore, key: str, number: int, variant: str) -> Path | None:
    """Folder of a variant that the gate let pass, every file checked; None = the version as it was trained.

    Args:
        store: where versions are kept.
        key: taxonomy key.
        number: the version.
        variant: source, the name of a variant, or auto: the fastest that the gate let pass, else the source.

    Raises:
        Fault: `no_model`; `gate_refused` when it was not exported or did not pass; `model_damaged`.
    """
    if variant == SOURCE:
        return None
    exported = stored_export(store, key, number)
    accepted = exported.accepted() if exported else []
    if variant == AUTO:
        return _checked(store, key, number, accepted[0]) if accepted else None
    if variant not in accepted:
        raise _refused(key, number, variant, exported)
    return _checked(store, key, number, variant)


def _refused(key: str, number: int, variant: str, exported: Exported | None) -> Fault:
    allowed = ", ".join((SOURCE, *(exported.accepted() if exported else ())))
    if exported is None:
        next_step = f"taxomind models export --taxonomy {key} --version {number}"
        what = f"Version {number} was not exported yet, so no variant of it may be served."
        return Fault("gate_refused", what, value=variant, allowed=allowed, next_step=next_step)
    reasons = {row.variant: row.reason for row in exported.variants}
    what = f"This variant may not be served: {reasons.get(variant, 'there is none of this name')}."
    return Fault("gate_refused", what, value=variant, allowed=allowed, next_step="Use one that is allowed.")


def _checked(store: ModelStore, key: str, number: int, variant: str) -> Path:
    folder = store.folder(key, number) / PART
    for name, digest in load_json(folder / REPORT)["files"].items():
        own = folder / name
        if name.startswith(f"{variant}/") and not (own.is_file() and content_digest(own) == digest):
            what = f"A file of the export has changed since it was made, or is missing: {name}."
            next_step = f"taxomind models export --taxonomy {key} --version {number}"
            raise Fault("model_damaged", what, value=str(own), next_step=next_step)
    return folder / variant


def export_rows(exported: Exported) -> list[dict[str, Any]]:
    """Rows of `models.exports`."""
    shared = {
        "version": exported.number,
        "texts": exported.texts,
        "threads": exported.threads,
        "machine": exported.machine,
        "exported_at": exported.exported_at,
    }
    rows = []
    for variant in exported.variants:
        found = variant.agreement
        differences = {
            "max_logit_difference": found.logit if found else None,
            "mean_probability_difference": found.probability if found else None,
            "max_probability_difference": found.largest if found else None,
            "agreement": found.agreement if found else None,
            "near_ties": found.near_ties if found else None,
            "batch_difference": found.alone if found else None,
        }
        own = {name: value for name, value in variant.__dict__.items() if name != "agreement"}
        rows.append({**shared, **own, **differences})
    return rows
