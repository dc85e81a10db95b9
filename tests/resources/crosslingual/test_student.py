from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.crosslingual import Student, StudentSpec
from taxomind_resources.crosslingual.pairs import AlignedPair
from taxomind_resources.crosslingual.training import train
from taxomind_resources.embedding.presets import PACKAGED_DIGESTS
from taxomind_resources.embedding.spec import Embedder
from taxomind_resources.faults import Fault


@pytest.fixture(scope="module")
def student(bilingual: list[AlignedPair], encoder: Embedder) -> Student:
    return train(bilingual, encoder, buckets=1 << 14, dims=24, bits=2, hold_out=0.0).student


@pytest.fixture(scope="module")
def shipped() -> Student:
    return Student.load()


def test_vectors_are_unit_rows_and_zero_where_nothing_is_known(student: Student) -> None:
    vectors = student.vectors(["maison verte", "", "?!", "東京", "qqqq"])
    assert vectors.shape == (5, 24)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 0, 0], abs=1e-5)
    assert student.vectors([]).shape == (0, 24)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["maison verte", "jardin", "", "東京 usineuse", "red chair", "lourde"]), max_size=9))
def test_a_vector_does_not_depend_on_its_batch(student: Student, texts: list[str]) -> None:
    together = student.vectors(texts)
    for row, text in enumerate(texts):
        assert (together[row] == student.vectors([text])[0]).all()


def test_many_threads_get_the_same_vectors(student: Student) -> None:
    texts = [f"maison {number} verte" for number in range(300)]
    expected = student.vectors(texts)
    with ThreadPoolExecutor(4) as pool:
        assert all((found == expected).all() for found in pool.map(student.vectors, [texts] * 8))


def test_project_gives_unit_rows_in_the_same_space(student: Student, encoder: Embedder) -> None:
    projected = student.project(encoder.embed(["green house", "red bridge", ""], "document"))
    similar = student.vectors(["maison verte", "passerelle rouge"]) @ projected.T
    assert projected.shape == (3, 24)
    assert np.linalg.norm(projected, axis=1) == pytest.approx([1, 1, 0], abs=1e-5)
    assert similar.argmax(axis=1).tolist() == [0, 1]


def test_blended_vectors_hold_meaning_and_spelling_of_understood_texts_only(student: Student, encoder: Embedder) -> None:
    texts = ["green house", "maison verte", ""]
    encoded = encoder.embed(texts, "document")
    own, meaning = student.vectors(texts), student.project(encoded)
    blended = student.blended(texts, encoded, np.array([True, False, True]))
    assert np.linalg.norm(blended, axis=1) == pytest.approx([1, 1, 0], abs=1e-5)
    assert blended[0] @ own[0] == pytest.approx(blended[0] @ meaning[0], abs=1e-5)
    assert blended[1] == pytest.approx(own[1], abs=1e-6)
    assert student.blended(texts, encoded)[1] @ meaning[1] > own[1] @ meaning[1]
    with pytest.raises(Fault, match="not equally many"):
        student.blended(texts[:2], encoded)


def test_vectors_of_another_encoder_are_refused(student: Student, encoder: Embedder) -> None:
    assert student.spec.fits(encoder.spec)
    assert not student.spec.fits(replace(encoder.spec, weights_digest="c" * 64))
    for shape in ((2, 24), (48,)):
        with pytest.raises(Fault, match="not those of the student's encoder"):
            student.project(np.ones(shape, np.float32))


def test_a_saved_student_comes_back_whole(student: Student, tmp_path: Path) -> None:
    path = student.save(tmp_path / "folder" / "student.npz")
    loaded = Student.load(path)
    texts = ["maison verte", "chaise", "nothing"]
    assert loaded.spec == student.spec
    assert (loaded.vectors(texts) == student.vectors(texts)).all()
    assert loaded.save(tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["student.npz"]
    with pytest.raises(ValueError, match="read-only"):
        loaded.mean[0] = 1


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _with_spec(path: Path, **changes: object) -> dict[str, np.ndarray]:
    arrays = _arrays(path)
    spec = json.loads(arrays["spec"].tobytes()) | changes
    return arrays | {"spec": np.frombuffer(json.dumps(spec).encode(), np.uint8)}


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 99},
        {"features_version": 99},
        {"bits": 3},
        {"bits": 4},
        {"bucket_bits": -1},
        {"bucket_bits": 4000},
        {"dims": 32},
        {"languages": 5},
        {"dims": None},
    ],
)
def test_files_of_another_version_or_shape_are_refused(student: Student, tmp_path: Path, changes: dict[str, object]) -> None:
    path = student.save(tmp_path / "student.npz")
    np.savez(path, **_with_spec(path, **changes))
    with pytest.raises(Fault) as caught:
        Student.load(path)
    assert caught.value.code == "unsupported_format"


def test_values_that_are_no_numbers_are_refused(student: Student, tmp_path: Path) -> None:
    path = student.save(tmp_path / "student.npz")
    arrays = _arrays(path)
    arrays["mean"] = np.full_like(arrays["mean"], np.nan)
    np.savez(path, **arrays)
    with pytest.raises(Fault, match="unsupported_format"):
        Student.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "student.npz"
    path.write_bytes(content)
    with pytest.raises(Fault) as caught:
        Student.load(path)
    assert caught.value.code == "unreadable_file"


def test_a_cut_file_a_single_array_and_no_file_are_refused(student: Student, tmp_path: Path) -> None:
    path = student.save(tmp_path / "student.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(Fault, match="unreadable_file"):
        Student.load(path)
    with pytest.raises(Fault, match="unreadable_file"):
        Student.load(tmp_path / "none.npz")
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(Fault, match="unsupported_format"):
        Student.load(tmp_path / "array.npy")


def test_pickles_are_never_opened(student: Student, tmp_path: Path) -> None:
    path = student.save(tmp_path / "student.npz")
    np.savez(path, **(_arrays(path) | {"mean": np.array([{"a": 1}], dtype=object)}), allow_pickle=True)
    with pytest.raises(Fault):
        Student.load(path)


def test_the_shipped_student_is_small_and_fits_the_packaged_model(shipped: Student) -> None:
    from taxomind_resources.crosslingual.student import SHIPPED

    assert SHIPPED.stat().st_size <= 10_000_000
    assert shipped.spec.encoder_weights == PACKAGED_DIGESTS["model.safetensors"]
    assert (shipped.spec.encoder_dimensions, shipped.spec.dims) == (384, 256)
    assert {"bg", "de", "el", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "sv", "tr", "vi", "zh-CN"} <= set(
        shipped.spec.languages
    )
    assert len(shipped.spec.languages) >= 30
    assert Student.load() is shipped


def test_the_shipped_student_translates_words_of_many_scripts(shipped: Student) -> None:
    """Each word is nearest to the same word in the other languages, among ten."""
    words = {
        "de": ["Bäcker", "Lehrer", "Fahrrad", "Milch", "Stühle"],
        "fr": ["boulangers", "enseignants", "bicyclette", "lait", "chaises"],
        "pl": ["piekarze", "nauczyciele", "rower", "mleko", "krzesła"],
        "el": ["αρτοποιοί", "εκπαιδευτικοί", "ποδήλατο", "γάλα", "καρέκλες"],
    }
    vectors = {language: shipped.vectors(texts) for language, texts in words.items()}
    right = [
        (vectors[one] @ vectors[other].T).argmax(axis=1) == np.arange(5) for one in words for other in words if one != other
    ]
    assert np.mean(right) >= 0.75


def test_a_description_keeps_its_values_through_json(shipped: Student) -> None:
    from dataclasses import asdict

    assert StudentSpec.from_mapping(json.loads(json.dumps(asdict(shipped.spec))) | {"later": 1}) == shipped.spec
