"""Titles of many languages in an English encoder's space: a student that is trained from aligned labels on a CPU."""

from __future__ import annotations

from taxomind_resources.crosslingual.student import Student, StudentSpec

__all__ = ["Student", "StudentSpec"]
