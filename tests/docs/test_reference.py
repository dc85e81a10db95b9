"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from tests.docs.generate import PAGES, generated


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_the_code_says(name):
    assert generated(name)
