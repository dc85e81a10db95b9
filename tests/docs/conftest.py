"""The documents, and a small data root in which the README's example is built."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from taxomind_app.cli.main import main
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_resources.settings import LimitSettings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "data" / "examples" / "isco08"
#: Branches of ISCO-08 that the small example keeps, and a wrong code for some texts, so that every question has an answer.
TOPS = ("2", "5")
TAKEN_FOR = {"2": "5151", "5": "2512"}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory, model_root, embedder):
    """A data root with an excerpt of the shipped ISCO-08: taxonomy, answers and a report with some errors."""
    embedder.embed(["ready"], "query")
    folder = tmp_path_factory.mktemp("built")
    data = folder / "data"
    data.mkdir()
    (data / "models").symlink_to(model_root / "models")
    nodes = [row for row in _rows(EXAMPLE / "taxonomy.csv") if row["code"].startswith(TOPS) and row["language"] == "en"]
    taxonomy = _write(folder / "taxonomy.csv", nodes)
    known = [row for row in _rows(EXAMPLE / "labelled" / "job-titles.csv") if row["code"].startswith(TOPS)]
    tree = read_taxonomy(taxonomy, "isco08", LimitSettings()).taxonomy
    leaves = [tree.nodes[place] for place in range(len(tree)) if tree.is_leaf[place]]
    listed = [(node.code, node.texts[0].examples[0]) for node in leaves[:20] + leaves[-20:] if node.texts[0].examples]
    wrong = [
        {**known[0], "text_id": f"wrong-{i}", "text": text, "language": "en", "code": TAKEN_FOR[code[0]]}
        for i, (code, text) in enumerate(listed)
    ]
    texts = EXAMPLE / "texts" / "survey-answers.csv"
    labelled = _write(folder / "labelled.csv", known + wrong)
    files = [str(taxonomy), "--texts", str(texts), "--labelled", str(labelled)]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TAXOMIND_DATA", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        assert main(["taxonomy", "add", "isco08", *files, "--data", str(data)]) == 0
    return data
