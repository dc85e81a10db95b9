"""Taxonomies as the outputs hold them, read and written by the assets of every stage."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from taxomind_assets.taxonomy.records import taxonomy_from_table, taxonomy_to_table
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from taxomind_assets.inputs import RejectedRow
    from taxomind_assets.taxonomy.assemble import TaxonomyFile
    from taxomind_assets.taxonomy.revision import Revision
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.outputs import Outputs


def stored_taxonomy(outputs: Outputs, key: str, table: str = "taxonomy.enriched_nodes") -> Taxonomy:
    """The current taxonomy.

    Args:
        outputs: where it is stored.
        key: taxonomy key.
        table: `taxonomy.enriched_nodes`, or `taxonomy.nodes` for what the file itself said.

    Raises:
        Fault: `unknown_taxonomy` when there is none; `storage_failed` when the stored rows are no tree.
    """
    rows = outputs.read(table, key)
    if not rows.num_rows:
        next_step = "Put a taxonomy file into its inbox folder, or materialise the asset group taxonomy."
        raise Fault("unknown_taxonomy", f"There are no nodes of {key!r} in {table}.", value=key, next_step=next_step)
    try:
        tree = taxonomy_from_table(rows, key)
    except (ValueError, IndexError) as error:
        raise Fault("storage_failed", f"{table} of {key!r}: {error}", next_step="Materialise raw_taxonomy again.") from error
    about = outputs.read("taxonomy.versions", key, columns=["display_name", "level_names"], parts=[tree.version]).to_pylist()
    if not about:
        return tree
    level_names = {named["level"]: named["name"] for named in about[0]["level_names"]}
    return dataclasses.replace(tree, display_name=about[0]["display_name"], level_names=level_names)


def write_taxonomy(
    outputs: Outputs,
    key: str,
    source_file: str,
    found: TaxonomyFile,
    digest: str,
    *,
    log: Sequence[Revision] = (),
    log_digest: str = "",
) -> pa.Table:
    """Make a taxonomy that was read the current one; returns its nodes.

    The nodes are written last: until then the former version is whole, and a run that was killed is seen as not done.

    Args:
        outputs: where to write.
        key: taxonomy key.
        source_file: name of the file.
        found: what was read from it.
        digest: state of the inbox that it stands for.
        log: the records of revisions.
        log_digest: state of their files.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_assets.taxonomy.versions import HISTORY, write_crosswalk, write_version

    tree = found.taxonomy
    nodes = taxonomy_to_table(tree)
    if not outputs.exists(HISTORY, key, tree.version):
        outputs.write(HISTORY, key, nodes, digest=tree.version, part=tree.version)
    write_version(outputs, key, source_file, found, log)
    write_crosswalk(outputs, key, log, log_digest)
    outputs.write("taxonomy.rejected_rows", key, rejected_table("taxonomy.rejected_rows", found.rejected), digest=digest)
    outputs.write("taxonomy.nodes", key, nodes, digest=digest)
    return nodes


def rejected_table(table: str, rows: Iterable[RejectedRow], **same: str) -> pa.Table:
    """Refused rows with the schema of `table`; `same`: values of the columns that it has besides those of a `RejectedRow`."""
    import pyarrow as pa

    return pa.Table.from_pylist([{**same, **dataclasses.asdict(row)} for row in rows], schema=BY_NAME[table].arrow)
