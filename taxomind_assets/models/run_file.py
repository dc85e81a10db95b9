"""A training as one YAML file: a fine-tuning is written down, kept beside its data, and done again from there.

    data: {taxonomy_key: news, dataset_name: labelled.csv}
    model: {model_name: embedded, max_length: 128}
    training: {num_train_epochs: 2, learning_rate: 5.0e-5}
    onnx: {export: true}

Keys are those that training scripts of transformers use. What a file leaves out is as its profile (`runtime.run_mode`) says.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taxomind_resources.faults import Fault


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Runtime(_Section):
    """Where and how."""

    run_mode: Literal["local", "full", "kaggle"] = Field("local", description="local: a quick try; full (kaggle): all texts")
    device: Literal["auto", "cpu", "cuda"] | None = Field(None, description="device of the training")
    seed: int | None = Field(None, ge=0, description="seed of everything that is drawn")


class Data(_Section):
    """Of what."""

    taxonomy_key: str | None = Field(None, min_length=1, description="the taxonomy")
    dataset_name: str | None = Field(None, min_length=1, description="file of labelled texts to put into the inbox first")
    max_train_samples: int | None = Field(None, ge=1, description="training texts, drawn so that every code keeps its share")


class Model(_Section):
    """What is fine-tuned."""

    model_name: str | None = Field(None, min_length=1, description="embedded, a folder, or a name on the hub")
    max_length: int | None = Field(None, ge=8, description="tokens of a text that are read")
    dropout: float | None = Field(None, ge=0, le=0.9, description="share of the pooled numbers that a step does not see")


class Training(_Section):
    """How it is fine-tuned."""

    num_train_epochs: int | None = Field(None, ge=1, description="passes over the texts at most")
    per_device_train_batch_size: int | None = Field(None, ge=1, description="texts of a step")
    learning_rate: float | None = Field(None, gt=0, description="largest step")
    weight_decay: float | None = Field(None, ge=0, description="pull of all weights towards 0")
    warmup_ratio: float | None = Field(None, ge=0, le=0.5, description="share of the steps in which the rate rises")
    early_stopping_patience: int | None = Field(None, ge=1, description="epochs without a gain that end training")


class Onnx(_Section):
    """What follows."""

    export: bool | None = Field(None, description="write the version as ONNX, and judge each variant")


class RunFile(_Section):
    """The whole file."""

    runtime: Runtime = Runtime()  # type: ignore[call-arg]
    data: Data = Data()  # type: ignore[call-arg]
    model: Model = Model()  # type: ignore[call-arg]
    training: Training = Training()  # type: ignore[call-arg]
    onnx: Onnx = Onnx()  # type: ignore[call-arg]


@dataclass(frozen=True)
class Run:
    """What a file asks for.

    Attributes:
        taxonomy: its key; None = the only one.
        labelled: file of labelled texts; None = those that are there.
        config: of the asset `trained_model`.
        export: the version is exported.
    """

    taxonomy: str | None
    labelled: Path | None
    config: Mapping[str, Any]
    export: bool


#: Parameter of the plug-in `transformer` that a key sets.
_PARAMETERS: Final[Mapping[str, str]] = {
    "runtime.device": "device",
    "model.model_name": "model_name",
    "model.max_length": "max_length",
    "model.dropout": "dropout",
    "training.num_train_epochs": "num_epochs",
    "training.per_device_train_batch_size": "batch_size",
    "training.learning_rate": "learning_rate",
    "training.weight_decay": "weight_decay",
    "training.warmup_ratio": "warmup_share",
    "training.early_stopping_patience": "patience",
}
#: What a profile sets where the file does not.
_PROFILES: Final[Mapping[str, Mapping[str, Any]]] = {
    "local": {"training.num_train_epochs": 1, "data.max_train_samples": 2_000},
    "full": {"onnx.export": True},
    "kaggle": {"onnx.export": True},
}
#: Where that is decided which a training file does not decide.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "data.text_column": "the setting report.text_columns",
    "data.label_column": "the setting report.code_columns",
    "data.validation_fraction": "the setting models.validation_share",
    "data.max_eval_samples": "the files: the rows whose split is validation or test",
    "model.num_labels": "the taxonomy",
    "model.id2label": "the taxonomy",
    "model.label2id": "the taxonomy",
    "training.output_dir_name": "the number of the version",
    "training.save_total_limit": "the setting models.keep",
    "training.warmup_steps": "training.warmup_ratio",
    "training.metric_for_best_model": "the validation loss",
    "serving.variant": "the setting models.variant",
    "serving.port": "the setting service.port",
}


def read_run(path: Path) -> Run:
    """What a file asks for; folders and files in it are sought beside it.

    Raises:
        Fault: `unreadable_file`, `unknown_setting` (with the nearest key, or where that is decided) or `invalid_setting`.
    """
    found = _checked(_loaded(path))
    values = {f"{section}.{name}": value for section, own in found.model_dump().items() for name, value in own.items()}
    profile = _PROFILES[found.runtime.run_mode]
    values |= {name: value for name, value in profile.items() if values[name] is None}
    name = values["model.model_name"]
    if name is not None and (path.parent / name).is_dir():
        values["model.model_name"] = str((path.parent / name).absolute())
    given = {own: values[name] for name, own in _PARAMETERS.items() if values[name] is not None}
    config: dict[str, Any] = {
        "preset": "best",
        "parameters": [f"classifier.{name}={json.dumps(value)}" for name, value in given.items()],
    }
    config |= {
        name: value
        for name, value in {"seed": found.runtime.seed, "max_texts": values["data.max_train_samples"]}.items()
        if value is not None
    }
    labelled = None if found.data.dataset_name is None else path.parent / found.data.dataset_name
    return Run(found.data.taxonomy_key, labelled, config, bool(values["onnx.export"]))


def _loaded(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise Fault("unreadable_file", f"{error.strerror or error}.", value=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        what = f"{path.name} cannot be read: {str(error)[:200]}"
        raise Fault("unreadable_file", what, value=str(path), allowed="YAML in UTF-8") from error


def _checked(value: Any) -> RunFile:
    try:
        return RunFile.model_validate({name: own or {} for name, own in value.items()} if isinstance(value, dict) else value)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        if found["type"] != "extra_forbidden":
            raise Fault("invalid_setting", f"{where or 'The file'}: {found['msg']}.", value=found.get("input")) from error
        elsewhere = _ELSEWHERE.get(where)
        near = difflib.get_close_matches(where, known_keys(), 1, 0.0)[0]
        what = f"A training file has no key {where!r}."
        allowed = f"it is decided by {elsewhere}" if elsewhere else f"did you mean {near!r}?"
        raise Fault("unknown_setting", what, value=where, allowed=allowed) from error


def known_keys() -> list[str]:
    """Dotted names of all keys."""
    sections = {name: field.annotation for name, field in RunFile.model_fields.items()}
    return [f"{name}.{key}" for name, own in sections.items() if own is not None for key in own.model_fields]
