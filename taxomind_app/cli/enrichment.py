"""`taxomind taxonomy enrich`: a language model writes further texts for the nodes, at a price known before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_app.cli.taxonomy import Key
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.enrichment import Enricher, Plan
    from taxomind_resources.settings import Settings

EPILOG = """Examples

taxomind taxonomy enrich jobs --dry-run

taxomind taxonomy enrich jobs --limit 20
"""
_SHOWN: Final = 12


def enrich(
    session: Session,
    *,
    key: Key,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked and what it would cost; ask nothing.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Ask about so many nodes and languages at most.")
    ] = None,
) -> None:
    """Let a language model write definitions, examples and phrases for the nodes, and rebuild the index with them.

    The model is that of the settings `llm`; the settings `enrichment` say how much is asked for. Texts are checked and kept
    beside those of the file, marked. What was asked once is never paid again; a run that was ended goes on where it was.
    """
    from taxomind_app.cli.keys import checked_key

    checked_key(session.settings, key)
    own = session.settings.for_taxonomy(key)
    work, plan = _planned(own, key, limit)
    if dry_run:
        _show_plan(session, own, work, plan)
        return
    if not plan.subjects:
        _show_nothing_to_do(session, key)
        return
    if not session.json:
        session.note(f"Estimate: {plan.estimate}. {plan.known:,} questions are answered already.")
    _run(session, key, limit)
    _show_report(session, key)


def _planned(settings: Settings, key: str, limit: int | None) -> tuple[Enricher, Plan]:
    from taxomind_assets.taxonomy.enrichment import enricher
    from taxomind_assets.taxonomy.enrichment_store import EnrichmentStore
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_resources.embedding import load_embedder
    from taxomind_resources.outputs import Outputs

    outputs = Outputs(settings.data)
    tree = stored_taxonomy(outputs, key, "taxonomy.nodes")

    def embed(labels: Any) -> Any:
        return load_embedder(settings.embedding, settings.data).embed(labels, "document")

    work = enricher(tree, EnrichmentStore(outputs, key), settings, embed)
    return work, work.plan(limit)


def _run(session: Session, key: str, limit: int | None) -> None:
    from taxomind_app.cli.graph import BUILD, run_assets

    run_assets(session, key, BUILD, {"enriched_definitions": {"ask": True, **({} if limit is None else {"limit": limit})}})


def _show_plan(session: Session, settings: Settings, work: Enricher, plan: Plan) -> None:
    estimate = plan.estimate
    first = work.messages(plan.subjects[0]) if plan.subjects else []
    if session.json:
        languages = sorted({about.language for about in plan.subjects})
        session.print_json(
            {
                "model": settings.llm.model,
                "address": settings.llm.base_url,
                "questions": len(plan.subjects),
                "answered_already": plan.known,
                "left_out": plan.left_out,
                "in_cache": estimate.cached,
                "languages": languages,
                "input_tokens": estimate.input_tokens,
                "output_tokens": estimate.output_tokens,
                "cost": estimate.cost,
                "max_cost": settings.enrichment.max_cost,
                "first_question": first,
            }
        )
        return
    session.say(f"{settings.llm.model} at {settings.llm.base_url} would be asked: {estimate}.")
    session.say(f"{plan.known:,} questions are answered already, {plan.left_out:,} are left out by --limit.")
    for message in first:
        session.say(styled("\n[bold]{role}[/]\n{content}", role=message["role"], content=message["content"]))


def _show_nothing_to_do(session: Session, key: str) -> None:
    if session.json:
        session.print_json({"key": key, "questions": 0})
    else:
        session.say(f"Every question about {key} is answered already.")


def _show_report(session: Session, key: str) -> None:
    from taxomind_assets.taxonomy.enrichment_store import TABLE, last_run
    from taxomind_resources.outputs import Outputs

    outputs = Outputs(session.root)
    run = last_run(outputs, key)
    if run is None:
        raise Fault("storage_failed", f"There is no record of the enrichment of {key!r}.", value=key)
    texts = [row for row in outputs.read(TABLE, key).to_pylist() if row["created_at"] >= run["run_at"]]
    if session.json:
        failed = [{"code": row["code"], "language": row["language"], "reason": row["reason"]} for row in _failed(texts)]
        session.print_json({"key": key, **run, "failures": failed})
        return
    accepted = [row for row in texts if row["status"] == "accepted"]
    _show_texts(session, accepted[:_SHOWN])
    cost = "unknown cost" if run["cost"] is None else f"${run['cost']:,.4f}"
    session.say(
        f"\n{key}: {run['questions']:,} questions ({run['cached']:,} from disk, {run['failed']:,} failed), "
        f"{run['accepted']:,} texts accepted, {run['refused']:,} refused, {run['input_tokens']:,} tokens in, "
        f"{run['output_tokens']:,} out, {cost}, {run['seconds']:.1f} s."
    )
    if run["left"]:
        session.say(f"{run['left']:,} questions are left ({run['stopped']}); the same command goes on.")
    for row in _failed(texts)[:_SHOWN]:
        session.note(f"Failed: {row['code']} {row['language']}: {row['reason']}")
    session.say(styled("\n  [cyan]taxomind taxonomy show {key} CODE[/]\n  [dim]all texts: taxonomy.enrichment[/]", key=key))


def _failed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == "question" and row["status"] == "failed"]


def _show_texts(session: Session, rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from taxomind_app.cli.showing import plain_table

    table = plain_table("code", "language", "kind", "text")
    for row in rows:
        table.add_row(*(Text(row[name]) for name in ("code", "language", "kind", "text")))
    session.out.print(table)
