"""Plug-ins by name: those that ship, and those of other packages (entry point group `taxomind.plugins`).

Nothing heavy is imported to list them: what a plug-in needs is only looked for, and imported when it works.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from taxomind_assets.models.contracts import KINDS, Kind, PluginInfo, PluginParameters, Requirement, Surroundings
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

GROUP: Final = "taxomind.plugins"
_HERE: Final = "taxomind_assets.models.plugins"
BUILT_IN: Final[tuple[str, ...]] = (
    f"{_HERE}.tokenizers.icu:IcuTokenizer",
    f"{_HERE}.tokenizers.spacy:SpacyTokenizer",
    f"{_HERE}.tokenizers.sentencepiece:SentencePieceTokenizer",
    f"{_HERE}.tokenizers.huggingface:HuggingFaceTokenizer",
    f"{_HERE}.features.bow:BagOfWords",
    f"{_HERE}.features.tfidf:TfIdf",
    f"{_HERE}.features.fasttext:FastText",
    f"{_HERE}.features.sbert:SentenceVectors",
    f"{_HERE}.classifiers.svm:LinearMachine",
    f"{_HERE}.classifiers.logreg:LogisticRegression",
    f"{_HERE}.classifiers.nearest_centroid:NearestCentroid",
    f"{_HERE}.classifiers.xgboost:BoostedTrees",
    f"{_HERE}.classifiers.transformer:Transformer",
)


@dataclass(frozen=True)
class Plugin:
    """A registered plug-in.

    Attributes:
        factory: the class itself.
        source: where it comes from: `taxomind`, or the package of an entry point.
    """

    factory: Any
    source: str

    @property
    def info(self) -> PluginInfo:
        """What it is."""
        found: PluginInfo = self.factory.info
        return found

    def missing(self) -> list[str]:
        """Libraries that are not installed, or not in a version that works; one phrase each."""
        return [phrase for requirement in self.info.requires if (phrase := _lacking(requirement))]

    def require(self) -> None:
        """Check that it can work here.

        Raises:
            Fault: `missing_extra`, with the command that installs what it needs.
        """
        missing = self.missing()
        if missing:
            raise Fault(
                "missing_extra",
                f"The {self.info.kind} {self.info.name!r} needs {' and '.join(missing)}.",
                value=self.info.name,
                next_step=self.install_hint(),
            )

    def install_hint(self) -> str:
        """How to install what it needs."""
        packages = [f"taxomind[{self.info.extra}]"] if self.info.extra else [r.distributions[0] for r in self.info.requires]
        return f"pip install '{' '.join(packages)}'" if packages else "Nothing needs to be installed."

    def parameters(self, given: Mapping[str, Any]) -> PluginParameters:
        """Defaults with what the caller sets; texts are read as the type of the parameter.

        Raises:
            Fault: `invalid_input`, naming the parameters that there are.
        """
        declared: type[PluginParameters] = self.factory.Parameters
        try:
            return declared.model_validate(dict(given))
        except ValidationError as error:
            raise self._bad_parameter(declared, error) from error

    def _bad_parameter(self, declared: type[PluginParameters], error: ValidationError) -> Fault:
        found = error.errors()[0]
        name = ".".join(str(part) for part in found["loc"]) or "?"
        allowed = ", ".join(f"{own}={field.default!r}" for own, field in declared.model_fields.items()) or "none at all"
        if found["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, declared.model_fields, 1)
            what = f"The {self.info.kind} {self.info.name!r} has no parameter {name!r}."
            return Fault(
                "invalid_input", what, value=name, allowed=allowed, next_step=f"Did you mean {near[0]!r}?" if near else None
            )
        what = f"{self.info.kind} {self.info.name!r}, parameter {name!r}: {found['msg']}."
        return Fault("invalid_input", what, value=found.get("input"), allowed=allowed)

    def described(self) -> dict[str, Any]:
        """All that is known of it, as JSON types."""
        missing = self.missing()
        fields = self.factory.Parameters.model_fields
        return {
            **asdict(self.info),
            "source": self.source,
            "installed": not missing,
            "missing": missing,
            "install": self.install_hint(),
            "parameters": {n: {"default": field.default, "meaning": field.description or ""} for n, field in fields.items()},
        }


class Registry:
    """Plug-ins by kind and name; names are unique for each kind."""

    def __init__(self) -> None:
        self._plugins: dict[tuple[Kind, str], Plugin] = {}

    def add(self, factory: Any, *, source: str, override: bool = False) -> None:
        """Register a class that follows `contracts`.

        Raises:
            Fault: `invalid_input` when it is no plug-in, or its name is taken and `override` is off.
        """
        info = getattr(factory, "info", None)
        parameters = getattr(factory, "Parameters", None)
        is_plugin = isinstance(info, PluginInfo) and isinstance(parameters, type) and issubclass(parameters, PluginParameters)
        if not is_plugin or info is None or info.kind not in KINDS:
            allowed = "a class with `info` (PluginInfo) and `Parameters` (PluginParameters)"
            raise Fault("invalid_input", f"{source} registers something that is no plug-in.", value=factory, allowed=allowed)
        place = (info.kind, info.name)
        if place in self._plugins and not override:
            what = f"There is a {info.kind} {info.name!r} already, from {self._plugins[place].source}."
            raise Fault("invalid_input", what, value=source, allowed="another name, or override")
        self._plugins[place] = Plugin(factory, source)

    def get(self, kind: Kind, name: str) -> Plugin:
        """A plug-in.

        Raises:
            Fault: `invalid_input`, listing those of this kind; it says so when the name is one of another kind.
        """
        found = self._plugins.get((kind, name))
        if found is None:
            others = [other for other, own in self._plugins if own == name]
            aside = f"; {name!r} is a plug-in of kind {others[0]}" if others else ""
            allowed = ", ".join(plugin.info.name for plugin in self.plugins(kind))
            raise Fault("invalid_input", f"There is no {kind} {name!r}{aside}.", value=name, allowed=allowed)
        return found

    def plugins(self, kind: Kind | None = None, *, installed: bool = False) -> list[Plugin]:
        """Plug-ins by kind and name; `installed` = only those that can work here."""
        chosen = [plugin for (own, _), plugin in self._plugins.items() if kind in (None, own)]
        chosen.sort(key=lambda plugin: (KINDS.index(plugin.info.kind), plugin.info.name))
        return [plugin for plugin in chosen if not (installed and plugin.missing())]

    def create(self, kind: Kind, name: str, given: Mapping[str, Any], surroundings: Surroundings) -> Any:
        """A new plug-in, not yet fitted.

        Raises:
            Fault: as `get`, `Plugin.require` and `Plugin.parameters`.
        """
        plugin = self.get(kind, name)
        plugin.require()
        return plugin.factory(plugin.parameters(given), surroundings)

    def load(self, kind: Kind, name: str, given: Mapping[str, Any], *, folder: Path, surroundings: Surroundings) -> Any:
        """A fitted plug-in as `save` left it.

        Raises:
            Fault: as `create`; `model_damaged`.
        """
        plugin = self.get(kind, name)
        plugin.require()
        return plugin.factory.load(folder, plugin.parameters(given), surroundings)


@cache
def registry() -> Registry:
    """The plug-ins of this process. One of another package that cannot be imported is left out, and named in `broken`."""
    found = Registry()
    for place in BUILT_IN:
        module, _, name = place.partition(":")
        found.add(getattr(importlib.import_module(module), name), source="taxomind")
    for point in metadata.entry_points(group=GROUP):
        source = point.dist.name if point.dist else point.value
        try:
            factory = point.load()
        except Exception as error:
            _BROKEN.append(f"{point.name} of {source}: {error}")
            continue
        found.add(factory, source=source)
    return found


_BROKEN: Final[list[str]] = []


def broken() -> list[str]:
    """Plug-ins of other packages that could not be imported, one phrase each."""
    registry()
    return list(_BROKEN)


def _lacking(requirement: Requirement) -> str:
    """'' when a library can be used, else what is missing."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    wanted = f"{requirement.distributions[0]}{requirement.versions}"
    if importlib.util.find_spec(requirement.module) is None:
        return wanted
    for distribution in requirement.distributions:
        try:
            version = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
        fits = Version(version) in SpecifierSet(requirement.versions, prereleases=True)
        return "" if fits else f"{wanted} ({version} is installed)"
    return ""
