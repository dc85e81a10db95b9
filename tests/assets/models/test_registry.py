"""Plug-ins by name: found, described, refused, and added by other packages."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from taxomind_assets.models import registry as module
from taxomind_assets.models.contracts import PluginInfo, PluginParameters, Requirement
from taxomind_assets.models.registry import Registry, registry
from taxomind_resources.faults import Fault


class Letters:
    """Tokens are single letters: what the docstring of `contracts` shows."""

    info = PluginInfo("letters", "tokenizer", "single letters")

    class Parameters(PluginParameters):
        lower_case: bool = True

    def __init__(self, parameters, surroundings):
        self.parameters = parameters

    def fit(self, batches):
        return None

    def tokenize(self, texts):
        return [list(text) for text in texts]

    def save(self, folder):
        return None

    @classmethod
    def load(cls, folder, parameters, surroundings):
        return cls(parameters, surroundings)


def test_what_ships_is_there():
    found = {kind: [p.info.name for p in registry().plugins(kind)] for kind in ("tokenizer", "features", "classifier")}
    assert found == {
        "tokenizer": ["huggingface", "icu", "sentencepiece", "spacy"],
        "features": ["bow", "fasttext", "sbert", "tfidf"],
        "classifier": ["logreg", "nearest_centroid", "svm", "transformer", "xgboost"],
    }


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from taxomind_assets.models.registry import registry\n"
        "assert all(plugin.described() for plugin in registry().plugins())\n"
        "heavy = {'torch', 'spacy', 'xgboost', 'sklearn', 'gensim', 'transformers', 'scipy', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


def test_a_name_that_is_unknown_or_of_another_kind_is_refused_with_those_that_exist():
    with pytest.raises(Fault) as raised:
        registry().get("classifier", "forest")
    assert "svm" in (raised.value.allowed or "")
    with pytest.raises(Fault, match="plug-in of kind tokenizer"):
        registry().get("classifier", "icu")


def test_an_unknown_parameter_is_refused_with_those_that_exist():
    with pytest.raises(Fault) as raised:
        registry().get("classifier", "svm").parameters({"max_iters": 1})
    assert "C=1.0" in (raised.value.allowed or "")
    assert "'max_iter'" in raised.value.next_step
    with pytest.raises(Fault, match="greater than 0"):
        registry().get("classifier", "svm").parameters({"C": -1})


def test_a_locale_reaches_no_other_tokenizer():
    with pytest.raises(Fault, match="no parameter 'locale'"):
        registry().get("tokenizer", "spacy").parameters({"locale": "de"})


@pytest.mark.parametrize(
    "requirement", [Requirement("no_such_module", ("no-such",), ">=1"), Requirement("numpy", ("numpy",), ">=99")]
)
def test_what_is_missing_is_a_sentence_with_the_command(requirement):
    class Needy(Letters):
        info = PluginInfo("needy", "tokenizer", "needs more", requires=(requirement,), extra="icu")

    own = Registry()
    own.add(Needy, source="test")
    assert own.plugins(installed=True) == []
    with pytest.raises(Fault) as raised:
        own.create("tokenizer", "needy", {}, None)
    assert raised.value.code == "missing_extra"
    assert raised.value.next_step == "pip install 'taxomind[icu]'"


def test_every_extra_that_a_plugin_names_exists():
    pyproject = Path(__file__).parents[3] / "pyproject.toml"
    declared = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for plugin in registry().plugins():
        assert not plugin.info.requires or plugin.info.extra in declared, plugin.info.name


def test_names_are_unique_for_each_kind():
    own = Registry()
    own.add(Letters, source="one")
    with pytest.raises(Fault, match="already"):
        own.add(Letters, source="two")
    own.add(Letters, source="two", override=True)
    assert own.get("tokenizer", "letters").source == "two"

    class Same(Letters):
        info = PluginInfo("letters", "features", "of another kind")

    own.add(Same, source="two")
    assert len(own.plugins()) == 2


def test_what_is_no_plugin_is_refused():
    with pytest.raises(Fault, match="no plug-in"):
        Registry().add(str, source="test")


def test_other_packages_add_plugins_and_broken_ones_stop_nobody(monkeypatch):
    class Point:
        def __init__(self, name, load):
            self.name, self.value, self.dist, self.load = name, "package:Letters", None, load

    def fail():
        raise ImportError("no such thing")

    points = [Point("letters", lambda: Letters), Point("bad", fail)]
    monkeypatch.setattr(module.metadata, "entry_points", lambda group: points if group == "taxomind.plugins" else [])
    monkeypatch.setattr(module, "_BROKEN", [])
    registry.cache_clear()
    try:
        assert registry().get("tokenizer", "letters").factory is Letters
        assert module.broken() == ["bad of package:Letters: no such thing"]
    finally:
        registry.cache_clear()


def test_a_plugin_is_described_whole():
    found = registry().get("classifier", "xgboost").described()
    assert {"name", "kind", "summary", "speed", "quality", "memory", "streaming", "onnx", "missing", "install"} <= set(found)
    assert found["parameters"]["max_depth"] == {"default": 6, "meaning": "depth of a tree"}
