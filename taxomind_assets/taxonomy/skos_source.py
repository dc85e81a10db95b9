"""A taxonomy as SKOS (W3C Recommendation of 2009), in Turtle or RDF/XML.

Code: `skos:notation`, else the last part of the concept's address. Parent: `skos:broader`, also read from `skos:narrower`.
Texts per language: prefLabel (else rdfs:label) -> label; altLabel and hiddenLabel -> aliases; definition (else scopeNote)
-> definition; example -> examples.

SKOS allows a concept to have several broader ones, a tree does not. A broader concept that lies above another one of the
same concept says nothing new and is passed over; of several left, the first by code becomes the parent. A warning names
every concept concerned, so that a person who wants another parent can take the other statement out of the file.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote

from taxomind_assets.inputs import RejectedRow
from taxomind_assets.taxonomy.assemble import listed
from taxomind_assets.taxonomy.problems import MAX_DEPTH, Problem
from taxomind_assets.taxonomy.rows import NodeRow, read_row
from taxomind_assets.taxonomy.sources import Source
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

if TYPE_CHECKING:
    from rdflib import Graph
    from rdflib.term import Node as Term

_FORMATS: Final = {"turtle": "turtle", "rdfxml": "xml"}
_BASE: Final = "http://document.invalid/"


def read_skos(path: Path, kind: Literal["turtle", "rdfxml"], limits: LimitSettings) -> Source:
    """Take a SKOS file apart.

    Args:
        path: the file.
        kind: how it is written.
        limits: longest cell and code.

    Raises:
        Fault: `unreadable_file` (it cannot be parsed) or `invalid_taxonomy` (it holds no concepts).
    """
    graph = _parse(path, kind)
    concepts = _Concepts(graph)
    if not concepts.codes:
        allowed = "at least one concept with a label"
        raise Fault("invalid_taxonomy", f"{path.name} has no skos:Concept.", value=len(graph), allowed=allowed)
    source = Source(())
    counts = Counter(concepts.codes.values())
    source.problems = [Problem("duplicate_code", code, 0, f"{n} concepts") for code, n in counts.items() if n > 1]
    parents = concepts.parents(source.warnings)
    source.rows = _rows(concepts, parents, path.name, limits)
    source.display_name = concepts.scheme_name(source.warnings)[:1000]
    return source


def _parse(path: Path, kind: str) -> Graph:
    from rdflib import Graph

    # rdflib logs what it finds odd in addresses and literals; what matters here is found by our own checks.
    logging.getLogger("rdflib.term").setLevel(logging.ERROR)
    graph = Graph()
    try:
        graph.parse(data=path.read_bytes(), format=_FORMATS[kind], publicID=_BASE)
    except Exception as error:  # rdflib's parsers raise whatever their tokenizers meet
        what = " ".join(str(error).split())[:300] or type(error).__name__
        raise Fault(
            "unreadable_file", f"{path.name} cannot be parsed: {what}.", value=str(path), allowed="SKOS in UTF-8"
        ) from error
    return graph


class _Concepts:
    """The concepts of a graph, sorted by code, so that the result does not depend on the order of statements."""

    def __init__(self, graph: Graph) -> None:
        from rdflib import RDF, SKOS

        self._graph = graph
        found = set(graph.subjects(RDF.type, SKOS.Concept))
        found |= set(graph.subjects(SKOS.prefLabel)) | set(graph.subjects(SKOS.broader))
        found -= set(graph.subjects(RDF.type, SKOS.ConceptScheme)) | set(graph.subjects(RDF.type, SKOS.Collection))
        codes = {concept: self._code(concept) for concept in found}
        self.codes = dict(sorted(codes.items(), key=lambda item: (item[1], str(item[0]))))

    def _code(self, concept: Term) -> str:
        from rdflib import SKOS

        notations = sorted(str(notation).strip() for notation in self._graph.objects(concept, SKOS.notation))
        if notations and notations[0]:
            return notations[0]
        address = str(concept).removeprefix(_BASE).rstrip("/#")
        return unquote(address.rsplit("#", 1)[-1].rsplit("/", 1)[-1])

    def parents(self, warnings: list[str]) -> dict[Term, str]:
        """concept -> code of its parent; top concepts are left out. Several parents give one warning."""
        from rdflib import SKOS

        broader: dict[Term, set[Term]] = {concept: set() for concept in self.codes}
        stated = list(self._graph.subject_objects(SKOS.broader))
        stated += [(low, high) for high, low in self._graph.subject_objects(SKOS.narrower)]
        for low, high in stated:
            if low in broader:
                broader[low].add(high)
        tops = set(self._graph.subjects(SKOS.topConceptOf)) | set(self._graph.objects(None, SKOS.hasTopConcept))
        parents: dict[Term, str] = {}
        several: list[str] = []
        for concept, code in self.codes.items():
            known = {parent for parent in broader[concept] if parent in self.codes}
            if not known and concept in tops:
                continue
            options = sorted({self._name(parent) for parent in _nearest(known or broader[concept], broader)})
            if options:
                parents[concept] = options[0]
            if len(options) > 1:
                several.append(f"{code} ({', '.join(options[:5])})")
        if several:
            warnings.append(
                f"{len(several):,} concepts with several broader ones hang on the first of them: {listed(several)}."
            )
        return parents

    def _name(self, concept: Term) -> str:
        return self.codes.get(concept) or self._code(concept)

    def texts(self, concept: Term) -> dict[str, dict[str, Any]]:
        """Language -> parts of a row. A language without a preferred label takes its first other name as label."""
        from rdflib import RDFS, SKOS

        names = self._by_language(concept, SKOS.prefLabel) or self._by_language(concept, RDFS.label)
        others = _joined(self._by_language(concept, SKOS.altLabel), self._by_language(concept, SKOS.hiddenLabel))
        definitions = self._by_language(concept, SKOS.definition) or self._by_language(concept, SKOS.scopeNote)
        examples = self._by_language(concept, SKOS.example)
        texts: dict[str, dict[str, Any]] = {}
        for language in sorted(names | others) or [""]:
            label, *aliases = [*names.get(language, ()), *others.get(language, ())] or [""]
            texts[language] = {"label": label, "aliases": aliases, "examples": examples.pop(language, [])}
            texts[language]["definition"] = "\n".join(definitions.pop(language, []))
        first = texts["en" if "en" in texts else min(texts)]
        # Notes in a language without a label belong to the node all the same.
        first["definition"] = first["definition"] or "\n".join(text for key in sorted(definitions) for text in definitions[key])
        first["examples"] = [*first["examples"], *(text for key in sorted(examples) for text in examples[key])]
        return texts

    def _by_language(self, concept: Term, predicate: Any) -> dict[str, list[str]]:
        from rdflib import Literal as RdfLiteral

        found: dict[str, list[str]] = {}
        for value in self._graph.objects(concept, predicate):
            if isinstance(value, RdfLiteral):
                found.setdefault(value.language or "", []).append(str(value))
        return {language: sorted(texts) for language, texts in found.items()}

    def scheme_name(self, warnings: list[str]) -> str:
        """Name of the concept scheme, in English where it has one; '' without a scheme."""
        from rdflib import DC, DCTERMS, RDF, RDFS, SKOS

        schemes = sorted(self._graph.subjects(RDF.type, SKOS.ConceptScheme), key=str)
        if len(schemes) > 1:
            names = [str(scheme) for scheme in schemes]
            warnings.append(f"{len(schemes):,} concept schemes became one taxonomy: {listed(names)}.")
        for scheme in schemes[:1]:
            for predicate in (SKOS.prefLabel, DCTERMS.title, DC.title, RDFS.label):
                titles = self._by_language(scheme, predicate)
                if titles:
                    return " ".join(titles["en" if "en" in titles else min(titles)][0].split())
        return ""


def _nearest(options: set[Term], broader: dict[Term, set[Term]]) -> set[Term]:
    """`options` without those that lie above another one of them (walks up at most `MAX_DEPTH` steps)."""
    if len(options) < 2:
        return options
    above: set[Term] = set()
    for option in options:
        frontier = {option}
        seen = {option}
        for _ in range(MAX_DEPTH):
            frontier = {high for low in frontier for high in broader.get(low, ())} - seen
            if not frontier:
                break
            seen |= frontier
        above |= seen - {option}
    return options - above or options


def _joined(first: dict[str, list[str]], second: dict[str, list[str]]) -> dict[str, list[str]]:
    return {language: [*first.get(language, []), *second.get(language, [])] for language in first | second}


def _rows(concepts: _Concepts, parents: dict[Term, str], name: str, limits: LimitSettings) -> Iterator[NodeRow | RejectedRow]:
    for number, (concept, code) in enumerate(concepts.codes.items(), 1):
        for language, texts in concepts.texts(concept).items():
            values = {"code": code, "parent_code": parents.get(concept, ""), "language": language, **texts}
            yield read_row(name, number, values, limits)
