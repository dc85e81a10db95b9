"""Records as tables, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from tests.bench import targets
from tests.bench.promise import ALLOWED
from tests.bench.run import OWN, Record
from tests.bench.task import REGIMES

_NONE: Final = "-"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: what it shows.
        note: how to read it.
        header: names of the columns.
        rows: cells.
    """

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table with its title, as Markdown."""
        lines = [f"### {self.title}", "", self.note, ""] if self.note else [f"### {self.title}", ""]
        lines += [f"| {' | '.join(row)} |" for row in (self.header, ["---", *["--:"] * (len(self.header) - 1)], *self.rows)]
        return "\n".join(lines) + "\n"


def tables(records: Sequence[Record]) -> list[Table]:
    """All tables that the records fill."""
    made = [behind(records), *(accuracy(records, regime) for regime in REGIMES)]
    made += [confidence(records), promises(records), draws(records), outside(records), ablation(records), cost(records)]
    return [table for table in made if table.rows]


def _ways(records: Iterable[Record]) -> list[str]:
    """The ways that were measured, the product first."""
    return sorted(dict.fromkeys(record["way"] for record in records if "way" in record), key=lambda way: way != OWN)


def behind(records: Sequence[Record]) -> Table:
    """Everything that a target or a peer is ahead of."""
    rows = []
    for regime in REGIMES:
        for name, by_way in _by_set(records, regime).items():
            own = by_way.get(OWN)
            if own is not None:
                rows += [[regime, name, *row] for row in _behind(own, by_way, regime, name)]
    for record in records:
        target = targets.OUTSIDE.get((record.get("set"), record.get("outside")))
        if target is not None and record["auroc"] < target:
            rows.append(
                ["zero-shot", record["set"], f"AUROC, {record['outside']}", _number(record["auroc"], 3), f"{target} (target)"]
            )
    note = "Figures of the product under their target, or under the best peer. Everything else is at its target or has none."
    return Table("Behind", note, ["regime", "set", "measure", OWN, "ahead"], rows)


def _behind(own: Record, by_way: dict[str, Record], regime: str, name: str) -> Iterator[list[str]]:
    target = targets.accuracy_target(regime, name)
    if target is not None and 100 * own["accuracy"] < target:
        yield ["accuracy", _percent(own["accuracy"]), f"{target:g} (target)"]
    best = max(by_way.values(), key=lambda record: record.get("accuracy", 0.0))
    if best["way"] != OWN and best["accuracy"] > own["accuracy"]:
        yield ["accuracy", _percent(own["accuracy"]), f"{_percent(best['accuracy'])} ({best['way']})"]
    if own.get("ece", 0.0) > targets.CALIBRATION_ERROR:
        yield ["ECE", _number(own["ece"], 3), f"{targets.CALIBRATION_ERROR} (target)"]
    cover = targets.COVER_90.get((regime, name))
    if cover is not None and own["cover_90"] < cover:
        yield ["cover@90", _percent(own["cover_90"]), f"{_percent(cover)} (target)"]
    for promise in (90, 95):
        found = own.get(f"promise_{promise}", {})
        if found.get("reached") is not None and found["reached_high"] < promise / 100:
            yield [f"promise {promise}", _interval(found, "reached"), f"{promise} (promised)"]
        for measure, wanted in zip(("answered", "depth"), targets.PROMISES.get((regime, name, promise), ()), strict=False):
            if found and found[measure] < wanted:
                yield [f"promise {promise}, {measure}", _percent(found[measure]), f"{_percent(wanted)} (target)"]


def _by_set(records: Iterable[Record], regime: str) -> dict[str, dict[str, Record]]:
    found: dict[str, dict[str, Record]] = {}
    for record in records:
        if record.get("regime") == regime and "way" in record:
            found.setdefault(record["set"], {})[record["way"]] = record
    return found


def accuracy(records: Sequence[Record], regime: str) -> Table:
    """Leaf accuracy of the product beside its target and the peers."""
    found, ways = _by_set(records, regime), _ways(records)
    rows = []
    for name, by_way in found.items():
        best = max((record["accuracy"] for record in by_way.values() if "accuracy" in record), default=None)
        own = by_way.get(OWN, {})
        target = targets.accuracy_target(regime, name)
        size = [str(own.get("labelled", _NONE)), str(own.get("texts", _NONE))]
        shown = [_best(_interval(own, "accuracy"), own.get("accuracy"), best), _NONE if target is None else f"{target:g}"]
        peers = [_best(_percent(record.get("accuracy")), record.get("accuracy"), best) for record in _of(by_way, ways)]
        rows.append([name, *size, *shown, *peers])
    if len(rows) > 1:
        rows.append(_mean_row(found, ways))
    labelled = "no labelled text" if regime == "zero-shot" else "learned from labelled texts"
    note = f"Exact leaf in per cent, {labelled}; [95 % interval]; the best of a row is bold."
    header = ["set", "labelled", "tests", OWN, "target", *[way for way in ways if way != OWN]]
    return Table(f"Accuracy, {regime}", note, header, rows)


def _of(by_way: dict[str, Record], ways: Sequence[str]) -> list[Record]:
    return [by_way.get(way, {}) for way in ways if way != OWN]


def _mean_row(found: dict[str, dict[str, Record]], ways: Sequence[str]) -> list[str]:
    """Means over the sets that every way could be run on."""
    common = [by_way for by_way in found.values() if all("accuracy" in by_way.get(way, {}) for way in ways)]
    means = {way: fmean(by_way[way]["accuracy"] for by_way in common) for way in ways if common}
    shown = {way: _best(_percent(mean), mean, max(means.values())) for way, mean in means.items()}
    own = shown.pop(OWN, _NONE)
    return [f"mean of {len(common)} sets", "", "", own, "", *shown.values()]


def confidence(records: Sequence[Record]) -> Table:
    """Hierarchical F1, calibration error and what the confidence is worth, beside the best peer."""
    rows = []
    for regime in REGIMES:
        for name, by_way in _by_set(records, regime).items():
            own = by_way.get(OWN, {})
            peers = [record for way, record in by_way.items() if way != OWN]
            cells = [_percent(own.get("hierarchical_f1")), _top(peers, "hierarchical_f1", max), _percent(own.get("recall_5"))]
            cells += [_number(own.get("ece"), 3)]
            for measure in ("cover_90", "cover_95"):
                cells += [_percent(own.get(measure)), _top(peers, measure, max)]
            cells += [_number(own.get("aurc"), 3), _top(peers, "aurc", min, lambda value: _number(value, 3))]
            rows.append([regime, name, *cells])
    note = (
        "hF1: hierarchical F1; recall@5: a known leaf is among the first five; ECE: expected calibration error of the leaf's "
        f"probability (target {targets.CALIBRATION_ERROR}); cover: share of texts that can be answered at 90 and 95 % "
        "accuracy; AURC: area under the risk-coverage curve. Beside each the best figure of any peer."
    )
    header = ["regime", "set", "hF1", "peer", "recall@5", "ECE", "cover@90", "peer", "cover@95", "peer", "AURC", "peer"]
    return Table("Confidence", note, header, rows)


def _top(
    records: Sequence[Record],
    measure: str,
    choose: Callable[[Iterable[float]], float],
    show: Callable[[float | None], str] | None = None,
) -> str:
    known = [record[measure] for record in records if measure in record]
    return (show or _percent)(choose(known) if known else None)


def promises(records: Sequence[Record]) -> Table:
    """Promised accuracies and what became of them."""
    rows = []
    for regime in REGIMES:
        for name, by_way in _by_set(records, regime).items():
            own = by_way.get(OWN, {})
            for promise in (90, 95):
                found = own.get(f"promise_{promise}")
                if found is None:
                    continue
                answered, depth = targets.PROMISES.get((regime, name, promise), (None, None))
                verdict = _NONE if found["reached"] is None else "yes" if found["reached_high"] >= promise / 100 else "NO"
                rows.append(
                    [
                        *(regime, name, str(promise), _interval(found, "reached"), verdict),
                        *(_percent(found["answered"]), _percent(answered), _number(found["depth"], 2), _number(depth, 2)),
                        _number(found["information"], 2),
                    ]
                )
    note = (
        "reached: share of the answers that are a known node or above one [95 % interval]; kept: the interval reaches the "
        "promise; depth: mean depth of the answer over that of the known node, no answer = 0; information: 1 - log(leaves "
        "below the answer) / log(all leaves), right answers only. Without labels the threshold is a default, not proven."
    )
    header = ["regime", "set", "promise", "reached", "kept", "answered", "target", "depth", "target", "information"]
    return Table("Promised accuracy", note, header, rows)


def draws(records: Sequence[Record]) -> Table:
    """Promises over many draws of the texts that fit the threshold."""
    rows = []
    for record in (record for record in records if "draws" in record):
        means = [_percent(record.get("reached")), _percent(record.get("answered")), _number(record.get("depth"), 2)]
        counts = [
            f"{record.get(name, 0)} of {record['proven']}" if record["proven"] else _NONE
            for name in ("broken", "broken_surely")
        ]
        rows.append(
            [
                record["regime"],
                record["set"],
                str(record["promise"]),
                f"{record['proven']} of {record['draws']}",
                *means,
                *counts,
            ]
        )
    note = (
        "Half of the test texts find the threshold, the others are answered with it; means over the draws. proven: draws that "
        f"found a threshold; broken: draws that reached less than promised (at most {ALLOWED:.0%} should), surely: by more "
        "than the 95 % interval of the answers."
    )
    header = ["regime", "set", "promise", "proven", "reached", "answered", "depth", "broken", "surely"]
    return Table("Promised accuracy over draws", note, header, rows)


def outside(records: Sequence[Record]) -> Table:
    """Texts that belong nowhere."""
    rows = [
        [
            record["set"],
            record["outside"],
            str(record["texts"]),
            str(record["strangers"]),
            _number(record["auroc"], 3),
            _number(targets.OUTSIDE.get((record["set"], record["outside"])), 2),
        ]
        for record in records
        if "outside" in record
    ]
    note = "Area under the ROC curve of the probability of belonging in the taxonomy, without labels."
    return Table("Texts that belong nowhere", note, ["set", "strangers", "texts inside", "outside", "AUROC", "target"], rows)


def ablation(records: Sequence[Record]) -> Table:
    """What the product loses without each of its features."""
    kept: dict[str, dict[str, dict[str, float]]] = {}
    for record in records:
        if "without" in record:
            kept.setdefault(record["regime"], {}).setdefault(record["set"], {})[record["without"]] = record["accuracy"]
    rows = []
    for regime, by_set in kept.items():
        names = list(dict.fromkeys(name for found in by_set.values() for name in found if name))
        for name in names:
            losses = {one: found[""] - found[name] for one, found in by_set.items() if name in found}
            most, least = max(losses, key=losses.__getitem__), min(losses, key=losses.__getitem__)
            mean = sum(losses.values()) / len(by_set)
            rows.append([regime, f"`{name}`", _points(mean), *(f"{_points(losses[one])} {one}" for one in (most, least))])
    note = (
        "Points of accuracy that are lost when the feature's weight becomes 0 and everything else stays, mean over all sets "
        "(sets without the feature lose nothing), and the sets that lose most and least."
    )
    return Table("What each feature brings", note, ["regime", "without", "lost", "most", "least"], rows)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def cost(records: Sequence[Record]) -> Table:
    """Processor time to learn and to answer."""
    rows = []
    for regime in REGIMES:
        found, ways = _by_set(records, regime), _ways(records)
        for name, by_way in found.items():
            pairs = [by_way.get(way, {}) for way in ways]
            rows.append([regime, name, *[_cost(record) for record in pairs]])
    note = "Seconds of processor time to learn / microseconds for each text, embedding not counted."
    return Table("Cost", note, ["regime", "set", *_ways(records)], rows)


def _cost(record: Record) -> str:
    return f"{record['fit_s']:.1f} s / {record['predict_us']:.0f} µs" if "fit_s" in record else _NONE


def _interval(record: Record, measure: str) -> str:
    if record.get(measure) is None:
        return _NONE
    low, high = (100 * record[f"{measure}_{end}"] for end in ("low", "high"))
    return f"{100 * record[measure]:.1f} [{low:.1f}, {high:.1f}]"


def _percent(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.1f}"


def _number(value: Any, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _best(text: str, value: float | None, best: float | None) -> str:
    return f"**{text}**" if value is not None and value == best else text
