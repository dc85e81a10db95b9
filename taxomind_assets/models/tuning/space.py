"""What a study chooses among: combinations of plug-ins, and parameters of each. Only what a combination has is drawn for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from taxomind_assets.models.specification import CLASS_WEIGHTS, Hierarchy, ModelSpec, chosen_spec
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from optuna.trial import Trial

    from taxomind_assets.models.registry import Registry

#: Version of what is drawn; a study of another one is not gone on with.
VERSION: Final = 1
#: Combinations that are looked at unless others are named: those that train in seconds.
USUAL: Final = ("icu+tfidf+svm", "icu+tfidf+sbert+svm", "sbert+logreg", "icu+bow+svm")
_TEXT: Final = "transformer"


def combinations(names: Sequence[str], plugins: Registry) -> tuple[str, ...]:
    """Combinations as `tokenizer+features+classifier`, `features+classifier` or `transformer`, each checked.

    Raises:
        Fault: `invalid_input` or `missing_extra`.
    """
    chosen = tuple(dict.fromkeys(names or USUAL))
    for name in chosen:
        _spec(name, plugins, [], {})
    return chosen


def drawn_spec(trial: Trial, names: Sequence[str], plugins: Registry, *, depth: int, fixed: Mapping[str, Any]) -> ModelSpec:
    """The specification that a trial tries.

    Args:
        trial: asks for numbers.
        names: `combinations`.
        plugins: the registry.
        depth: levels of the taxonomy; one that is flat has no hierarchy to choose.
        fixed: fields of `ModelSpec` that are not drawn (node_texts, seed).
    """
    name = trial.suggest_categorical("combination", list(names))
    others: dict[str, Any] = dict(fixed)
    others["class_weight"] = trial.suggest_categorical("class_weight", list(CLASS_WEIGHTS))
    hierarchy: Hierarchy = "flat"
    if depth > 1 and _TEXT not in name:
        hierarchy = cast("Hierarchy", trial.suggest_categorical("hierarchy", ["flat", "per_parent"]))
    others["hierarchy"] = hierarchy
    given: list[str] = []
    weight = 1.0
    for part in name.split("+"):
        for own, draw in _DRAWN.get(part, {}).items():
            value = draw(trial, f"{part}.{own}")
            if own == "weight":
                weight = float(value)
            else:
                given.append(f"{part}.{own}={_json(value)}")
    return _spec(name, plugins, given, others, weight)


def defaults(name: str, *, depth: int) -> dict[str, Any]:
    """What a study tries first of a combination: nothing but its defaults, so that the best is never worse than they are."""
    found: dict[str, Any] = {"combination": name, "class_weight": "none"}
    if depth > 1 and _TEXT not in name:
        found["hierarchy"] = "flat"
    for part in name.split("+"):
        found |= {f"{part}.{own}": value for own, value in _DEFAULTS.get(part, {}).items()}
    return found


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _spec(name: str, plugins: Registry, given: list[str], others: Mapping[str, Any], weight: float = 0.7) -> ModelSpec:
    parts = name.split("+")
    if parts == [_TEXT]:
        return chosen_spec(plugins, "best", parameters=given, **others)
    tokenizers = {plugin.info.name for plugin in plugins.plugins("tokenizer")}
    tokenizer = parts[0] if parts[0] in tokenizers else None
    features = parts[1 if tokenizer else 0 : -1]
    if not features:
        allowed = "for example icu+tfidf+svm, sbert+logreg, transformer"
        raise Fault("invalid_input", "A combination is a tokenizer, features and a classifier.", value=name, allowed=allowed)
    shown = "+".join(f"{own}*{weight}" if own == "sbert" and len(features) > 1 else own for own in features)
    return chosen_spec(plugins, "fast", tokenizer=tokenizer, features=shown, classifier=parts[-1], parameters=given, **others)


_Draw = Callable[["Trial", str], Any]


def _log(low: float, high: float) -> _Draw:
    return lambda trial, name: trial.suggest_float(name, low, high, log=True)


def _between(low: float, high: float) -> _Draw:
    return lambda trial, name: trial.suggest_float(name, low, high)


def _whole(low: int, high: int) -> _Draw:
    return lambda trial, name: trial.suggest_int(name, low, high)


def _one_of(*values: Any) -> _Draw:
    return lambda trial, name: trial.suggest_categorical(name, list(values))


_DRAWN: Final[Mapping[str, Mapping[str, _Draw]]] = {
    "svm": {"C": _log(0.05, 20.0)},
    "logreg": {"C": _log(1.0, 300.0)},
    "xgboost": {
        "max_depth": _whole(3, 10),
        "learning_rate": _log(0.03, 0.5),
        "min_child_weight": _log(0.1, 5.0),
        "colsample_bytree": _between(0.3, 1.0),
    },
    "transformer": {
        "learning_rate": _log(1e-5, 5e-4),
        "weight_decay": _between(0.0, 0.1),
        "num_epochs": _whole(1, 3),
        "batch_size": _one_of(8, 16, 32),
    },
    "tfidf": {"smartirs": _one_of("ltc", "ntc", "btc"), "min_df": _whole(1, 3)},
    "bow": {"min_df": _whole(1, 3)},
    "sbert": {"weight": _log(0.3, 2.0)},
    "fasttext": {"window": _whole(3, 8), "epochs": _whole(3, 10)},
}
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "svm": {"C": 1.0},
    "logreg": {"C": 30.0},
    "tfidf": {"smartirs": "ltc"},
    "sbert": {"weight": 0.7},
    "transformer": {"learning_rate": 1e-4, "weight_decay": 0.01, "num_epochs": 3, "batch_size": 16},
    "xgboost": {"max_depth": 6, "learning_rate": 0.1, "min_child_weight": 1.0, "colsample_bytree": 1.0},
}
