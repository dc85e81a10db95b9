"""What a model is made of: plug-ins by name with their parameters, and how they go about the tree."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from taxomind_assets.models.contracts import Kind
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.models.registry import Plugin, Registry

Hierarchy = Literal["flat", "per_parent", "per_level"]
ClassWeight = Literal["none", "balanced", "sqrt"]
HIERARCHIES: Final[tuple[Hierarchy, ...]] = ("flat", "per_parent", "per_level")
CLASS_WEIGHTS: Final[tuple[ClassWeight, ...]] = ("none", "balanced", "sqrt")
#: Weight of sentence vectors beside words, measured on several taxonomies.
_VECTOR_WEIGHT: Final = 0.7
_PREFIX = re.compile(r"(?P<part>tokenizer|features?|classifier)[._](?P<name>.+)")


@dataclass(frozen=True)
class Part:
    """One plug-in of a model.

    Attributes:
        name: its name.
        parameters: what is set of it; the rest has its default.
        weight: of features: how much their rows count beside those of other features.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Part:
        """The inverse of `asdict`."""
        return cls(value["name"], dict(value["parameters"]), value["weight"])


@dataclass(frozen=True)
class ModelSpec:
    """All that decides a model beside its training texts and the taxonomy.

    Attributes:
        classifier: the classifier.
        features: features side by side; none for a classifier that takes texts.
        tokenizer: None where nothing takes tokens.
        hierarchy: flat: one classifier over all codes; per_parent: one for each parent with enough texts; per_level: one for
            each level.
        overrides: other classifiers for single units, by `node:<code>` (`node:` = the root) or `level:<depth>`.
        class_weight: how rare classes are lifted: none, balanced (all count the same), sqrt (half way).
        node_texts: labels, definitions and examples of the taxonomy are training rows too.
        min_examples: texts that a child needs to count among the two that a parent's classifier needs.
        seed: seed of everything that is drawn.
    """

    classifier: Part
    features: tuple[Part, ...] = ()
    tokenizer: Part | None = None
    hierarchy: Hierarchy = "flat"
    overrides: Mapping[str, Part] = field(default_factory=dict)
    class_weight: ClassWeight = "none"
    node_texts: bool = True
    min_examples: int = 2
    seed: int = 42

    @property
    def name(self) -> str:
        """For people: `icu+tfidf+svm`, with the hierarchy when it is none of `flat`."""
        parts = [self.tokenizer, *self.features, self.classifier]
        plain = "+".join(part.name for part in parts if part)
        return plain if self.hierarchy == "flat" else f"{plain} ({self.hierarchy})"

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelSpec:
        """The inverse of `to_json`."""
        given = dict(value)
        given["classifier"] = Part.from_json(given["classifier"])
        given["features"] = tuple(Part.from_json(part) for part in given["features"])
        given["tokenizer"] = Part.from_json(given["tokenizer"]) if given["tokenizer"] else None
        given["overrides"] = {name: Part.from_json(part) for name, part in given["overrides"].items()}
        return cls(**given)

    @property
    def version(self) -> str:
        """12 hex digits over all of it."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    def classifier_of(self, unit: str) -> Part:
        """The classifier of a unit (see `overrides`)."""
        return self.overrides.get(unit, self.classifier)

    def checked(self, plugins: Registry) -> ModelSpec:
        """This specification with every parameter checked and written out; its plug-ins can work here.

        Raises:
            Fault: `invalid_input` (unknown plug-in or parameter, parts that do not fit) or `missing_extra`.
        """
        if self.hierarchy not in HIERARCHIES or self.class_weight not in CLASS_WEIGHTS:
            value = f"{self.hierarchy}, {self.class_weight}"
            allowed = f"hierarchy: {', '.join(HIERARCHIES)}; class_weight: {', '.join(CLASS_WEIGHTS)}"
            raise Fault("invalid_input", "The model goes about the tree in an unknown way.", value=value, allowed=allowed)
        _check_fit(self, plugins)
        return replace(
            self,
            tokenizer=self.tokenizer and _checked(plugins, "tokenizer", self.tokenizer),
            features=tuple(_checked(plugins, "features", part) for part in self.features),
            classifier=_checked(plugins, "classifier", self.classifier),
            overrides={name: _checked(plugins, "classifier", part) for name, part in self.overrides.items()},
        )


PRESETS: Final[Mapping[str, ModelSpec]] = {
    "fast": ModelSpec(Part("svm"), (Part("tfidf"),), Part("icu")),
    "balanced": ModelSpec(Part("logreg"), (Part("sbert"),)),
    "combined": ModelSpec(Part("svm"), (Part("tfidf"), Part("sbert", weight=_VECTOR_WEIGHT)), Part("icu")),
    "best": ModelSpec(Part("transformer")),
}


def chosen_spec(
    plugins: Registry,
    preset: str,
    *,
    tokenizer: str | None = None,
    features: str | None = None,
    classifier: str | None = None,
    parameters: Sequence[str] = (),
    **others: Any,
) -> ModelSpec:
    """A preset with parts of it replaced, checked.

    Args:
        plugins: the registry.
        preset: a key of `PRESETS`.
        tokenizer: name of another tokenizer.
        features: names of other features, joined by `+`; a number after `*` is their weight (`tfidf+sbert*0.7`).
        classifier: name of another classifier.
        parameters: `name=value` each. A name may begin with `tokenizer.`, `features.`, `classifier.`, the name of a plug-in,
            or, for the classifier of one unit, `node:<code>.` or `level:<depth>.`; a bare one must be known to one plug-in.
        others: further fields of `ModelSpec`; None = as in the preset.

    Raises:
        Fault: as `ModelSpec.checked`.
    """
    if preset not in PRESETS:
        raise Fault("invalid_input", "There is no such preset.", value=preset, allowed=", ".join(PRESETS))
    spec = PRESETS[preset]
    if classifier is not None:
        spec = replace(spec, classifier=Part(classifier))
        if plugins.get("classifier", classifier).info.input == "text":
            spec = replace(spec, features=(), tokenizer=None)
    if features is not None:
        spec = replace(spec, features=tuple(_weighted(name) for name in features.split("+")))
    if not spec.features and plugins.get("classifier", spec.classifier.name).info.input == "matrix":
        spec = replace(spec, features=PRESETS["fast"].features)
    if tokenizer is not None:
        spec = replace(spec, tokenizer=Part(tokenizer))
    elif not _takes_tokens(spec, plugins):
        spec = replace(spec, tokenizer=None)
    elif spec.tokenizer is None:
        spec = replace(spec, tokenizer=PRESETS["fast"].tokenizer)
    spec = replace(spec, **{name: value for name, value in others.items() if value is not None})
    for parameter in parameters:
        spec = _with_parameter(spec, plugins, parameter)
    return spec.checked(plugins)


def _takes_tokens(spec: ModelSpec, plugins: Registry) -> bool:
    return any(plugins.get("features", part.name).info.input == "tokens" for part in spec.features)


def _weighted(text: str) -> Part:
    name, _, weight = text.strip().partition("*")
    try:
        return Part(name, weight=float(weight) if weight else _VECTOR_WEIGHT if name == "sbert" else 1.0)
    except ValueError as error:
        raise Fault("invalid_input", "A weight is a number.", value=text, allowed="for example sbert*0.7") from error


def _with_parameter(spec: ModelSpec, plugins: Registry, text: str) -> ModelSpec:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise Fault("invalid_input", "A parameter is a name and a value.", value=text, allowed="name=value, for example C=0.5")
    for place, own in _places(spec, plugins, name.strip()):
        spec = _set(spec, place, own, _read(value.strip()))
    return spec


Place = tuple[Kind, int] | str


def _places(spec: ModelSpec, plugins: Registry, name: str) -> list[tuple[Place, str]]:
    """Where a parameter belongs, and its own name there."""
    unit, _, rest = name.rpartition(".")
    if unit.startswith(("node:", "level:")):
        return [(unit, rest)]
    parts: list[tuple[Kind, int, Plugin]] = []
    if spec.tokenizer:
        parts.append(("tokenizer", 0, plugins.get("tokenizer", spec.tokenizer.name)))
    parts += [("features", place, plugins.get("features", part.name)) for place, part in enumerate(spec.features)]
    parts.append(("classifier", 0, plugins.get("classifier", spec.classifier.name)))
    match = _PREFIX.fullmatch(name)
    if match:
        kind = "features" if match["part"].startswith("feature") else match["part"]
        own = [((found, place), match["name"]) for found, place, _ in parts if found == kind]
        declaring = [item for item in own if _declares(parts, item[0], match["name"])]
        return list(declaring or own)
    head, _, tail = name.partition(".")
    chosen = [((kind, place), tail) for kind, place, plugin in parts if tail and plugin.info.name == head]
    found = chosen or [((kind, place), name) for kind, place, plugin in parts if name in plugin.factory.Parameters.model_fields]
    if len(found) != 1:
        known = sorted({own for _, _, plugin in parts for own in plugin.factory.Parameters.model_fields})
        what = "Several plug-ins have such a parameter." if found else "No plug-in of the model has such a parameter."
        allowed = ", ".join(known) if not found else ", ".join(f"{kind}.{name}" for (kind, _), name in found)
        raise Fault("invalid_input", what, value=name, allowed=allowed)
    return list(found)


def _declares(parts: Sequence[tuple[Kind, int, Plugin]], place: tuple[Kind, int], name: str) -> bool:
    return any(name in plugin.factory.Parameters.model_fields for kind, at, plugin in parts if (kind, at) == place)


def _set(spec: ModelSpec, place: Place, name: str, value: Any) -> ModelSpec:
    if isinstance(place, str):
        own = spec.overrides.get(place, spec.classifier)
        part = Part(value) if name == "classifier" else replace(own, parameters={**own.parameters, name: value})
        return replace(spec, overrides={**spec.overrides, place: part})
    kind, at = place
    if kind == "features":
        parts = list(spec.features)
        parts[at] = replace(parts[at], parameters={**parts[at].parameters, name: value})
        return replace(spec, features=tuple(parts))
    part = (spec.tokenizer if kind == "tokenizer" else None) or spec.classifier
    changed = replace(part, parameters={**part.parameters, name: value})
    return replace(spec, tokenizer=changed) if kind == "tokenizer" else replace(spec, classifier=changed)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _checked(plugins: Registry, kind: Kind, part: Part) -> Part:
    plugin = plugins.get(kind, part.name)
    plugin.require()
    return replace(part, parameters=plugin.parameters(part.parameters).model_dump(mode="json"))


def _check_fit(spec: ModelSpec, plugins: Registry) -> None:
    """Refuse parts that do not fit together, naming what would."""
    classifiers = [plugins.get("classifier", part.name) for part in (spec.classifier, *spec.overrides.values())]
    features = [plugins.get("features", part.name) for part in spec.features]
    if spec.tokenizer:
        plugins.get("tokenizer", spec.tokenizer.name)
    wants = {plugin.info.input for plugin in classifiers}
    names = ", ".join(plugin.info.name for plugin in classifiers)
    if wants == {"text"} and (features or spec.tokenizer):
        what = f"The classifier {names} takes the texts themselves: it has neither tokenizer nor features."
        raise Fault("invalid_input", what, value=spec.name, allowed=_combinations(plugins))
    if "matrix" in wants and not features:
        raise Fault("invalid_input", f"The classifier {names} needs features.", value=spec.name, allowed=_combinations(plugins))
    of_tokens = [plugin.info.name for plugin in features if plugin.info.input == "tokens"]
    if of_tokens and not spec.tokenizer:
        what = f"The features {', '.join(of_tokens)} need a tokenizer."
        raise Fault("invalid_input", what, value=spec.name, allowed=_combinations(plugins))
    if spec.tokenizer and not of_tokens:
        what = "None of the features takes tokens, so the tokenizer would have no effect."
        raise Fault("invalid_input", what, value=spec.name, allowed=_combinations(plugins))


def _combinations(plugins: Registry) -> str:
    def names(kind: Kind, wanted: str) -> str:
        return "|".join(plugin.info.name for plugin in plugins.plugins(kind) if plugin.info.input == wanted)

    tokenizers = "|".join(plugin.info.name for plugin in plugins.plugins("tokenizer"))
    return (
        f"({tokenizers}) + ({names('features', 'tokens')}) + ({names('classifier', 'matrix')}); "
        f"({names('features', 'text')}) + ({names('classifier', 'matrix')}); ({names('classifier', 'text')}) alone"
    )
