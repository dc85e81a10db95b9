"""What a person sees in a browser: the lineage page of the web interface, in a real headless Chromium."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from taxomind_app.definitions import defs
from tests.acceptance.browser import BROWSERS, GROUPS, LINEAGE, PROGRAM, find_browser, look, own_environment, running_ui

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason=f"there is no browser: none of {', '.join(BROWSERS)} is on the PATH"),
]

NOTES = Path(__file__).parents[2] / "data" / "examples" / "notes"
#: Wide and high enough that the graph is drawn with full names and nothing of it lies outside.
SIZE = (6000, 3600)


@pytest.fixture
def materialised(tmp_path, model_root, embedder):
    """A data root in which the notes example is built; the converted model is that of all tests."""
    embedder.embed(["ready"], "query")
    data = tmp_path / "data"
    data.mkdir()
    (data / "models").symlink_to(model_root / "models")
    files = [NOTES / "taxonomy.csv", "--texts", NOTES / "texts" / "notes.csv", "--labelled", NOTES / "labelled" / "notes.csv"]
    command = [PROGRAM, "taxonomy", "add", "notes", *files, "--data", data]
    subprocess.run(list(map(str, command)), env=own_environment(), check=True, timeout=300, capture_output=True)
    return data


def test_lineage_page_shows_every_group_and_asset(materialised, tmp_path):
    picture = tmp_path / "lineage.png"
    specs = defs.resolve_all_asset_specs()
    assert {spec.group_name for spec in specs} == set(GROUPS)
    wanted = {f">{name}<" for name in (*GROUPS, *(spec.key.to_user_string() for spec in specs))}
    with running_ui(materialised) as address:
        # On a slow machine the page may give up on its first data; then it is opened once more, as a person would do.
        for _ in range(2):
            page = look(address + LINEAGE, picture, SIZE)
            missing = {text for text in wanted if text not in page}
            if not missing:
                break
    assert not missing
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert image.size == SIZE
        colours = image.convert("RGB").getcolors(maxcolors=SIZE[0] * SIZE[1])
    assert len(colours) > 50, "the page is blank"
