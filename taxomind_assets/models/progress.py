"""How far a training is: told to the run's log, and to the terminal where somebody waits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

#: Name of the logger that the command line listens to.
LOGGER: Final = "taxomind_assets.models.progress"


def sayer(log: Callable[[str], object]) -> Callable[[str], None]:
    """Takes sentences and gives them to a log and to the terminal."""
    terminal = logging.getLogger(LOGGER)

    def say(sentence: str) -> None:
        log(sentence)
        terminal.info(sentence)

    return say
