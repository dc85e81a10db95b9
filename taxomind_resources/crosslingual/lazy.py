"""A student whose table is read when the first text needs it: most taxonomies and texts are English and never do."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taxomind_resources.crosslingual.student import PROFILE_SHAPES, SHIPPED, Student, profile_of, read_arrays
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_resources.embedding.spec import EmbeddingSpec

SHIPPED_STUDENT: Final = "shipped"
NO_STUDENT: Final = "off"


class LazyStudent:
    """What a student's file says about itself and its language profile; the rest follows at first use. Safe between threads.

    Attributes:
        spec: what it is.
        profile: tells English texts from others.

    Raises:
        Fault: as `Student.load` with a path.
    """

    def __init__(self, path: Path) -> None:
        self.spec, arrays = read_arrays(path, only=PROFILE_SHAPES)
        self.profile = profile_of(path, arrays)
        self._path = path
        self._lock = threading.Lock()
        self._student: Student | None = None

    @property
    def student(self) -> Student:
        """The whole student.

        Raises:
            Fault: as `Student.load` with a path.
        """
        with self._lock:
            if self._student is None:
                self._student = Student.load(None if self._path == SHIPPED else self._path)
            return self._student


def open_student(setting: str, encoder: EmbeddingSpec) -> LazyStudent | None:
    """The student that a setting names, for texts that this encoder does not read.

    Args:
        setting: `shipped`, `off`, or a file.
        encoder: the encoder in use.

    Returns:
        None when it is off, and when the shipped one was taught from another encoder (a multilingual encoder needs none).

    Raises:
        Fault: `invalid_setting` for a file that does not fit the encoder; as `Student.load` for one that cannot be read.
    """
    if setting == NO_STUDENT:
        return None
    if setting == SHIPPED_STUDENT:
        found = _opened(SHIPPED)
        return found if found.spec.fits(encoder) else None
    path = Path(setting).expanduser().absolute()
    if not path.is_file():
        raise Fault(
            "invalid_setting",
            "There is no such student.",
            value=f"scoring.crosslingual = {setting}",
            allowed=f"{SHIPPED_STUDENT}, {NO_STUDENT}, or a file that `taxomind crosslingual train` has written",
        )
    found = _opened(path)
    if not found.spec.fits(encoder):
        raise Fault(
            "invalid_setting",
            "The student was taught from another encoder.",
            value=f"scoring.crosslingual = {setting} ({found.spec.encoder_model})",
            allowed=f"a student of {encoder.model}",
            next_step="Train it again with this encoder: `taxomind crosslingual train`.",
        )
    return found


def _opened(path: Path) -> LazyStudent:
    stat = path.stat()
    return _kept(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _kept(path: Path, _changed: int, _size: int) -> LazyStudent:
    return LazyStudent(path)
