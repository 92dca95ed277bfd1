"""The native recipe as frozen values."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bitfront.errors import RecipeError
from bitfront.recipe.units import quantity, seconds

_LARGEST_SEED = 2**62  # generators take 64 bits, and some seeds are counted on from here
_LONGEST = 14 * 86_400.0  # seconds that a system call waits for a worker


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelTable(_Table):
    """Where the float model comes from."""

    factory: str | None = None
    program: str | None = None
    weights: str | None = None
    arguments: dict[str, Any] = {}
    output: int | str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ModelTable:
        if (self.factory is None) == (self.program is None):
            raise ValueError("Exactly one of 'factory' and 'program' must be given")
        return self


class DataTable(_Table):
    """Where the data comes from, and how much of it is used."""

    factory: str
    arguments: dict[str, Any] = {}
    batch_size: int = Field(default=256, ge=1)
    calibration: int | None = Field(default=None, ge=1)
    search: int | None = Field(default=None, ge=1)
    test: int | None = Field(default=None, ge=1)
    calibration_method: str = "minmax"
    weight_rounding: Literal["nearest", "calibrated"] = "nearest"
    bias_correction: bool = False

    @property
    def adjusted(self) -> str:
        """The setting by which calibration changes the stored tensors of candidates; "" without one."""
        if self.weight_rounding == "calibrated":
            return 'weight_rounding = "calibrated"'
        return "bias_correction = true" if self.bias_correction else ""


class RuleTable(_Table):
    """Formats for the sites of the layers that `match`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)  # roles are checked against the model

    __pydantic_extra__: dict[str, list[str]] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    match: str
    keep: bool = False
    tie: bool = False
    ties: list[str] = []

    @property
    def choices(self) -> dict[str, list[str]]:
        """Format names by role."""
        return dict(self.__pydantic_extra__ or {})


class MetricTable(_Table):
    """What a metric is used for. Further keys are options of the metric (`per_mac = 2`)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    goal: Literal["min", "max"] | None = None
    min: float | int | str | None = None
    max: float | int | str | None = None
    weight: float | int | None = None
    report: bool = False

    @field_validator("weight")
    @classmethod
    def _finite(cls, value: float | int | None) -> float | int | None:
        if value is not None and not isfinite(value):
            raise ValueError(f"A weight must be a finite number, but is {value!r}")
        return value

    @model_validator(mode="after")
    def _one_use(self) -> MetricTable:
        if self.report and (self.goal is not None or self.weight is not None):
            said = "a goal" if self.goal is not None else "a weight"
            raise ValueError(
                f"report = true means that it is only shown, and {said} that it is optimised: drop one"
            )
        return self

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})

    @property
    def is_limit(self) -> bool:
        return self.min is not None or self.max is not None

    @property
    def is_objective(self) -> bool:
        """A goal or a weight makes an objective, and so does naming the metric without saying more."""
        if self.goal is not None or self.weight is not None:
            return True
        return not self.report and not self.is_limit


class SearchTable(_Table):
    """How to search."""

    strategy: str = "tpe"
    trials: int = Field(default=100, ge=1)
    timeout: float | int | str | None = None
    memory: float | int | str = "1 GiB"
    device: Literal["cpu", "cuda"] = "cpu"
    seed: int = Field(default=0, ge=0, le=_LARGEST_SEED)
    workers: int = Field(default=1, ge=1, le=1024)
    candidate_timeout: float | int | str | None = None
    candidate_memory: float | int | str | None = None
    batch: int | None = Field(default=None, ge=1)
    racing: bool = False
    finetune_steps: int | None = Field(default=None, ge=1)
    stop_early: bool = False
    combine: Literal["weighted-sum"] | None = None
    direction: Literal["min", "max"] | None = None
    trackers: list[str] = []

    @field_validator("timeout", "candidate_timeout")
    @classmethod
    def _readable_time(
        cls, value: float | int | str | None, info: ValidationInfo
    ) -> float | int | str | None:
        if value is not None and seconds(value) <= 0:
            raise ValueError(f"{info.field_name} must be more than 0 seconds, but is {value!r}")
        if value is not None and info.field_name == "candidate_timeout" and seconds(value) > _LONGEST:
            raise ValueError(f"candidate_timeout must be at most 14 days, but is {value!r}")
        return value

    @field_validator("memory")
    @classmethod
    def _readable_size(cls, value: float | int | str) -> float | int | str:
        if not 0 <= quantity(value, "bytes") < inf:
            raise ValueError(f"memory must be a number of bytes, not negative, but is {value!r}")
        return value

    @field_validator("candidate_memory")
    @classmethod
    def _some_memory(cls, value: float | int | str | None) -> float | int | str | None:
        if value is not None and not 1 <= quantity(value, "bytes") < inf:
            raise ValueError(f"candidate_memory must be a number of bytes above 0, but is {value!r}")
        return value

    @model_validator(mode="after")
    def _direction_of_sum(self) -> SearchTable:
        if self.direction and not self.combine:
            raise ValueError(
                'direction is that of a weighted sum: it needs combine = "weighted-sum" beside it'
            )
        if self.combine and not self.direction:
            raise ValueError('combine = "weighted-sum" needs direction = "min" or "max" beside it')
        return self

    @model_validator(mode="after")
    def _one_kind_of_evaluation(self) -> SearchTable:
        if self.finetune_steps and self.racing:
            raise ValueError(
                "finetune_steps trains every candidate before it is judged, and racing judges on parts of the "
                "examples to save evaluations, which are the smaller work then: leave one out"
            )
        return self

    @property
    def bytes(self) -> int:
        """The memory that may be kept for later candidates, in bytes."""
        return int(quantity(self.memory, "bytes"))

    @property
    def seconds(self) -> float | None:
        """The timeout in seconds."""
        return None if self.timeout is None else seconds(self.timeout)

    @property
    def candidate_seconds(self) -> float | None:
        """How long one candidate may take."""
        return None if self.candidate_timeout is None else seconds(self.candidate_timeout)

    @property
    def candidate_bytes(self) -> int | None:
        """The memory that one candidate may take, in bytes."""
        return None if self.candidate_memory is None else int(quantity(self.candidate_memory, "bytes"))

    @property
    def in_workers(self) -> bool:
        """Whether candidates are judged in processes of their own: only these can be ended."""
        return self.workers > 1 or self.candidate_timeout is not None or self.candidate_memory is not None


class LatencyTable(_Table):
    """What the latencies among the metrics are latencies of."""

    runtime: Literal["onnxruntime", "openvino"] = "onnxruntime"
    threads: int = Field(default=1, ge=1, le=1024)
    batch: int = Field(default=1, ge=1, le=65_536)
    iterations: int | None = Field(default=None, ge=10, le=1_000_000)
    no_kernel: Literal["error", "float", "container"] = "error"
    accuracy_level: Literal[1, 4] = 1
    receipt: Literal["error", "flag"] = "error"


class _Fitting(_Table):
    """What every training is told."""

    epochs: int = Field(default=20, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0, le=1e30)
    batch_size: int = Field(default=64, ge=1)
    seed: int = Field(default=0, ge=0, le=_LARGEST_SEED)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    weight_decay: float = Field(default=0.0, ge=0)
    trackers: list[str] = []

    @property
    def settings(self) -> dict[str, Any]:
        """All that the result depends on: whom it is told doesn't matter."""
        return self.model_dump(mode="json", exclude={"trackers"})


class TrainTable(_Fitting):
    """How `bitfront train` fits the float model."""

    patience: int | None = Field(default=None, ge=1)
    keep: Literal["best", "last"] = "best"


class FinetuneTable(_Fitting):
    """How `bitfront finetune` trains candidates, and a search whose candidates are fine-tuned."""

    epochs: int = Field(default=10, ge=1)
    schedule: Literal["one-cycle", "cosine", "constant"] = "cosine"
    split: str = "train"
    distillation: float | int = Field(default=0.5, ge=0, le=1)
    temperature: float | int = Field(default=1.0, gt=0)
    learned_scales: bool = True
    batch_norm: Literal["frozen", "updated"] = "frozen"

    @field_validator("split")
    @classmethod
    def _no_judge(cls, value: str) -> str:
        if value in ("search", "test"):
            raise ValueError(
                f"the {value} split judges, and is never trained on: leave 'split' out, or name another"
            )
        return value


class Recipe(_Table):
    """A whole recipe. `model` and `data` are missing where both were given from Python."""

    model: ModelTable | None = None
    data: DataTable | None = None
    space: tuple[RuleTable, ...] = Field(strict=False)
    metrics: dict[str, MetricTable]
    search: SearchTable = SearchTable()
    train: TrainTable = TrainTable()
    finetune: FinetuneTable = FinetuneTable()
    latency: LatencyTable | None = None

    @field_validator("space")
    @classmethod
    def _some_rule(cls, rules: tuple[RuleTable, ...]) -> tuple[RuleTable, ...]:
        if not rules:
            raise ValueError("The space needs at least one [[space]] rule")
        return rules

    @field_validator("metrics")
    @classmethod
    def _some_objective(cls, tables: dict[str, MetricTable]) -> dict[str, MetricTable]:
        if not any(table.is_objective for table in tables.values()):
            raise ValueError('At least one metric must be an objective: give it goal = "min" or goal = "max"')
        return tables

    @model_validator(mode="after")
    def _weights_of_sum(self) -> Recipe:
        weighted = [name for name, table in self.metrics.items() if table.weight is not None]
        if weighted and not self.search.combine:
            raise RecipeError(
                'A weight counts in a weighted sum only: it needs combine = "weighted-sum" under [search].',
                ("metrics", weighted[0], "weight"),
            )
        return self
