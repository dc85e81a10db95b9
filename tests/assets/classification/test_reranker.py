"""The reranker, with small random cross-encoders run by the real library."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.classification import second_opinion
from taxomind_assets.classification.open_answers import UNDECIDED, OpenAnswers
from taxomind_assets.classification.reranker import Reranker, _winners
from taxomind_assets.classification.stopping import NOWHERE
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_assets.views.texts import whole_text
from taxomind_resources.faults import Fault
from taxomind_resources.settings import Settings

TEXTS = ["manager", "teacher", "work with children", "it specialist", "shop", "person", "officer", "qqq zzz"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def save_cross_encoder(folder, labels=1):
    import torch
    import transformers
    from tokenizers import processors

    from tests.resources.embedding.tiny_models import COMMON, bert_tokenizer

    tokenizer = bert_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(7)
    config = transformers.BertConfig(vocab_size=len(tokenizer), num_labels=labels, **COMMON)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross-encoder")
    save_cross_encoder(folder)
    return folder


@pytest.fixture
def reranker(cross_encoder):
    def make(folder=cross_encoder, **changes):
        values = {"model": str(folder), "device": "cpu", "max_tokens": 48, "margin": 0.0} | changes
        return Reranker.of(Settings.model_validate({"reranker": values, "embedding": {"local_files_only": True}}))

    return make


def code_of(call):
    with pytest.raises(Fault) as caught:
        call()
    return caught.value.code


def test_there_is_no_reranker_unless_one_is_named():
    assert Settings().reranker.model is None


def test_scores_are_those_of_the_library(cross_encoder, reranker):
    import torch
    from sentence_transformers import CrossEncoder

    pairs = [("nurse", "doctor"), ("software engineer", "senior welder of the farm"), ("nurse", "teacher " * 100)]
    library = CrossEncoder(str(cross_encoder), device="cpu", max_length=48)
    expected = library.predict(pairs, activation_fn=torch.nn.Identity())
    found = reranker().scores(pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.ptp(found) > 0.01


def test_the_best_option_wins_when_it_leads_by_the_margin(occupations, reranker):
    tree = occupations.tree
    current = np.full(20, ROOT, np.int32)
    options = np.tile(tree.children_of(ROOT)[:4].astype(np.int32), (20, 1))
    options[::2, 3] = ROOT
    texts = [f"nurse doctor {'teacher ' * i}" for i in range(20)]
    questions = OpenAnswers(tree, np.arange(20), texts, current, options)
    subject = reranker()
    chosen = subject.choose(questions)
    for row, text in enumerate(texts):
        nodes = [node for node in options[row] if node != ROOT]
        scores = subject.scores([(text, whole_text(tree, node, "")) for node in nodes])
        assert chosen[row] == int(np.argmax(scores))
    assert (reranker(margin=1.0).choose(questions) == UNDECIDED).all()
    assert (chosen[::2] < 3).all()


def test_a_leaf_that_was_the_answer_is_a_candidate_too(occupations, reranker):
    tree = occupations.tree
    leaves = np.flatnonzero(tree.is_leaf).astype(np.int32)[:3]
    subject = reranker()
    scores = subject.scores([("senior nurse", whole_text(tree, leaf, "")) for leaf in leaves])
    best, *others = leaves[np.argsort(-scores)]
    asked = [(best, others), (others[1], [best, others[0]])]
    current, options = np.array([node for node, _ in asked]), np.array([rest for _, rest in asked])
    chosen = subject.choose(OpenAnswers(tree, np.arange(2), ["senior nurse"] * 2, current, options))
    assert chosen.tolist() == [UNDECIDED, 0]


def test_an_only_child_has_nothing_to_win_against(occupations, reranker):
    questions = OpenAnswers(occupations.tree, np.arange(1), ["nurse"], np.array([ROOT]), np.array([[0, ROOT]]))
    assert reranker().choose(questions).tolist() == [UNDECIDED]


@given(
    st.lists(
        st.lists(st.sampled_from([-np.inf, -3.0, 0.0, 0.1, 2.0, 900.0, np.nan, np.inf]), min_size=4, max_size=4), max_size=5
    ),
    st.floats(0, 1),
)
def test_a_winner_leads_by_the_margin_and_is_no_former_answer(rows, margin):
    scores = np.array(rows, np.float64).reshape(-1, 4)
    for values, chosen in zip(scores, _winners(scores, margin).tolist(), strict=True):
        usable = not np.isnan(values).any() and not (values == np.inf).any() and np.isfinite(values).sum() >= 2
        shares = np.sort(np.exp(values - values.max()) / np.exp(values - values.max()).sum()) if usable else None
        clear = usable and shares[-1] - shares[-2] >= margin and int(values.argmax()) < 3
        assert chosen == (int(values.argmax()) if clear else UNDECIDED)


def test_clear_winners_become_answers(occupations, classifier_of, cross_encoder):
    before = classifier_of(occupations).answers(TEXTS)
    own = {"model": str(cross_encoder), "device": "cpu", "max_tokens": 48, "margin": 0.0}
    after = classifier_of(occupations, reranker=own).answers(TEXTS)
    moved = after.nodes != before.nodes
    open_ = before.ambiguous & (before.reasons != NOWHERE)
    assert moved.any()
    assert not (moved & ~open_).any()
    for row in np.flatnonzero(moved).tolist():
        node = after.nodes[row]
        assert node in before.alternatives[row]
        assert after.reasons[row] == f"{before.reasons[row]}|reranker"
        depth = occupations.tree.depths[node]
        assert after.path[row, depth - 1] == node
        assert (np.diff(after.confidences[row, :depth]) <= 0).all()
        assert after.ambiguous[row] == (not occupations.tree.is_leaf[node])


def test_texts_that_belong_nowhere_stay_nowhere(occupations, classifier_of, cross_encoder):
    own = {"model": str(cross_encoder), "device": "cpu", "max_tokens": 48, "margin": 0.0}
    texts = ["qqq zzz", "asdf jkl qwer", "3.14159 2.71828"]
    before = classifier_of(occupations).answers(texts)
    after = classifier_of(occupations, reranker=own).answers(texts)
    nowhere = before.reasons == NOWHERE
    assert nowhere.any()
    assert (after.nodes[nowhere] == ROOT).all()
    assert (after.reasons[nowhere] == NOWHERE).all()


def test_a_model_from_the_hub_needs_a_pinned_revision(reranker):
    assert code_of(lambda: reranker("some/reranker")) == "invalid_setting"
    assert code_of(lambda: reranker("some/reranker", revision="main")) == "invalid_setting"


def test_a_model_that_is_not_there_is_told(reranker, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert code_of(lambda: reranker("some/reranker", revision=COMMIT)) == "model_unavailable"


def test_a_downloaded_model_is_used(reranker, cross_encoder, tmp_path):
    repository = tmp_path / "models" / "hub" / "models--some--reranker"
    shutil.copytree(cross_encoder, repository / "snapshots" / COMMIT)
    own = {"model": "some/reranker", "revision": COMMIT, "device": "cpu", "max_tokens": 48}
    settings = Settings.model_validate({"data": tmp_path, "reranker": own, "embedding": {"local_files_only": True}})
    pairs = [("nurse", "doctor")]
    np.testing.assert_allclose(Reranker.of(settings).scores(pairs), reranker().scores(pairs))


def test_a_folder_without_a_model_is_told(reranker, tmp_path):
    assert code_of(lambda: reranker(tmp_path).scores([("a", "b")])) == "model_unavailable"


def test_a_model_with_several_labels_is_refused(reranker, tmp_path):
    save_cross_encoder(tmp_path, labels=3)
    assert code_of(lambda: reranker(tmp_path).scores([("a", "b")])) == "invalid_setting"


def test_pickled_weights_are_refused(reranker, cross_encoder, tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "model"
    shutil.copytree(cross_encoder, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert code_of(lambda: reranker(folder).scores([("a", "b")])) == "model_unavailable"


def test_code_of_a_model_is_not_run(reranker, cross_encoder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(cross_encoder, folder)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"}
    config |= {"model_type": "of_its_own", "auto_map": names}
    (folder / "config.json").write_text(json.dumps(config))
    assert code_of(lambda: reranker(folder).scores([("a", "b")])) == "model_unavailable"
    assert not (tmp_path / "ran").exists()


def test_a_gpu_that_is_not_there_is_told(reranker):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert code_of(lambda: reranker(device="cuda").scores([("a", "b")])) == "invalid_setting"


def test_the_reranker_asks_no_language_model(occupations, classifier_of, cross_encoder):
    own = {"model": str(cross_encoder), "device": "cpu", "max_tokens": 48, "margin": 0.0}
    subject = classifier_of(occupations, reranker=own, llm={"base_url": "http://127.0.0.1:9/v1", "cache": False})
    subject.answers(TEXTS)
    assert second_opinion.spent(subject.settings).questions == 0


def test_the_outlook_counts_what_the_reranker_would_see_and_loads_no_model(occupations, classifier_of):
    subject = classifier_of(occupations, reranker={"model": "no/such-model", "revision": "0" * 40})
    found = second_opinion.outlook(subject, TEXTS)
    assert found.judged is None
    assert 0 < found.reranked <= len(TEXTS)
    assert f"{found.reranked:,} of {len(TEXTS):,} answers" in found.lines()[0]
