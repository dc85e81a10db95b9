"""Texts that fix the number ranges of a quantised model and prove a converted one: always the same, of many lengths.

They never come from a user's data, so that the vectors of a quantised model do not depend on who made it.
"""

from __future__ import annotations

import random
from typing import Final

_SEED: Final = 20_240
_QUALITIES: Final = (
    "senior", "junior", "assistant", "industrial", "medical", "rural", "electronic", "financial", "marine", "primary",
    "digital", "chief", "temporary", "organic", "municipal", "certified",
)  # fmt: skip
_FIELDS: Final = (
    "software", "nursing", "poultry", "insurance", "timber", "tax", "railway", "textile", "water", "police", "wine", "solar",
    "database", "dental", "mining", "bakery", "furniture", "tourism", "steel", "laundry", "chemistry", "music", "football",
    "election", "mortgage", "satellite", "refugee", "parking", "vaccine", "recycling",
)  # fmt: skip
_THINGS: Final = (
    "engineer", "manager", "operator", "clerk", "teacher", "inspector", "technician", "driver", "products", "services",
    "policy", "repair", "sales", "report", "equipment", "prices", "training", "complaint", "safety rules", "supply contract",
)  # fmt: skip
_SENTENCES: Final = (
    "Plans and checks the {a} work of a team and keeps records of {b}.",
    "I lost my card on the way to the {a} office, how do I get a new one?",
    "Shares of the {a} company fell 4.2 % on Monday after weak figures for {b}.",
    "Includes wholesale of {a} and {b}; excludes retail sale in specialised stores.",
    "Prepares, cleans and maintains {a} machines, reports defects and orders spare parts for {b}.",
    "Note to self: call the {a} people before Friday, bring the {b} papers, buy milk.",
    "L'agent contrôle les dossiers de {a} et conseille les clients sur {b}.",
    "Leitet die Abteilung für {a} und ist für {b} verantwortlich.",
    "Atiende a los clientes de {a} y prepara informes sobre {b}.",
    "Responsabile della produzione di {a} e della vendita di {b}.",
    "Специалист по обслуживанию оборудования: {a}, {b}.",
    "負責{a}設備的維護和{b}管理。",
    "يعمل في مجال {a} ويعد تقارير عن {b}.",
)


def calibration_texts(count: int) -> list[str]:
    """`count` different texts, one half short titles, the rest sentences and paragraphs of two to six sentences."""
    draw = random.Random(_SEED)  # noqa: S311 (no secret)
    texts: dict[str, None] = {}
    while len(texts) < count:
        if len(texts) % 2 == 0:
            texts[_title(draw)] = None
        else:
            sentences = draw.choice((1, 1, 1, 2, 3, 6))
            texts[" ".join(_sentence(draw) for _ in range(sentences))] = None
    return list(texts)


def _title(draw: random.Random) -> str:
    words = [draw.choice(_FIELDS), draw.choice(_THINGS)]
    title = " ".join(([draw.choice(_QUALITIES)] if draw.random() < 0.5 else []) + words)
    return draw.choice((title, title, title.capitalize(), title.title(), title.upper()))


def _sentence(draw: random.Random) -> str:
    a, b = draw.sample(_FIELDS, 2)
    return draw.choice(_SENTENCES).format(a=a, b=f"{b} {draw.choice(_THINGS)}")
