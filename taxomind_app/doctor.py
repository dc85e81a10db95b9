"""Checks of an installation and its data: each says what it found and, where something is wrong, what to do."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from taxomind_app.daemons import GONE_S, complaints, silence
from taxomind_app.doctor_use import listed, promoted_models, unused_nodes
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.classification.staleness import StaleBatch
    from taxomind_assets.pending import Pending
    from taxomind_resources.inbox import Ignored, Inbox
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One finding. `remedy` is '' when there is nothing to do."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass
class _Place:
    """What is checked: one data root."""

    settings: Settings
    inbox: Inbox = field(init=False)
    outputs: Outputs = field(init=False)
    indexes: IndexStore = field(init=False)

    def __post_init__(self) -> None:
        from taxomind_resources.inbox import Inbox
        from taxomind_resources.index_store import IndexStore
        from taxomind_resources.outputs import Outputs

        self.inbox = Inbox(self.settings.data, self.settings.limits.settle_s)
        self.outputs = Outputs(self.settings.data)
        self.indexes = IndexStore(self.settings.data)

    @cached_property
    def keys(self) -> list[str]:
        """All taxonomies of inbox and outputs."""
        return sorted({*self.inbox.keys(), *self.outputs.keys("taxonomy.nodes")})

    @cached_property
    def built(self) -> list[str]:
        """Taxonomies that have an index."""
        return [key for key in self.keys if self.indexes.current(key)]

    def pending(self, key: str) -> Pending:
        """What a taxonomy waits for."""
        from taxomind_assets.pending import pending

        return pending(key, self.settings, self.inbox, self.outputs, self.indexes)

    def stale(self, key: str) -> list[StaleBatch]:
        """Batches whose answers are older than what they depend on."""
        from taxomind_assets.classification.staleness import stale_batches

        return stale_batches(key, self.settings, self.outputs, self.indexes)


def run_checks(data: Path | None) -> Iterator[Check]:
    """All checks in order, each as soon as it is done. A check that cannot be made is one that failed.

    Args:
        data: data root; None = from the environment.
    """
    from taxomind_resources.settings import load_settings

    yield _made("packages", lambda: _packages())
    try:
        settings = load_settings(data)
        for key in settings.taxonomy:
            settings.for_taxonomy(key)
    except Fault as fault:
        yield _failed("settings", fault)
        return
    yield Check("settings", "ok", f"all values are usable, {settings.data / 'settings.toml'}")
    place = _Place(settings)
    for name, check in _CHECKS.items():
        yield _made(name, lambda check=check: check(place))  # type: ignore[misc]


def waiting_for(settings: Settings, key: str) -> list[str]:
    """What one taxonomy waits for, in words; empty when it is up to date."""
    place = _Place(settings)
    try:
        found = place.pending(key)
    except Fault as fault:
        return [fault.what]
    files = len(place.stale(key))
    stale = [f"reclassification of {files} file{'s' if files > 1 else ''}"] if files else []
    nightly = ["a newer report"] if found.stale_report else []
    return [name for name, digest in _asked(found) if digest] + nightly + stale + list(found.waiting)


def _asked(found: Pending) -> list[tuple[str, str]]:
    """What a taxonomy may wait for, and the digest of what asks for it."""
    return [("build", found.build), ("corrections", found.corrections), ("texts", found.texts), ("report", found.report)]


def _made(name: str, check: Callable[[], tuple[Status, str, str]]) -> Check:
    try:
        return Check(name, *check())
    except Fault as fault:
        return _failed(name, fault)
    except Exception as error:  # A check must not keep the others from being made.
        return Check(name, "fail", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "Report this as a bug.")


def _failed(name: str, fault: Fault) -> Check:
    value = f" ({fault.value})" if fault.value else ""
    allowed = f" Allowed: {fault.allowed}." if fault.allowed else ""
    return Check(name, "fail", f"{fault.what}{value}", f"{fault.next_step}{allowed}")


def _packages() -> tuple[Status, str, str]:
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    python = ".".join(map(str, sys.version_info[:3]))
    wrong = []
    wanted = [Requirement(line) for line in requires("taxomind") or []]
    needed = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return "fail", f"Python {python} is not supported", "Use Python 3.11 to 3.13."
    if wrong:
        return "fail", listed(wrong), "Install again: pip install --upgrade taxomind"
    return "ok", f"taxomind {version('taxomind')}, Python {python}, {len(needed)} packages fit", ""


def _data_root(place: _Place) -> tuple[Status, str, str]:
    root = place.settings.data
    nearest = next(path for path in (root, *root.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return (
            "fail",
            f"{root} cannot be written",
            "Choose another folder with --data or TAXOMIND_DATA, or change its permissions.",
        )
    if nearest != root:
        return "ok", f"{root} is made when it is needed", ""
    import shutil

    free = shutil.disk_usage(root).free
    if free < 2**30:
        return "warn", f"{root} has {free / 2**20:,.0f} MB left", "Free some space, or move the data root to another disk."
    return "ok", f"{root} can be written, {free / 2**30:,.0f} GB free", ""


def _model(place: _Place) -> tuple[Status, str, str]:
    from taxomind_resources.embedding import load_embedder

    settings = place.settings.embedding
    started = time.monotonic()
    models = place.settings.data / "models"
    converted = settings.provider == "local" and not models.is_dir()
    # A cache would hide a model that does not load.
    embedder = load_embedder(settings.model_copy(update={"cache": False}), place.settings.data)
    embedder.embed(["a text that nobody has embedded before"], "query")
    seconds = time.monotonic() - started
    spec = embedder.spec
    detail = f"{spec.model} by {spec.provider}, {spec.dimensions} dimensions, weights {spec.weights_digest[:12]}"
    return "ok", f"{detail}, {'converted, ' if converted else ''}first vector after {seconds:.1f} s", ""


def _storage(place: _Place) -> tuple[Status, str, str]:
    import pyarrow.parquet as pq

    from taxomind_assets.classification.fitted_store import CALIBRATIONS, VOTERS
    from taxomind_resources.catalogue import Catalogue
    from taxomind_resources.tables import BY_NAME

    broken, files = [], 0
    for table in BY_NAME.keys() - {CALIBRATIONS, VOTERS}:  # they are checked whole, by `_fitted`
        for key in place.outputs.keys(table):
            for part in place.outputs.parts(table, key):
                path = place.outputs.path(table, key, part)
                files += 1
                try:
                    pq.ParquetFile(path).close()
                except (OSError, ValueError) as error:
                    broken.append(f"{path}: {error}")
    if broken:
        return "fail", listed(broken), "Materialise the assets of these tables again; that replaces the files."
    catalogue = Catalogue(place.settings.data)
    if not catalogue.file.exists():
        return "ok", f"{files} files of tables; the DuckDB file comes with the first run", ""
    import duckdb

    try:
        with duckdb.connect(str(catalogue.file), read_only=True) as connection:
            connection.execute("SELECT count(*) FROM taxonomy.nodes").fetchone()
    except duckdb.Error as error:
        remedy = "Close the program that holds the file, or materialise any asset: that makes the file anew."
        return "warn", f"{catalogue.file.name} does not open: {' '.join(str(error).split())[:200]}", remedy
    return "ok", f"{files} files of tables can be read, {catalogue.file.name} opens", ""


def _vectors(place: _Place) -> tuple[Status, str, str]:
    if not place.built:
        return "ok", "no taxonomy has been embedded yet", ""
    from taxomind_assets.views.texts import VIEWS
    from taxomind_resources.vector_store import VectorStore

    store = VectorStore(place.settings.data / "vectors")
    unpinned = []
    for key in place.built:
        tag = f"index-{place.indexes.current(key)}"
        unpinned += [f"{key} ({view})" for view in VIEWS if tag not in store.tags(key, view)]
    if unpinned:
        remedy = "Classification works; build again to restore them: taxomind taxonomy add, or the asset group views."
        return "warn", f"no pinned vectors of the current index: {listed(unpinned)}", remedy
    return "ok", f"vectors of {_taxonomies(place.built)} are pinned in LanceDB", ""


def _indexes(place: _Place) -> tuple[Status, str, str]:
    from taxomind_assets.pending import pending_build
    from taxomind_assets.views.index import NodeIndex

    stale = []
    for key in place.built:
        NodeIndex.load(place.indexes.folder(key))
        if pending_build(key, place.settings, place.inbox, place.outputs)[0]:
            stale.append(key)
    if stale:
        return "warn", f"older than the taxonomy or the model: {listed(stale)}", _BUILD
    return "ok", f"current for {_taxonomies(place.built)}" if place.built else "no taxonomy has been built yet", ""


def _fitted(place: _Place) -> tuple[Status, str, str]:
    from taxomind_assets.classification.fitted_store import read_fitted

    found, problems = list[str](), dict[str, str]()
    for key in place.built:
        fitted, problem = read_fitted(place.outputs, key, place.indexes.current(key) or "")
        found += [key] if fitted else []
        problems |= {key: problem} if problem else {}
    if problems:
        detail = f"what labels have taught is left out: {listed([f'{key}: {what}' for key, what in problems.items()])}"
        return "warn", detail, f"Fit it again: taxomind report --rebuild --taxonomy {next(iter(problems))}"
    return "ok", f"fitted to the labels of {_taxonomies(found)}" if found else "the shipped numbers serve everywhere", ""


def _sensors(place: _Place) -> tuple[Status, str, str]:
    from taxomind_app.cli.instance import open_instance

    if not (place.settings.data / "dagster").is_dir() and not os.environ.get("DAGSTER_HOME"):
        return "warn", "nothing has run yet", "Start the daemon, which watches the inbox: taxomind ui"
    with open_instance(place.settings.data) as instance:
        silent, errors = silence(instance), complaints(instance)
    if math.isinf(silent):
        return "warn", "no daemon has ever run, so the inbox is not watched", "Start it: taxomind ui"
    if silent > GONE_S:
        return "warn", f"the daemon was last seen {_ago(silent)} ago, so the inbox is not watched", "Start it: taxomind ui"
    if errors:
        return "fail", f"the daemon reports: {errors[0][:300]}", "Look at its page in the UI: Deployment, Daemons."
    return "ok", f"the daemon watches the inbox, last seen {_ago(silent)} ago", ""


def _pending(place: _Place) -> tuple[Status, str, str]:
    waiting, older = list[str](), list[str]()
    for key in place.keys:
        found = place.pending(key)
        waiting += [f"{key}: {name}" for name, digest in _asked(found) if digest]
        older += [key] if found.stale_report else []
    if waiting:
        return "warn", f"not dealt with yet: {listed(waiting)}", "A running daemon does it within a minute; else: taxomind ui"
    # Nobody need do anything: the nightly schedule does.
    nightly = f"; reports are made anew at night: {listed(older)} (now: taxomind report --rebuild)" if older else ""
    return "ok", f"the inputs of {_taxonomies(place.keys)} are dealt with{nightly}", ""


def _stale(place: _Place) -> tuple[Status, str, str]:
    from taxomind_assets.classification.staleness import described

    found = [f"{key}: {sentence}" for key in place.keys for sentence in described(place.stale(key))]
    if found:
        return "warn", listed(found), "They stay as they are until you say so: taxomind classify --stale --taxonomy KEY"
    return "ok", "every stored answer is up to date", ""


def _refused(place: _Place) -> tuple[Status, str, str]:
    from taxomind_assets.pending import REFUSED

    found = []
    for key in place.keys:
        rows = place.outputs.read("taxonomy.rejected_rows", key, columns=["reason"], parts=[REFUSED]).to_pylist()
        found += [f"{key}: {rows[0]['reason'][:200]}"] if rows else []
    if found:
        remedy = "Correct the file and add it again; the last good version stays in use. All problems: taxonomy.rejected_rows."
        return "warn", listed(found), remedy
    return "ok", "no taxonomy file was refused", ""


def _ignored(place: _Place) -> tuple[Status, str, str]:
    from taxomind_resources.inbox import SUFFIXES

    found: list[Ignored] = list(place.inbox.problems())
    for key in place.keys:
        for kind in SUFFIXES:
            found += place.inbox.ignored(key, kind)
    if found:
        described = listed([f"{ignored.path} {ignored.reason}" for ignored in found])
        return "warn", described, "Rename or remove them; files are read once they have rested for some seconds."
    return "ok", "every file of the inbox is read", ""


def _growth(place: _Place) -> tuple[Status, str, str]:
    from taxomind_assets.growth.decisions import read_decisions

    pending, keys = 0, list[str]()
    for key in place.built:
        try:
            read_decisions(place.inbox, key)
            rows = place.outputs.read("growth.candidates", key, columns=["status"])["status"].to_pylist()
        except Fault as fault:
            return "warn", f"{key}: candidates cannot be counted: {fault.what}", fault.next_step
        if own := rows.count("pending"):
            pending, keys = pending + own, [*keys, key]
    if pending:
        what = f"{pending} taxonomy candidate{'' if pending == 1 else 's'} pending review: {listed(keys)}"
        return "warn", what, f"taxomind growth review --taxonomy {keys[0]}"
    return "ok", "no growth candidates pending review", ""


def _taxonomies(keys: list[str]) -> str:
    return f"{len(keys)} taxonom{'y' if len(keys) == 1 else 'ies'}"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


_BUILD: Final = "A running daemon builds them; else: taxomind taxonomy add KEY FILE, or taxomind ui"
_CHECKS: Final[dict[str, Callable[[_Place], tuple[Status, str, str]]]] = {
    "data root": _data_root,
    "model": _model,
    "storage": _storage,
    "vectors": _vectors,
    "indexes": _indexes,
    "calibration": _fitted,
    "models in use": lambda place: promoted_models(place.settings.data, place.outputs, place.built),
    "sensors": _sensors,
    "inputs": _pending,
    "answers": _stale,
    "taxonomies": _refused,
    "inbox": _ignored,
    "growth": _growth,
    "unused nodes": lambda place: unused_nodes(place.outputs, place.built),
}
