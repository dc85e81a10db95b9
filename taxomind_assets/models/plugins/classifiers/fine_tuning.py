"""The training loop of the `transformer` plug-in, with checkpoints that hold numbers alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.models.plugins.classifiers.encoder import Encoder
from taxomind_resources.files import remove_tree, temporary_path

if TYPE_CHECKING:
    from taxomind_assets.models.contracts import Rows, Surroundings
    from taxomind_assets.models.plugins.classifiers.transformer import Transformer

_POOL: Final = 50  # batches among which texts are sorted by length
_LARGEST_GRADIENT: Final = 1.0


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        epoch: epochs that are done.
        best: smallest mean loss on the validation rows, and the weights that had it.
        stale: epochs since then.
        losses: mean training and validation loss of each epoch.
        right: share of the validation rows that are right after the last epoch.
    """

    epoch: int = 0
    best: float = float("inf")
    best_weights: dict[str, Any] | None = None
    stale: int = 0
    losses: list[tuple[float, float | None]] = field(default_factory=list)
    right: float | None = None


def fine_tuned(
    parameters: Transformer.Parameters,
    surroundings: Surroundings,
    rows: Rows,
    validation: Rows | None,
    *,
    checkpoints: Path | None,
) -> tuple[Encoder, list[tuple[float, float | None]]]:
    """An encoder trained on texts, with the weights of the epoch of the smallest validation loss; and (mean training loss, mean
    validation loss) of each epoch.
    """
    import torch

    with _seeded(surroundings.seed, surroundings.threads):
        encoder = Encoder.begin(
            parameters.model_name,
            rows.count,
            dropout=parameters.dropout,
            max_length=parameters.max_length,
            device=parameters.device,
        )
        ids = encoder.encode(rows.inputs)
        steps = parameters.num_epochs * -(-len(ids) // parameters.batch_size)
        groups = [
            {"params": list(encoder.body.parameters()), "lr": parameters.learning_rate},
            {"params": list(encoder.head.parameters()), "lr": parameters.head_learning_rate},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=parameters.weight_decay)
        warm = max(1, int(steps * parameters.warmup_share))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))
        )
        progress = _resumed(checkpoints, encoder, optimiser, schedule)
        while progress.epoch < parameters.num_epochs and progress.stale < parameters.patience:
            generator = np.random.default_rng([surroundings.seed, progress.epoch])
            torch.manual_seed(surroundings.seed + progress.epoch)  # a resumed training draws what it would have drawn
            loss = _epoch(encoder, optimiser, schedule, ids=ids, rows=rows, size=parameters.batch_size, generator=generator)
            _judge(progress, encoder, validation, loss)
            _keep(checkpoints, progress, encoder, optimiser)
            shown = progress.losses[-1][1]
            judged = "" if shown is None else f", validation loss {shown:.4f}"
            if surroundings.epoch is not None and progress.right is not None:
                surroundings.epoch(progress.epoch, progress.right)
            surroundings.say(f"transformer: epoch {progress.epoch} of {parameters.num_epochs}, loss {loss:.4f}{judged}")
        if progress.best_weights is not None:
            encoder.set_state(progress.best_weights)
    return encoder, progress.losses


@contextmanager
def _seeded(seed: int, threads: int) -> Iterator[None]:
    """torch's random state and threads for the block; those of the process are put back."""
    import torch

    before = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(max(threads, 1))
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _epoch(
    encoder: Encoder,
    optimiser: Any,
    schedule: Any,
    *,
    ids: list[list[int]],
    rows: Rows,
    size: int,
    generator: np.random.Generator,
) -> float:
    """One pass; mean loss."""
    import torch

    encoder.body.train()
    encoder.head.train()
    total = 0.0
    classes = torch.from_numpy(rows.classes)
    weights = torch.from_numpy(rows.weights)
    for batch in _batches(ids, size, generator):
        chosen = torch.tensor(batch)
        logits = encoder.forward([ids[row] for row in batch])
        each = torch.nn.functional.cross_entropy(logits, classes[chosen].to(logits.device), reduction="none")
        loss = (each * weights[chosen].to(logits.device)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        total += float(loss.detach()) * len(batch)
    return total / max(len(ids), 1)


def _batches(ids: list[list[int]], size: int, generator: np.random.Generator) -> Iterator[list[int]]:
    """Batches of a drawn order; within some batches texts are sorted by length, which saves padding."""
    order = generator.permutation(len(ids))
    found: list[list[int]] = []
    for start in range(0, len(ids), size * _POOL):
        pool = sorted(order[start : start + size * _POOL].tolist(), key=lambda row: len(ids[row]))
        found += [pool[at : at + size] for at in range(0, len(pool), size)]
    for place in generator.permutation(len(found)).tolist():
        yield found[place]


def _judge(progress: Progress, encoder: Encoder, validation: Rows | None, loss: float) -> None:
    progress.epoch += 1
    if validation is None or not validation.classes.size:
        progress.losses.append((loss, None))
        return
    logits = encoder.logits(validation.inputs).astype(np.float64)
    highest = logits.max(axis=1)
    chance = (
        highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1)) - logits[np.arange(len(logits)), validation.classes]
    )
    judged = float(chance.mean())
    progress.right = float((logits.argmax(axis=1) == validation.classes).mean())
    progress.losses.append((loss, judged))
    if judged < progress.best:
        progress.best, progress.stale = judged, 0
        progress.best_weights = {name: weights.clone() for name, weights in encoder.state().items()}
    else:
        progress.stale += 1


def _keep(folder: Path | None, progress: Progress, encoder: Encoder, optimiser: Any) -> None:
    """Write how far the training is: whole or not at all, by one rename."""
    if folder is None:
        return
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(folder)
    temporary.mkdir()
    save_file(encoder.state(), temporary / "weights.safetensors")
    if progress.best_weights is not None:
        save_file(progress.best_weights, temporary / "best.safetensors")
    save_file(_moments(optimiser), temporary / "optimiser.safetensors")
    facts = {"epoch": progress.epoch, "best": progress.best, "stale": progress.stale, "losses": progress.losses}
    (temporary / "progress.json").write_text(json.dumps(facts), encoding="utf-8")
    os.rename(temporary, folder / f"epoch-{progress.epoch}")
    remove_tree(folder / f"epoch-{progress.epoch - 1}")


def _resumed(folder: Path | None, encoder: Encoder, optimiser: Any, schedule: Any) -> Progress:
    """The last epoch that was kept, put back; a training that has none begins."""
    found = sorted(folder.glob("epoch-*"), key=lambda path: int(path.name.removeprefix("epoch-"))) if folder else []
    if not found:
        return Progress()
    from safetensors.torch import load_file

    last = found[-1]
    facts = json.loads((last / "progress.json").read_text(encoding="utf-8"))
    encoder.set_state(load_file(last / "weights.safetensors"))
    best = last / "best.safetensors"
    losses = [(train, judged) for train, judged in facts["losses"]]
    progress = Progress(facts["epoch"], facts["best"], load_file(best) if best.exists() else None, facts["stale"], losses)
    steps = _put_back(optimiser, load_file(last / "optimiser.safetensors"))
    schedule.last_epoch = steps
    for group, rate in zip(optimiser.param_groups, schedule.base_lrs, strict=True):
        group["lr"] = rate * schedule.lr_lambdas[0](steps)
    return progress


def _moments(optimiser: Any) -> dict[str, Any]:
    """The optimiser's numbers by place of the weight."""
    return {
        f"{place}.{name}": value.detach().cpu().contiguous()
        for place, own in optimiser.state_dict()["state"].items()
        for name, value in own.items()
    }


def _put_back(optimiser: Any, moments: dict[str, Any]) -> int:
    """The inverse of `_moments`; returns how many steps were done."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in moments.items():
        place, _, what = name.partition(".")
        state.setdefault(int(place), {})[what] = value
    whole = optimiser.state_dict()
    whole["state"] = state
    optimiser.load_state_dict(whole)
    return int(next(iter(state.values()))["step"]) if state else 0
