"""What a Markdown page says: its code, links, tables and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Page:
    """One page of the docs."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    def blocks(self, language: str) -> list[str]:
        """Fenced blocks of a language."""
        return re.findall(rf"^```{language}\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)

    @cached_property
    def spans(self) -> list[str]:
        """Code inside of sentences and tables."""
        prose = re.sub(r"^```.*?^```", "", self.text, flags=re.MULTILINE | re.DOTALL)
        return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", prose)]

    @property
    def shell_lines(self) -> list[str]:
        """Commands without the remarks behind them."""
        lines = [line for block in self.blocks("sh") for line in block.splitlines() if line.strip()]
        return [re.sub(r"\s+# .*", "", line).strip() for line in lines]

    @property
    def links(self) -> list[str]:
        """Targets of links and pictures, also those in HTML."""
        return re.findall(r"\]\(([^)\s]+)\)", self.text) + re.findall(r'(?:src|href)="([^"]+)"', self.text)

    @property
    def anchors(self) -> set[str]:
        """What links may point to, made as GitHub does."""
        headings = re.findall(r"^#+ (.+)$", self.text, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def tables(self) -> list[list[list[str]]]:
        """Each table: rows of cells, the header first."""
        found = re.findall(r"(?:^\|.*\|\n)+", self.text + "\n", re.MULTILINE)
        rows = [[re.split(r"(?<!\\)\|", line.strip("|\n")) for line in table.splitlines()] for table in found]
        return [[[cell.strip() for cell in row] for i, row in enumerate(table) if i != 1] for table in rows]


PAGES = [Page(path) for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))]
README = PAGES[0]
CONCEPTS = Page(ROOT / "docs" / "concepts.md")
