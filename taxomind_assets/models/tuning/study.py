"""A study: trials of specifications, each trained on training rows and judged on validation rows; test rows are never read.

Trials are drawn by a tree-structured Parzen estimator (Bergstra et al., 2011), seeded by how many there were before, so a study
that was killed and taken up again draws what it would have drawn. One that a quarter of the rows shows to be worse than half
of the others ends there (median rule; Golovin et al., 2017), and so does a fine-tuning after an epoch. What is known is in one
SQLite file of Optuna, written after every step.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from taxomind_assets.models.contracts import Surroundings
from taxomind_assets.models.evaluation import evaluate
from taxomind_assets.models.fitting import Examples, Fitter
from taxomind_assets.models.specification import ModelSpec
from taxomind_assets.models.tuning.space import VERSION, combinations, defaults, drawn_spec
from taxomind_assets.views.texts import TEXT_POLICY_VERSION
from taxomind_resources.faults import Fault
from taxomind_resources.files import locked

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

    from taxomind_assets.models.registry import Registry
    from taxomind_assets.taxonomy.tree import Taxonomy

Metric = Literal["accuracy", "macro_f1", "hF1"]
METRICS: Final[tuple[Metric, ...]] = ("accuracy", "macro_f1", "hF1")
_FILE: Final = "study.db"
_SHARE: Final = 4
#: Rows under which a quarter says nothing.
_FEWEST_ROWS: Final = 400
_STARTUP: Final = 5
#: Trials in a row that fail by an error before the study ends.
_MOST_FAILURES: Final = 3
_INTERRUPTED: Final = "interrupted"
_SPEC: Final = "spec"
_INPUTS: Final = "inputs"
#: Steps of epochs are compared with one another, not with those of rows.
_FIRST_EPOCH: Final = 10


@dataclass(frozen=True)
class Plan:
    """What is looked for, and how long.

    Attributes:
        trials: how many there shall be in all, those of earlier calls included.
        timeout_s: seconds after which no further trial begins; None = no limit.
        names: combinations of plug-ins; none = the usual ones.
        metric: what the best is best at.
        seed: seed of drawing and training.
        node_texts: labels, definitions and examples of the taxonomy are training rows too.
    """

    trials: int
    timeout_s: float | None = None
    names: tuple[str, ...] = ()
    metric: Metric = "accuracy"
    seed: int = 42
    node_texts: bool = True


@dataclass(frozen=True)
class TrialRow:
    """One trial: a row of `models.trials`."""

    trial: int
    state: str
    name: str
    value: float | None
    parameters: dict[str, Any]
    spec: dict[str, Any] | None
    seconds: float | None
    reason: str


@dataclass(frozen=True)
class Tuned:
    """What a study has come to. `best`: the best specification; None = no trial has ended well."""

    metric: str
    rows: list[TrialRow]
    best: ModelSpec | None = None
    value: float | None = None
    best_trial: int | None = None


class Tuner:
    """The study of one taxonomy.

    Args:
        folder: where the study is kept.
        plan: what is looked for.
        tree: the taxonomy.
        train: training rows.
        validation: validation rows.
        plugins: the registry.
        surroundings: what plug-ins may use.

    Raises:
        Fault: `too_few_labels` without validation rows; `invalid_input`; `missing_extra`, also when Optuna is not installed.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        tree: Taxonomy,
        train: Examples,
        validation: Examples,
        *,
        plugins: Registry,
        surroundings: Surroundings,
    ) -> None:
        require_optuna()
        if plan.metric not in METRICS:
            raise Fault("invalid_input", "There is no such measure to tune by.", value=plan.metric, allowed=", ".join(METRICS))
        if not len(validation):
            raise Fault("too_few_labels", "There are no validation texts to choose by.", allowed="at least one")
        self._folder, self._plan, self._tree = folder, plan, tree
        self._train, self._validation = train, validation
        self._plugins, self._around = plugins, surroundings
        self._names = combinations(plan.names, plugins)

    def run(self, *, fresh: bool = False) -> Tuned:
        """Make the trials that are missing; returns all.

        Raises:
            Fault: `study_differs` when there is a study of other rows or choices, unless `fresh`, which takes it away;
                the error of the last of three trials in a row that failed.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / ".lock"):
            if fresh:
                for path in self._folder.glob(f"{_FILE}*"):
                    path.unlink()
            with _quiet():
                study = self._study()
                self._go_on(study)
                return tuned(study)

    def _study(self) -> Study:
        study = open_study(self._folder, create=True)
        assert study is not None
        known = study.user_attrs.get(_INPUTS)
        if known is None:
            study.set_user_attr(_INPUTS, self._inputs())
            study.set_user_attr("metric", self._plan.metric)
            for name in self._names:
                study.enqueue_trial(defaults(name, depth=self._tree.depth))
        elif known != self._inputs():
            what = "There is a study of other texts, combinations, measure or seed."
            raise Fault("study_differs", what, value=str(self._folder / _FILE))
        for trial in study.get_trials(states=[_state("RUNNING")]):
            # Its process ended, or the lock would not be free.
            study._storage.set_trial_user_attr(trial._trial_id, _INTERRUPTED, value=True)
            study.tell(trial.number, state=_state("FAIL"))
            if trial.params:
                study.enqueue_trial(trial.params)
        return study

    def _inputs(self) -> str:
        plan = self._plan
        own = [VERSION, TEXT_POLICY_VERSION, self._tree.version, self._names, plan.metric, plan.seed, plan.node_texts]
        digest = hashlib.sha256(json.dumps(own).encode())
        for examples in (self._train, self._validation):
            digest.update(examples.nodes.tobytes())
            for start in range(0, len(examples), 10_000):
                digest.update("\n".join(examples.texts[start : start + 10_000]).encode())
        return digest.hexdigest()[:16]

    def _go_on(self, study: Study) -> None:
        started, failures = time.monotonic(), 0
        while (drawn := _drawn(study)) < self._plan.trials:
            if self._plan.timeout_s is not None and time.monotonic() - started > self._plan.timeout_s:
                self._around.say(f"tuning: {drawn:,} of {self._plan.trials:,} trials; the time is over")
                return
            study.sampler = _sampler(self._plan.seed + drawn)
            trial = study.ask()
            try:
                value = self._value(trial)
            except _pruned_error():
                study.tell(trial, state=_state("PRUNED"))
                self._around.say(f"tuning: trial {drawn + 1:,} was ended early")
            except Fault as fault:
                failures += 1
                trial.set_user_attr("reason", str(fault))
                study.tell(trial, state=_state("FAIL"))
                if failures == _MOST_FAILURES:
                    raise
                continue
            else:
                study.tell(trial, value)
                best = study.best_value
                self._around.say(f"tuning: trial {drawn + 1:,} of {self._plan.trials:,}: {value:.4f}, best {best:.4f}")
            failures = 0

    def _value(self, trial: Trial) -> float:
        """What a trial is worth."""
        fixed = {"node_texts": self._plan.node_texts, "seed": self._plan.seed}
        spec = drawn_spec(trial, self._names, self._plugins, depth=self._tree.depth, fixed=fixed)
        trial.set_user_attr(_SPEC, spec.to_json())
        trial.set_user_attr("name", spec.name)
        if spec.features and len(self._train) >= _FEWEST_ROWS:
            self._report(trial, 0, self._judged(spec, _part(self._train, self._plan.seed)))

        def epoch(done: int, share: float) -> None:
            self._report(trial, _FIRST_EPOCH + done, share)

        return self._judged(spec, self._train, epoch)

    @staticmethod
    def _report(trial: Trial, step: int, value: float) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise _pruned_error()

    def _judged(self, spec: ModelSpec, train: Examples, epoch: Callable[[int, float], None] | None = None) -> float:
        around = replace(self._around, say=lambda _: None, epoch=epoch)
        pipeline = Fitter(spec, self._tree, self._plugins, around).fit(train, self._validation)
        found = evaluate(self._tree, pipeline.predict(self._validation.texts), self._validation.nodes, resamples=0)
        value = found.value(self._plan.metric)
        return float(value) if value is not None else 0.0


def require_optuna() -> None:
    """Check that Optuna is there.

    Raises:
        Fault: `missing_extra`.
    """
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise Fault("missing_extra", "Tuning needs Optuna.", next_step="pip install 'taxomind[tune]'")


def open_study(folder: Path, *, create: bool = False) -> Study | None:
    """The study that is kept in a folder; None when there is none."""
    path = folder / _FILE
    if not (create or path.is_file()):
        return None
    require_optuna()
    import optuna

    pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
    return optuna.create_study(
        storage=storage, study_name="hparam_search", direction="maximize", pruner=pruner, load_if_exists=True
    )


def tuned(study: Study) -> Tuned:
    """What a study has come to."""
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state == _state("COMPLETE")]
    metric, rows = (
        str(study.user_attrs.get("metric", "")),
        [_row(trial) for trial in trials if trial.state != _state("WAITING")],
    )
    if not done:
        return Tuned(metric, rows)
    # Of equal trials the first: it is the one nearest to the defaults.
    best = max(done, key=lambda trial: (trial.value or 0.0, -trial.number))
    return Tuned(metric, rows, ModelSpec.from_json(best.user_attrs[_SPEC]), best.value, best.number)


def _row(trial: FrozenTrial) -> TrialRow:
    spent = trial.duration.total_seconds() if trial.duration else None
    reason = str(trial.user_attrs.get("reason", ""))
    if trial.user_attrs.get(_INTERRUPTED):
        reason = "its process ended before it was done"
    state = trial.state.name.lower()
    last = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
    value = trial.value if trial.value is not None else last
    name = str(trial.user_attrs.get("name", trial.params.get("combination", "")))
    return TrialRow(trial.number, state, name, value, dict(trial.params), trial.user_attrs.get(_SPEC), spent, reason)


def _drawn(study: Study) -> int:
    """Trials that count: those that were interrupted are drawn again."""
    states = [_state(name) for name in ("COMPLETE", "PRUNED", "FAIL")]
    return sum(not trial.user_attrs.get(_INTERRUPTED) for trial in study.get_trials(deepcopy=False, states=states))


def _part(examples: Examples, seed: int) -> Examples:
    """A quarter of the rows of every code, and at least one."""
    order = np.random.default_rng(seed).permutation(len(examples))
    nodes = examples.nodes[order]
    by_node = np.argsort(nodes, kind="stable")
    first = np.r_[0, np.flatnonzero(np.diff(nodes[by_node])) + 1]
    place = np.arange(by_node.size) - np.repeat(first, np.diff(np.r_[first, by_node.size]))
    kept = np.sort(order[by_node[place % _SHARE == 0]])
    return Examples([examples.texts[i] for i in kept.tolist()], examples.nodes[kept], examples.labelled[kept])


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]


def _sampler(seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP, multivariate=True, group=True)


def _pruned_error() -> Any:
    import optuna

    return optuna.TrialPruned


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every trial on standard error, and warns of what is experimental; we tell of trials ourselves."""
    import warnings

    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
