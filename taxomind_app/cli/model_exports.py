"""`taxomind models export`: a version as ONNX, with the gate that decides what may be served."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxomind_app.cli.session import Session, Taxonomy, styled

if TYPE_CHECKING:
    from taxomind_assets.models.exports.report import Exported, Variant

EXPORT_EPILOG = """Examples

taxomind models export --taxonomy news

taxomind models export --taxonomy news --version 3 --again --json
"""


class VariantChoice(StrEnum):
    """Forms in which a version answers."""

    SOURCE = "source"
    AUTO = "auto"
    ONNX = "onnx"
    OPTIMIZED = "onnx-optimized"
    INT8 = "onnx-int8"


def export(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Version (default: the latest).", show_default=False)
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Export it again, although it was exported before.")] = False,
) -> None:
    """Write a version as ONNX (as it is, optimised, 8-bit weights), and compare each variant with the version.

    Only variants that answer as the version does may be served: `taxomind models predict` with `--variant`, or the setting
    models.variant. The comparison reads validation texts and texts at the edges; size, speed and quality stand side by side.
    """
    from taxomind_app.cli.graph import run_assets
    from taxomind_app.cli.keys import chosen_key
    from taxomind_assets.models.exports.report import export_rows, stored_export
    from taxomind_resources.model_store import ModelStore

    key, store = chosen_key(session.settings, taxonomy), ModelStore(session.root)
    known = store.ready(key)
    number = int(store.folder(key, version or (known[0] if known else None)).name.removeprefix("v"))
    run_assets(session, key, ["exported_model"], {"exported_model": {"version": number, "again": again}})
    found = stored_export(store, key, number)
    assert found is not None
    if session.json:
        rows = [{**row, "exported_at": row["exported_at"].isoformat()} for row in export_rows(found)]
        session.print_json({"taxonomy": key, "version": number, "accepted": found.accepted(), "variants": rows})
        return
    _print(session, key, found)


def _print(session: Session, key: str, found: Exported) -> None:
    from taxomind_app.cli.showing import dict_table

    session.out.print(styled("[bold]Version {number}[/] of {key} as ONNX", number=found.number, key=key))
    session.out.print(dict_table([_row(variant) for variant in found.variants]))
    for variant in found.variants:
        if variant.reason:
            session.say(f"  {variant.variant}: {variant.reason}")
    session.say(f"Compared on {found.texts:,} texts, {found.labelled:,} of them labelled; {found.threads} threads.")
    session.say("These figures say what an export costs; what the model is worth says: taxomind models evaluate")
    accepted = found.accepted()
    if accepted:
        session.say(
            f"\nAsk it with: taxomind models predict --variant {accepted[0]} --taxonomy {key} --version {found.number} TEXT"
        )


def _row(variant: Variant) -> dict[str, Any]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    size = None if variant.size_bytes is None else variant.size_bytes / 1e6
    return {
        "variant": variant.variant,
        "state": variant.state,
        "MB": shown(size, ".2f"),
        "p50 ms": shown(variant.latency_p50_ms, ".2f"),
        "p95 ms": shown(variant.latency_p95_ms, ".2f"),
        "texts/s": shown(variant.texts_per_second, ",.0f"),
        "same answers": shown(variant.agreement.agreement if variant.agreement else None, ".2%"),
        "accuracy": shown(variant.accuracy, ".1%"),
        "macro F1": shown(variant.macro_f1, ".1%"),
    }
