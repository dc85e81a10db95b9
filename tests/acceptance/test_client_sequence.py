"""A labelling client goes through its day, as the contract describes it: over HTTP, with a restart in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_jobs import Running, long_request, running
from tests.app.api.conftest import taxonomy, wait_for
from tests.app.conftest import with_models

SENTENCES = 1_000
ANNOTATIONS = 500
TAUGHT = [f"zibbo number {number}" for number in range(300)]
ENDED = {"completed", "failed", "canceled"}


def polled(service: Running, route: str, job_id: str) -> Any:
    """What a client does: it asks until a word ends it."""

    def ended() -> Any:
        state = service.call(f"{route}/{job_id}/status")
        return state if state and state["status"] in ENDED else None

    return wait_for(ended, 200)


def to_label(batch: str, texts: list[str]) -> dict[str, Any]:
    sentences = [{"sentence_id": row, "fields": {"T": text}} for row, text in enumerate(texts)]
    return {"taxonomyKey": "ISCO", "batchId": batch, "sentences": sentences}


def to_learn() -> dict[str, Any]:
    """Three in five can be used; the others have codes that no taxonomy knows, or none."""
    rows = [(text, ["7", "72"]) for text in TAUGHT] + [(f"other {row}", ["A", "9999"]) for row in range(100)]
    rows += [(f"nothing {row}", ["-99"]) for row in range(ANNOTATIONS - len(rows))]
    sentences = [
        {
            "sentenceId": f"s-{row}",
            "fields": {"T": text},
            "annotations": [{"level": level, "nodeCode": code} for level, code in enumerate(codes, 1)],
        }
        for row, (text, codes) in enumerate(rows)
    ]
    return {"taxonomyKey": "ISCO", "sentences": sentences}


def codes(state: Any) -> dict[int, str]:
    """The deepest code of each sentence."""
    found = {item["sentenceId"]: item["annotations"] for item in state["result"]["suggestions"]}
    return {row: own[-1]["nodeCode"] for row, own in found.items() if own}


@pytest.mark.slow
def test_a_client_syncs_labels_teaches_labels_again_and_cancels(tmp_path: Path, model_root: Path) -> None:
    data = with_models(tmp_path / "data", model_root)
    (data / "settings.toml").write_text("[service]\nworkers = 1\n")
    texts = [*TAUGHT[:100], *(f"a parrot with {row} red feathers" for row in range(SENTENCES - 100))]
    with running(data, "--no-ui") as service:
        sync = service.asked("/taxonomies", taxonomy())
        first = service.asked("/label", to_label("first", texts))
        assert polled(service, "/taxonomies", sync)["status"] == "completed"
        before = polled(service, "/label", first)
        assert before["status"] == "completed"
        assert len(before["result"]["suggestions"]) + len(before["result"]["errors"]) == SENTENCES
        taught = service.asked("/learn", to_learn())
        # Nobody waits for it: the service is restarted, and goes on.
        service.stop()
    with running(data, "--no-ui") as service:
        stats = polled(service, "/learn", taught)["result"]["trainingDataStats"]
        assert (stats["candidateUpdates"], stats["validUpdates"]) == (ANNOTATIONS, 400)
        assert stats["skipped"]["noAnnotation"] == 100
        again = polled(service, "/label", service.asked("/label", to_label("second", texts)))
        assert {codes(again)[row] for row in range(100)} == {"72"}
        assert all(codes(again)[row] == code for row, code in codes(before).items() if row >= 100)
        dropped = service.asked("/label", long_request())
        state = wait_for(lambda: service.call(f"/label/{dropped}/cancel", None, "POST"))
        assert state["status"] == "canceled"
        service.stop()
