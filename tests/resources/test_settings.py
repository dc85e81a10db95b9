"""Settings: one place, typed, and a wrong name is told."""

from __future__ import annotations

import pytest

from taxomind_resources.faults import Fault
from taxomind_resources.settings import Settings, known_settings, load_settings


def test_defaults_need_nothing(tmp_path):
    settings = load_settings(tmp_path, {})
    assert settings.data == tmp_path
    assert settings.embedding.model == "all-MiniLM-L6-v2"


def test_the_data_root_comes_from_the_environment(tmp_path):
    assert load_settings(None, {"TAXOMIND_DATA": str(tmp_path)}).data == tmp_path


def test_environment_beats_file(tmp_path):
    (tmp_path / "settings.toml").write_text('[routing]\nstop_rule = "rules"\nmin_descent_gap = 0.2\n')
    settings = load_settings(tmp_path, {"TAXOMIND_ROUTING__STOP_RULE": "never"})
    assert settings.routing.stop_rule == "never"
    assert settings.routing.min_descent_gap == 0.2


def test_one_taxonomy_may_differ(tmp_path):
    (tmp_path / "settings.toml").write_text("[taxonomy.ISCO.routing]\naccuracy_target = 0.95\n")
    settings = load_settings(tmp_path, {})
    assert settings.for_taxonomy("ISCO").routing.accuracy_target == 0.95
    assert settings.for_taxonomy("other") is settings


@pytest.mark.parametrize(
    ("variable", "near"),
    [("TAXOMIND_ROUTING__STOPRULE", "routing.stop_rule"), ("TAXOMIND_EMBEDING__MODEL", "embedding.model")],
)
def test_an_unknown_name_proposes_the_nearest(tmp_path, variable, near):
    with pytest.raises(Fault) as caught:
        load_settings(tmp_path, {variable: "x"})
    assert caught.value.code == "unknown_setting"
    assert near.split(".")[0] in (caught.value.allowed or "")


def test_a_wrong_value_names_the_setting(tmp_path):
    with pytest.raises(Fault) as caught:
        load_settings(tmp_path, {"TAXOMIND_ROUTING__ACCURACY_TARGET": "1.5"})
    assert caught.value.code == "invalid_setting"
    assert "routing.accuracy_target" in caught.value.what


def test_a_wrong_setting_of_one_taxonomy_is_told_too(tmp_path):
    (tmp_path / "settings.toml").write_text('[taxonomy.ISCO.routing]\nstop_rul = "never"\n')
    with pytest.raises(Fault) as caught:
        load_settings(tmp_path, {}).for_taxonomy("ISCO")
    assert caught.value.code == "unknown_setting"


@pytest.mark.parametrize("content", [b"routing = [", b"\xff\xfe\x00"])
def test_a_broken_file_is_a_fault(tmp_path, content):
    (tmp_path / "settings.toml").write_bytes(content)
    with pytest.raises(Fault) as caught:
        load_settings(tmp_path, {})
    assert caught.value.code == "unreadable_file"


def test_every_setting_is_described():
    for name in known_settings():
        group, _, field = name.partition(".")
        fields = Settings.model_fields if not field else Settings.model_fields[group].annotation.model_fields
        assert fields[field or group].description, name


def test_the_deciding_version_changes_with_what_decides(tmp_path):
    base = load_settings(tmp_path, {})
    assert base.deciding_version() == load_settings(tmp_path, {}).deciding_version()
    assert base.deciding_version() != load_settings(tmp_path, {"TAXOMIND_ROUTING__STOP_RULE": "never"}).deciding_version()
    assert base.deciding_version() == load_settings(tmp_path, {"TAXOMIND_LIMITS__MAX_NODES": "5"}).deciding_version()
