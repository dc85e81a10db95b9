"""Language models behind any OpenAI-compatible chat endpoint: typed answers, each paid once.

Importing this package loads no HTTP library; a client loads it with its first question.
"""

from __future__ import annotations

from taxomind_resources.llm.client import Answer, LlmClient, load_llm
from taxomind_resources.llm.prompt import Prompt
from taxomind_resources.llm.spending import Spending

__all__ = ["Answer", "LlmClient", "Prompt", "Spending", "load_llm"]
