"""Where a plug-in computes."""

from __future__ import annotations

from typing import Literal

from taxomind_assets.models.contracts import Device
from taxomind_resources.faults import Fault


def chosen_device(wanted: Device) -> Literal["cpu", "cuda"]:
    """`auto` is a GPU where there is one.

    Raises:
        Fault: `invalid_input` when a GPU is asked for and there is none.
    """
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise Fault("invalid_input", "There is no GPU that can be used.", value="device=cuda", allowed="auto or cpu")
    return "cpu"
