"""Measures candidates in a runtime, and adds what it finds to what an evaluator says of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from typing import Any, Literal, Protocol

import numpy as np
from onnx import ModelProto, TensorProto, helper
from torch import Tensor

from bitfront.errors import BitfrontError, FormatError
from bitfront.latency.emit import Emitter
from bitfront.latency.kernels import NoKernel
from bitfront.latency.lowering import Lowered, Lowering
from bitfront.latency.machine import flags, saturates
from bitfront.latency.protocol import SCORE, interleave, score, settled
from bitfront.latency.session import Array, OnnxRuntimeSession, Session
from bitfront.latency.skeleton import IR_VERSION, OPSET, export_skeleton
from bitfront.metric import Failure, Metric, Outcome
from bitfront.runtime.data import Examples
from bitfront.space import FLOAT, Assignment

RuntimeName = Literal["onnxruntime", "openvino"]
_OVERHEAD = 3  # times the call of an identity model that a float model should take


@dataclass(frozen=True)
class Settings:
    """What a latency is a latency of.

    `iterations` are pairs of runs (None: 80, or 20 of slow models). `accuracy_level` is that of weight-only
    products: 1 computes in float32, 4 rounds their inputs to int8. `receipt` says whether a layer that runs
    otherwise than asked is an error or a remark.
    """

    runtime: RuntimeName = "onnxruntime"
    threads: int = 1
    batch: int = 1
    iterations: int | None = None
    no_kernel: NoKernel = "error"
    accuracy_level: Literal[1, 4] = 1
    receipt: Literal["error", "flag"] = "error"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Latency:
    """One candidate, measured.

    `milliseconds` and `p95` are in the run's own unit: the ratio to the float model, timed in turns with it,
    times what the float model took when the run began. `measured` and `reference` are the milliseconds that
    candidate and float model took this time. `kernels` are the latency classes of the layers.
    """

    milliseconds: float
    p95: float
    throughput: float
    ratio: float
    measured: float
    reference: float
    dispersion: float
    load: float
    pairs: int
    kernels: dict[str, str]
    remarks: tuple[str, ...]
    seconds: tuple[float, float, float]  # of this thread: lowering and editing, the session, measuring

    @property
    def values(self) -> dict[str, float]:
        """By the names of the metrics."""
        return {"latency": self.milliseconds, "latency_p95": self.p95, "throughput": self.throughput}

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"load": None if isnan(self.load) else self.load}  # not every system tells it


class Measurer:
    """Lowers, checks and times candidates against the float model. `known` keeps what was measured.

    Args:
        lowering: makes the candidates.
        inputs: examples that candidates are timed on, repeated or cut to the batch of the settings.
        settings: what is measured.
    """

    def __init__(self, lowering: Lowering, inputs: Sequence[Tensor], settings: Settings) -> None:
        self.lowering = lowering
        self.settings = settings
        self.inputs = [_batch(tensor, settings.batch) for tensor in inputs]
        skeleton = export_skeleton(lowering.network, lowering.layers, inputs)
        packed = settings.runtime == "onnxruntime"
        self.emitter = Emitter(skeleton, accuracy_level=settings.accuracy_level, packed=packed)
        self._reference = self._session(self.emitter(lowering.lower(FLOAT)))
        self.known: dict[Assignment, Latency] = {}
        self.reference_milliseconds = score(self._reference.run, settings.threads) * 1e3

    def measure(self, assignment: Assignment) -> Latency:
        """The latency of a candidate; the same number whenever it is asked for again.

        Raises:
            FormatError: no kernel runs a layer in its formats.
            LoweringError: the runtime doesn't run a layer as it was asked to.
        """
        if assignment not in self.known:
            self.known[assignment] = self.measure_anew(assignment)
        return self.known[assignment]

    def measure_anew(self, assignment: Assignment) -> Latency:
        """The latency of a candidate, measured now."""
        started = time.thread_time()
        lowered = self.lowering.lower(assignment)
        program = self.emitter(lowered)
        edited = time.thread_time()
        session = self._session(program)
        remarks = [*lowered.remarks, *self._check(lowered, session)]
        built = time.thread_time()
        settings = self.settings
        run, reference = session.run, self._reference.run
        pairs = settled(lambda: interleave(run, reference, settings.threads, settings.iterations))
        done = time.thread_time()
        unit = self.reference_milliseconds
        ratio = 1.0 if not assignment else pairs.ratio  # the float model is its own reference
        return Latency(
            milliseconds=ratio * unit,
            p95=pairs.percentile(95) * unit,
            throughput=settings.batch / (ratio * unit) * 1e3,
            ratio=ratio,
            measured=float(np.percentile(pairs.candidate, SCORE)) * 1e3,
            reference=float(np.percentile(pairs.reference, SCORE)) * 1e3,
            dispersion=pairs.dispersion,
            load=max(pairs.load),
            pairs=len(pairs.candidate),
            kernels=lowered.labels,
            remarks=tuple(remarks),
            seconds=(edited - started, built - edited, done - built),
        )

    def again(self, assignments: Sequence[Assignment], seed: int = 0) -> dict[Assignment, Latency]:
        """Finalists, each measured anew, in an order of its own."""
        order = list(assignments)
        random.Random(seed).shuffle(order)
        return {assignment: self.measure_anew(assignment) for assignment in order}

    def adopt(self, values: Mapping[str, float]) -> None:
        """Go on in the unit of an earlier process, given what it recorded of the float model."""
        if "latency" in values:
            self.reference_milliseconds = values["latency"]
        elif "throughput" in values:
            self.reference_milliseconds = self.settings.batch / values["throughput"] * 1e3

    def notes(self) -> list[str]:
        """What to know of this machine and model before the numbers are read."""
        found: list[str] = []
        features = flags()
        if saturates(features):
            found.append(
                "This processor has no VNNI: sums of products of bytes may saturate, and the runtime's outputs "
                "then differ from what the quality was judged on. Weights of 7 bits (int7c) can't saturate."
            )
        identity = _identity_call(self.settings.threads)
        if self.reference_milliseconds < _OVERHEAD * identity:
            found.append(
                f"The float model takes {self.reference_milliseconds * 1e3:.1f} µs a run, and calling the runtime "
                f"alone {identity * 1e3:.1f} µs: latency says little of the formats at this batch size."
            )
        return found

    def _session(self, program: ModelProto) -> Session:
        if self.settings.runtime == "openvino":
            from bitfront.latency.openvino import OpenVinoSession

            return OpenVinoSession(program, self.inputs, self.settings.threads)
        return OnnxRuntimeSession(program, self.inputs, self.settings.threads, self.settings.accuracy_level)

    def _check(self, lowered: Lowered, session: Session) -> list[str]:
        reason = session.check(lowered, self.settings.accuracy_level)
        if reason and self.settings.receipt == "error":
            raise LoweringError(reason)
        return [reason] if reason else []


class LoweringError(BitfrontError):
    """The runtime runs a layer otherwise than it was asked to."""


class MeasuredEvaluator:
    """An evaluator whose measurements get latencies beside what they hold.

    The law of the evaluator holds for latency within its repeatability only. What was measured is kept, so
    that it is one number for as long as the process lives; a run's log keeps it for longer.

    `settle` returns when nothing else of the search runs on this machine; there is nothing else without it.
    """

    def __init__(
        self,
        inner: Judge,
        measurer: Measurer,
        metrics: Sequence[Metric],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.inner = inner
        self._settle = settle
        self.measurer = measurer
        self._metrics = tuple(metrics)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (*self.inner.metrics, *self._metrics)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order; latency is measured one by one, after all else."""
        outcomes = self.inner.evaluate(candidates)
        self._settle()
        return [self._with_latency(c, outcome) for c, outcome in zip(candidates, outcomes, strict=True)]

    def statistics(self, candidate: Assignment, examples: Examples) -> list[Tensor]:
        """What each example contributes, per quality: (examples, k)."""
        return self.inner.statistics(candidate, examples)

    def _with_latency(self, candidate: Assignment, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Failure):
            return outcome
        started = time.perf_counter()
        try:
            found = self.measurer.measure(candidate).values
        except (FormatError, LoweringError) as error:
            return Failure(str(error), outcome.seconds + time.perf_counter() - started)
        except Exception as error:  # whatever a runtime raises: a failure is an outcome
            said = str(error).splitlines()[0] if str(error) else "no message"
            reason = f"{self.measurer.settings.runtime}: {type(error).__name__}: {said}"
            return Failure(reason, outcome.seconds + time.perf_counter() - started)
        values = {**outcome.values, **{metric.name: found[metric.name] for metric in self._metrics}}
        return replace(outcome, values=values, seconds=outcome.seconds + time.perf_counter() - started)


class Judge(Protocol):
    """An evaluator that can also judge on other examples."""

    @property
    def metrics(self) -> tuple[Metric, ...]: ...

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]: ...

    def statistics(self, candidate: Assignment, examples: Examples) -> list[Tensor]: ...


def _batch(tensor: Tensor, size: int) -> Array:
    repeats = -(-size // len(tensor))
    return tensor.repeat(repeats, *[1] * (tensor.dim() - 1))[:size].contiguous().numpy()


def _identity_call(threads: int) -> float:
    """Milliseconds of a call to ONNX Runtime that does nothing."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session = OnnxRuntimeSession(model, [np.zeros(1, np.float32)], threads)
    return score(session.run, threads) * 1e3
