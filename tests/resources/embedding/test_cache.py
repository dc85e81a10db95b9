"""The disk cache: exact, safe for several processes, and never a reason to fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from taxomind_resources.embedding.cache import VectorCache, vector_keys

DIMENSIONS = 8
ROOMY = 2**30


def some_vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float16)


def some_keys(count: int, start: int = 0) -> list[bytes]:
    return vector_keys([f"text {number}" for number in range(start, start + count)], "")


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "deep" / "c.sqlite", DIMENSIONS, ROOMY)


def test_stored_vectors_come_back_exactly(cache):
    keys, vectors = some_keys(3000), some_vectors(3000)
    cache.store(keys, vectors)
    positions, found = cache.lookup(keys)
    order = np.argsort(positions)
    np.testing.assert_array_equal(positions[order], np.arange(3000))
    np.testing.assert_array_equal(found[order], vectors)


def test_lookup_finds_only_what_is_known(cache):
    cache.store(some_keys(3), some_vectors(3))
    positions, found = cache.lookup(some_keys(4, start=2))
    assert positions.tolist() == [0]
    np.testing.assert_array_equal(found, some_vectors(3)[2:])


def test_an_empty_lookup_and_an_empty_store_do_nothing(cache):
    cache.store([], np.empty((0, DIMENSIONS), np.float16))
    positions, found = cache.lookup([])
    assert positions.shape == (0,)
    assert found.shape == (0, DIMENSIONS)


def test_a_known_key_keeps_its_first_vector(cache):
    cache.store(some_keys(1), some_vectors(1, seed=1))
    cache.store(some_keys(1), some_vectors(1, seed=2))
    np.testing.assert_array_equal(cache.lookup(some_keys(1))[1], some_vectors(1, seed=1))


def test_keys_depend_on_prompt_and_text():
    keys = {*vector_keys(["nurse", "cook"], ""), *vector_keys(["nurse", "cook"], "query: "), *vector_keys(["query: nurse"], "")}
    assert len(keys) == 5
    assert {len(key) for key in keys} == {16}


def test_a_vector_of_another_length_counts_as_unknown(cache, tmp_path):
    cache.store(some_keys(1), some_vectors(1))
    cache.close()
    other = VectorCache(tmp_path / "deep" / "c.sqlite", DIMENSIONS + 1, ROOMY)
    assert other.lookup(some_keys(1))[0].size == 0


@pytest.mark.parametrize("damage", ["header", "pages", "cut"])
def test_a_corrupt_file_is_set_aside_and_begun_anew(cache, tmp_path, damage, caplog):
    cache.store(some_keys(2000), some_vectors(2000))
    cache.close()
    file = tmp_path / "deep" / "c.sqlite"
    content = bytearray(file.read_bytes())
    if damage == "header":
        content[:200] = b"x" * 200
    elif damage == "pages":
        content[8192:] = os.urandom(len(content) - 8192)
    else:
        del content[len(content) // 2 :]
    file.write_bytes(bytes(content))
    cache.lookup(some_keys(2000))
    cache.store(some_keys(2000), some_vectors(2000))
    assert len(cache.lookup(some_keys(2000))[0]) == 2000
    assert "set aside" in caplog.text
    assert len(list(file.parent.glob("c.sqlite.corrupt-*"))) == 1


def test_a_folder_that_cannot_be_made_only_costs_the_cache(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = VectorCache(tmp_path / "file" / "c.sqlite", DIMENSIONS, ROOMY)
    cache.store(some_keys(1), some_vectors(1))
    assert cache.lookup(some_keys(1))[0].size == 0
    assert cache.count() == 0
    assert caplog.text.count("cannot be used") == 1


def test_the_oldest_vectors_go_when_the_file_is_over_its_limit(tmp_path):
    cache = VectorCache(tmp_path / "c.sqlite", DIMENSIONS, 200_000)
    for start in range(0, 20_000, 500):
        cache.store(some_keys(500, start), some_vectors(500))
    assert 500 < cache.count() < 10_000
    assert len(cache.lookup(some_keys(500, 19_500))[0]) == 500
    assert len(cache.lookup(some_keys(500, 0))[0]) == 0
    assert (tmp_path / "c.sqlite").stat().st_size < 400_000


WRITER = """
import sys
from pathlib import Path
import numpy as np
from taxomind_resources.embedding.cache import VectorCache, vector_keys
cache = VectorCache(Path(sys.argv[1]), 8, 2**30)
for block in range(int(sys.argv[2]), int(sys.argv[3])):
    keys = vector_keys([f"text {number}" for number in range(block * 200, block * 200 + 200)], "")
    cache.store(keys, np.full((200, 8), block, np.float16))
    print(block, flush=True)
"""


def start_writer(file, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(file), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_write_at_once_and_lose_nothing(tmp_path):
    file = tmp_path / "c.sqlite"
    writers = [start_writer(file, 0, 60), start_writer(file, 30, 90)]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(None, 0), (None, 0)]
    cache = VectorCache(file, DIMENSIONS, ROOMY)
    positions, vectors = cache.lookup(some_keys(90 * 200))
    assert len(positions) == 90 * 200
    np.testing.assert_array_equal(vectors[:, 0], positions // 200)


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_blocks(tmp_path):
    file = tmp_path / "c.sqlite"
    writer = start_writer(file, 0, 100_000)
    while int(writer.stdout.readline()) < 20:
        time.sleep(0)
    os.kill(writer.pid, signal.SIGKILL)
    said = [int(line) for line in writer.communicate()[0].split()]
    cache = VectorCache(file, DIMENSIONS, ROOMY)
    blocks, rest = divmod(cache.count(), 200)
    assert rest == 0
    assert blocks >= (said[-1] if said else 20) + 1
