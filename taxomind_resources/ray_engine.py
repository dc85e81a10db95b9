"""Shards mapped by Ray: workers on this machine or on those of a cluster, each with its models loaded once.

Every machine must see the shards and their outputs under the same paths, and have this package installed.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.engine import Worker, answer_shard, open_outputs
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_resources.settings import EngineSettings

#: How often a worker that died (a machine that went away, memory that ran out) is started again, and its shard with it.
_RESTARTS: Final = 3


class RayEngine:
    """Workers as actors of Ray. Which worker answers a shard makes no difference: an output depends on its shard alone.

    Args:
        settings: the address of the cluster and the number of workers.

    Raises:
        Fault: `missing_extra` when Ray is not installed.
    """

    def __init__(self, settings: EngineSettings) -> None:
        if importlib.util.find_spec("ray") is None:
            raise Fault(
                "missing_extra",
                "The engine ray is not installed.",
                value="engine.kind = ray",
                next_step="pip install 'taxomind[ray]'",
            )
        self._settings = settings

    def map_shards(
        self,
        worker: type[Worker],
        config: Mapping[str, Any],
        shards: Sequence[Path],
        out: Callable[[Path], Path],
        on_done: Callable[[Path], None] | None = None,
    ) -> list[Path]:
        """As `Engine.map_shards`. Ray is started, or joined, when a shard needs it, and left again.

        Raises:
            Fault: as `Engine.map_shards`; `engine_failed` when the cluster cannot be reached or its workers die.
        """
        outputs = open_outputs(shards, out)
        todo = dict.fromkeys((shard, path) for shard, path in zip(shards, outputs, strict=True) if not path.exists())
        ready = {path for path in outputs if path.exists()}
        told = _told(shards, outputs, ready, on_done)
        next(told)
        if todo:
            with _cluster(self._settings.address):
                for path in _answered(worker, config, list(todo), self._settings.workers):
                    ready.add(path)
                    next(told)
        return outputs


def _told(
    shards: Sequence[Path], outputs: Sequence[Path], ready: set[Path], on_done: Callable[[Path], None] | None
) -> Iterator[None]:
    """Report, at each step, the next shards in order whose outputs are ready."""
    for shard, path in zip(shards, outputs, strict=True):
        while path not in ready:
            yield
        if on_done:
            on_done(shard)
    while True:
        yield


class _Actor:
    """A worker in a process of its own."""

    def __init__(self, worker: type[Worker], config: Mapping[str, Any]) -> None:
        self._make = worker
        self._config = config
        self._worker: Worker | None = None

    def answer(self, shard: Path, path: Path) -> Path:
        """Write the answers to a shard; done again, it writes the same.

        The worker is built here: Ray passes on what this raises, but of what a constructor raises only the words.
        """
        self._worker = self._worker or self._make(self._config)
        answer_shard(self._worker, shard, path)
        return path


def _answered(
    worker: type[Worker], config: Mapping[str, Any], todo: Sequence[tuple[Path, Path]], workers: int | None
) -> Iterator[Path]:
    """Outputs as they are finished.

    Raises:
        Fault: what a worker raises; `engine_failed`.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util import ActorPool

    count = min(workers or sum(node["Alive"] for node in ray.nodes()), len(todo))
    remote = ray.remote(max_restarts=_RESTARTS, max_task_retries=_RESTARTS, scheduling_strategy="SPREAD")(_Actor)
    actors = [remote.remote(worker, dict(config)) for _ in range(count)]
    try:
        yield from ActorPool(actors).map_unordered(lambda actor, pair: actor.answer.remote(*pair), todo)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise _failed(f"The workers died: {_first_line(error)}", None) from error
    finally:
        for actor in actors:
            ray.kill(actor)


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Ray, started on this machine (None) or joined at an address; left again unless it ran before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell a server about itself
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        # "local" would otherwise join a cluster that a variable of the environment names.
        ray.init(address=address or "local", include_dashboard=None if address else False, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _failed(f"Ray cannot be joined: {_first_line(error)}", address) from error
    try:
        yield
    finally:
        ray.shutdown()


def _failed(what: str, value: str | None) -> Fault:
    return Fault("engine_failed", what, value=value)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
