"""What belongs to the models of one taxonomy: its key, versions and tables, and how a version is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxomind_app.cli.session import Session, styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from taxomind_resources.embedding import Embedder
    from taxomind_resources.model_store import ModelStore
    from taxomind_resources.outputs import Outputs

Used = Annotated[
    int | None,
    typer.Option(
        "--version", metavar="N", min=1, help="Version (default: the promoted one, else the latest).", show_default=False
    ),
]


class ModelPlace:
    """One taxonomy and what belongs to its models."""

    def __init__(self, session: Session, taxonomy: str | None) -> None:
        from taxomind_app.cli.keys import chosen_key
        from taxomind_resources.model_store import ModelStore
        from taxomind_resources.outputs import Outputs

        self._session = session
        self.key = chosen_key(session.settings, taxonomy)
        self.store: ModelStore = ModelStore(session.root)
        self.outputs: Outputs = Outputs(session.root)

    @property
    def embedder(self) -> Callable[[], Embedder]:
        """Gives the embedding model of the taxonomy."""
        from taxomind_resources.embedding import load_embedder

        settings = self._session.settings
        return lambda: load_embedder(settings.for_taxonomy(self.key).embedding, settings.data)

    def number(self, version: int | None, *, latest: bool = False) -> int:
        """A version that there is."""
        known = self.store.ready(self.key)
        wanted = known[0] if version is None and latest and known else version
        return int(self.store.folder(self.key, wanted).name.removeprefix("v"))

    def put(self, file: Path) -> None:
        """Put a file of labelled texts into the inbox."""
        from taxomind_resources.inbox import Inbox

        settings = self._session.settings
        Inbox(settings.data, settings.limits.settle_s).put(self.key, "labelled", file)

    def check(self, given: dict[str, Any]) -> None:
        """Refuse what no model can be made of before a run is started."""
        from taxomind_assets.models.registry import registry
        from taxomind_assets.models.specification import chosen_spec

        own = self._session.settings.for_taxonomy(self.key).models
        fields = {name: value for name, value in given.items() if name not in {"preset", "max_texts"}}
        chosen_spec(registry(), given.get("preset") or own.preset, **fields)

    def note_texts(self) -> None:
        """Tell on standard error what may be a mistake in the labelled texts."""
        from taxomind_assets.models.data_checks import judge_texts, problems
        from taxomind_assets.models.stored import LABELLED

        refused = self.outputs.read("models.rejected_rows", self.key, columns=["line"]).num_rows
        for problem in problems(judge_texts(self.outputs.read(LABELLED, self.key), refused)):
            self._session.note(f"Texts: {problem}")

    def join(self) -> dict[str, Any] | None:
        """Let the promoted version take part in answers; what came out, None where there is nothing to join."""
        from taxomind_assets.models.joining import join_promoted

        if not self._session.settings.for_taxonomy(self.key).models.vote:
            return None
        found = join_promoted(self.key, self._session.settings, self.outputs, self.embedder)
        shown = ("number", "choice", "rows", "accuracy", "strength", "familiarity")
        return None if found is None else {name: getattr(found, name) for name in shown}

    def show(self, number: int, compared: dict[str, Any] | None = None) -> None:
        """Print a version."""
        from taxomind_assets.models.stored import EVALUATIONS, part_of

        manifest = self.store.manifest(self.key, number)
        parts = [part_of(number, split) for split in ("validation", "test")]
        measures = self.outputs.read(EVALUATIONS, self.key, parts=parts).to_pylist()
        if self._session.json:
            shown = {name: value for name, value in manifest.items() if name not in {"files", "codes"}}
            self._session.print_json(
                {
                    "taxonomy": self.key,
                    "version": number,
                    "promoted": self.store.promoted(self.key) == number,
                    "manifest": shown,
                    "codes": len(manifest["codes"]),
                    "measures": measures,
                    "comparison": compared,
                }
            )
            return
        self._print(number, manifest, compared)

    def _print(self, number: int, manifest: dict[str, Any], compared: dict[str, Any] | None) -> None:
        from taxomind_app.cli.showing import dict_table
        from taxomind_assets.models.summary import class_rows, figure_rows

        session, data = self._session, manifest["data"]
        use = ", in use" if self.store.promoted(self.key) == number else ""
        session.out.print(
            styled(
                "[bold]Version {number}[/] of {key}: {name}{use}", number=number, key=self.key, name=manifest["name"], use=use
            )
        )
        session.say(
            f"trained in {manifest['seconds']['training']:.1f} s on {data['train']:,} texts and {data['node_texts']:,} of the "
            f"taxonomy; {len(manifest['codes']):,} codes; {manifest['size_bytes'] / 1e6:.1f} MB"
        )
        figures = figure_rows(self.outputs, self.key, number)
        if figures:
            session.out.print(dict_table(figures))
        worst = class_rows(self.outputs, self.key, number, "test", 10)
        if worst:
            session.out.print(styled("\n[bold]Codes answered worst[/] [dim](test)[/]\n"))
            session.out.print(dict_table(worst))
        if compared:
            session.say(
                f"\nAgainst version {compared['against']} on {compared['n']:,} test texts: {compared['verdict']} "
                f"({compared['accuracy_a']:.1%} and {compared['accuracy_b']:.1%}, p = {compared['p_value']:.3f})"
            )
