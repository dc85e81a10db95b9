"""A small taxonomy in two languages, and what the language model of these tests knows about it."""

from __future__ import annotations

import json
from typing import Any

from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

#: What the model knows: label -> its answer. Labels that it does not know get an empty answer.
KNOWN: dict[str, dict[str, Any]] = {
    "Dog": {
        "definition": "A tame animal that guards houses and herds sheep.",
        "examples": ["a terrier on a lead", "sheepdog on the farm"],
        "positive_phrases": ["barking pet", "four-legged guard"],
        "negative_phrases": ["purring pet", "hot sausage roll"],
    },
    "Cat": {
        "definition": "A tame animal that hunts mice and sleeps a lot.",
        "examples": ["tabby on the window sill", "a kitten chasing wool"],
        "positive_phrases": ["purring pet", "mouse hunter"],
        "negative_phrases": ["barking pet", "lion in the zoo"],
    },
    "Hund": {
        "definition": "Ein zahmes Tier, das Haus und Hof bewacht und Schafe hütet.",
        "examples": ["ein Dackel an der Leine"],
        "positive_phrases": ["bellendes Haustier"],
        "negative_phrases": ["schnurrendes Haustier"],
    },
}
EMPTY = {"definition": "", "examples": [], "positive_phrases": [], "negative_phrases": []}


def zoo() -> Taxonomy:
    """Animals with two leaves, one of them in two languages."""
    animals = Node("a", None, 1, (NodeText("en", "Animals", "Living beings that move."),))
    dog = (NodeText("en", "Dog", "An animal that barks.", ("poodle",)), NodeText("de", "Hund", "Ein Tier, das bellt."))
    cat = (NodeText("en", "Cat", "An animal that purrs. See also group 12.", ("purring kitten",)),)
    return Taxonomy.build("zoo", [animals, Node("dog", "a", 2, dog), Node("cat", "a", 2, cat)], version="1" * 12)


def knowing(data: dict[str, Any]) -> str:
    """The model of these tests."""
    return json.dumps(KNOWN.get(data["label"], EMPTY))
