from __future__ import annotations

from pathlib import Path

from taxomind_resources.embedding.placing import place_models


def test_models_of_an_image_are_placed_once(tmp_path: Path) -> None:
    shipped, root = tmp_path / "shipped", tmp_path / "data"
    for name in ("a", "b"):
        (shipped / name).mkdir(parents=True)
        (shipped / name / "model.xml").write_text("shipped", encoding="utf-8")
    (root / "models" / "a").mkdir(parents=True)
    (root / "models" / "a" / "model.xml").write_text("own", encoding="utf-8")
    for _ in range(2):
        place_models(root, str(shipped))
    assert {path.parent.name: path.read_text() for path in root.rglob("*.xml")} == {"a": "own", "b": "shipped"}
    assert sorted(path.name for path in (root / "models").iterdir()) == ["a", "b"]
    place_models(tmp_path / "other", str(tmp_path / "nowhere"))
    assert not (tmp_path / "other").exists()
