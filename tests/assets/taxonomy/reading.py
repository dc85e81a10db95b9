"""What the tests of taxonomy files ask about a file that was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from taxomind_assets.taxonomy.readers import TaxonomyFile
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

LIMITS = LimitSettings()  # type: ignore[call-arg]
HEADER = "code,parent_code,level,label,definition,examples,language\n"

Read = Callable[..., TaxonomyFile]


def refused(read: Read, content: str | bytes, code: str = "invalid_taxonomy", **options: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        read(content, **options)
    assert caught.value.code == code, caught.value.render()
    return caught.value


def kinds(fault: Fault) -> dict[str, list[str]]:
    return {detail["kind"]: detail["codes"] for detail in fault.details}


def warned(file: TaxonomyFile, text: str) -> bool:
    return any(text in warning for warning in file.warnings)
