"""Checks of the stage TAXONOMY."""

from typing import TYPE_CHECKING

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check

from taxomind_assets.by_key import Checked, check_each_key
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.taxonomy.assets import raw_taxonomy
from taxomind_resources.dagster_resources import OutputsResource

if TYPE_CHECKING:
    import pyarrow as pa


@asset_check(
    asset=raw_taxonomy,
    partitions_def=taxonomy_keys,
    blocking=True,
    description="The stored nodes form a tree: unique codes, known parents, no circle, true paths and leaves, one version.",
)
def nodes_form_a_tree(context: AssetCheckExecutionContext, outputs: OutputsResource) -> AssetCheckResult:
    """Looks at the file as it was written, not at what was to be written."""
    written = outputs.open()

    def check(key: str) -> Checked:
        rows = written.read("taxonomy.nodes", key)
        return Checked(tuple(tree_problems(rows)), {"nodes": rows.num_rows})

    return check_each_key(context, check)


def tree_problems(rows: "pa.Table") -> list[str]:
    """What keeps the rows of `taxonomy.nodes` from being one tree, one sentence each."""
    from taxomind_assets.taxonomy.problems import Link, find_problems, problem_details

    nodes = rows.select(["code", "parent_code", "level", "path", "is_leaf", "version"]).to_pylist()
    if not nodes:
        return ["there are no nodes"]
    by_code = {node["code"]: node for node in nodes}
    problems = [f"{len(nodes) - len(by_code)} codes occur twice"] if len(by_code) < len(nodes) else []
    links = {code: Link(node["parent_code"], node["level"]) for code, node in by_code.items()}
    problems += [str(detail["what"]) for detail in problem_details(find_problems(links)[0])]
    if problems:
        return problems
    parents = {node["parent_code"] for node in nodes}
    above = {code: by_code[node["parent_code"]]["path"] if node["parent_code"] else [] for code, node in by_code.items()}
    wrong_path = [code for code, node in by_code.items() if node["path"] != [*above[code], code]]
    wrong_leaf = [code for code, node in by_code.items() if node["is_leaf"] == (code in parents)]
    for codes, what in ((wrong_path, "path"), (wrong_leaf, "is_leaf")):
        if codes:
            problems.append(f"{len(codes)} nodes have a wrong {what}: {', '.join(codes[:20])}")
    versions = {node["version"] for node in nodes}
    return problems if len(versions) == 1 else [*problems, f"there are {len(versions)} versions in one table"]
