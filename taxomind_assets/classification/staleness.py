"""Answers that are older than what they depend on. They stay as they are until somebody asks for new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from taxomind_assets.classification.batches import BATCHES, shard_part
from taxomind_assets.classification.fitted_store import stored_row
from taxomind_assets.classification.shards import RESULTS
from taxomind_assets.learning.stored import current_evidence_version
from taxomind_assets.pending import SEEN
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

STALE: Final = "classification.stale_batches"
#: Columns of the results that say what an answer was made from, and what each is called.
_MADE_FROM: Final[Mapping[str, str]] = {
    "index_version": "index",
    "evidence_version": "evidence",
    "calibration_version": "calibration",
    "settings_version": "settings",
}


@dataclass(frozen=True, slots=True)
class StaleBatch:
    """A batch whose answers are older than what they depend on. `because`: index, evidence, calibration or settings."""

    batch_id: str
    source_file: str
    texts: int
    because: tuple[str, ...]
    evidence_version: str
    current_evidence_version: str


def stale_batches(key: str, settings: Settings, outputs: Outputs, indexes: IndexStore) -> list[StaleBatch]:
    """The batches of a taxonomy that `taxomind classify --stale` would answer anew.

    Args:
        key: taxonomy key.
        settings: the shared settings.
        outputs: where results are.
        indexes: the node indexes.

    Raises:
        Fault: `invalid_key`, `storage_failed`, `unknown_setting` or `invalid_setting`.
    """
    index_version = indexes.current(key)
    if index_version is None:
        return []
    own = settings.for_taxonomy(key)
    wanted = {
        "index_version": index_version,
        "evidence_version": current_evidence_version(outputs, key) if own.scoring.use_updated_evidence else "",
        "settings_version": own.deciding_version(),
    }
    # Without one of its own labels an index has that which it was built with.
    own_labels = stored_row(outputs, key, index_version)
    wanted |= {"calibration_version": own_labels["calibration_version"]} if own_labels else {}
    parts = [part for part in outputs.parts(BATCHES, key) if part != SEEN]
    rows = outputs.read(BATCHES, key, columns=["batch_id", "source_file", "rows"], parts=parts).to_pylist()
    found = []
    for row in rows:
        part = shard_part(row["batch_id"], 0)
        made = outputs.read(RESULTS, key, columns=list(_MADE_FROM), parts=[part]).slice(0, 1).to_pylist()
        because = tuple(what for name, what in _MADE_FROM.items() if made and made[0][name] != wanted.get(name, made[0][name]))
        if because:
            version = made[0]["evidence_version"]
            batch = row["batch_id"], row["source_file"], row["rows"]
            found.append(StaleBatch(*batch, because, version, wanted["evidence_version"]))
    return found


def note_stale_batches(key: str, settings: Settings, outputs: Outputs, indexes: IndexStore) -> list[StaleBatch]:
    """As `stale_batches`; also writes them to `classification.stale_batches`."""
    found = stale_batches(key, settings, outputs, indexes)
    outputs.write(STALE, key, _table(found))
    return found


def described(found: Iterable[StaleBatch]) -> list[str]:
    """One sentence per batch."""
    return [
        f"{batch.source_file}: {batch.texts:,} answers are older than the {' and the '.join(batch.because)}" for batch in found
    ]


def _table(found: Iterable[StaleBatch]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist([asdict(batch) for batch in found], schema=BY_NAME[STALE].arrow)
