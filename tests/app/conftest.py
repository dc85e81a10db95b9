"""A data root with two tiny taxonomies that the command line has built, and ways to call it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxomind_app.cli.main import main
from tests.copies import copied

# Workers of pytest-xdist set a width, which would fold what the tests look for.
os.environ.pop("COLUMNS", None)

TAXOMIND = str(Path(sys.executable).with_name("taxomind"))
ANIMALS = """code,parent_code,label,definition,examples
A,,Animals,Living beings that move and eat,"a creature
wildlife"
AB,A,Birds,Animals with feathers and wings,"sparrow
owl
parrot in a cage"
AF,A,Fish,Animals that live in water and breathe through gills,"salmon
trout
goldfish in a bowl"
P,,Plants,Living beings that grow from the ground,"a green thing in a pot
vegetation"
PT,P,Trees,Tall plants with a trunk,"oak
birch
old willow by the river"
PF,P,Flowers,Plants with blossoms,"tulip
rose
daisies on a meadow"
"""
TEXTS = "text_id,text,language\nt1,a parrot that talks,en\nt2,red tulips,en\nt3,,en\n"
LABELLED = "text,code\nbarn owl,AB\nwild trout,AF\npine tree,PT\nyellow roses,PF\n"


@dataclass(frozen=True)
class Called:
    """What a call left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Call the command line in this process; `stdin` are the bytes of standard input."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Called:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        # Runs of assets set it; it must not outlive the test.
        monkeypatch.setenv("TAXOMIND_DATA", "")
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Called(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command line as a process of its own, with pipes."""

    def run(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [TAXOMIND, *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=cwd,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )

    return run


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, model_root: Path) -> Path:
    """A data root with the taxonomy `living`, built from files; tests only read it."""
    folder = tmp_path_factory.mktemp("cli")
    data = folder / "data"
    with_models(data, model_root)
    for name, text in {"animals.csv": ANIMALS, "texts.csv": TEXTS, "labelled.csv": LABELLED}.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = ["--texts", folder / "texts.csv", "--labelled", folder / "labelled.csv"]
    arguments = ["--data", data, "taxonomy", "add", "living", folder / "animals.csv", *files]
    # A process of its own: the environment and the databases of this one stay as they are.
    done = subprocess.run([TAXOMIND, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return data


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Path:
    """A copy of `built` that a test may change."""
    return copied(built, tmp_path / "own")


@pytest.fixture
def fresh(tmp_path: Path, model_root: Path) -> Path:
    """A data root without taxonomies; the model is converted already, if any test has done so."""
    return with_models(tmp_path / "fresh", model_root)


def with_models(data: Path, model_root: Path) -> Path:
    """Copy the converted models, if there are any yet."""
    data.mkdir(parents=True, exist_ok=True)
    if (model_root / "models").is_dir():
        copied(model_root / "models", data / "models")
    return data
