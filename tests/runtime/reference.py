"""A plain and slow evaluator that the product is compared with.

It knows nothing of captured programs, plans or caches: for every candidate it copies the user's module,
quantizes the weights in place, hooks the inputs of layers with quantizers that it calibrates itself, runs the
batches and computes the metrics with PyTorch.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from bitfront.formats import Axes, calibrate, format
from bitfront.metric import Metric
from bitfront.quality.base import Quality

_POSITIONS = {"input": 0, "other": 1}


class Sum(nn.Module):
    """Functions of two tensors as modules, whose inputs can be hooked."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class Product(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right


class Columns(nn.Linear):
    """A linear layer that multiplies flat inputs with the examples as columns, as the product does.

    PyTorch's own kernel rounds some sums in another order.
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 2:
            return super().forward(input)
        values = torch.mm(self.weight, input.T).T
        return values if self.bias is None else values + self.bias


class ColumnNorm(nn.BatchNorm1d):
    """A batch norm of flat inputs as one factor and one summand for each feature."""

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 2:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = (self.running_var + self.eps).rsqrt() * self.weight
        return input * scale + (self.bias - self.running_mean * scale)


_COLUMNS = {nn.Linear: Columns, nn.BatchNorm1d: ColumnNorm}


class Reference:
    """Judges a module whose searchable operations are all modules."""

    def __init__(
        self,
        model: nn.Module,
        calibration: Tensor,
        search: tuple[Tensor, Tensor],
        batch_size: int,
        method: str,
    ) -> None:
        # Torch folds the axes of a product in another way where its weight is to be given a gradient.
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        for layer in self.model.modules():
            if type(layer) in _COLUMNS:
                layer.__class__ = _COLUMNS[type(layer)]
        self.calibration = calibration
        self.inputs, self.targets = search
        self.batch_size = batch_size
        self.method = method

    def evaluate(self, assignment: Mapping[str, str]) -> dict[str, float]:
        outputs, float_outputs = self.outputs(assignment), self.outputs({})
        predicted, log = outputs.argmax(-1), outputs.double().log_softmax(-1)
        float_log = float_outputs.double().log_softmax(-1)
        return {
            "accuracy": (predicted == self.targets).double().mean().item(),
            "loss": functional.cross_entropy(outputs.double(), self.targets).item(),
            "agreement": (predicted == float_outputs.argmax(-1)).double().mean().item(),
            "kl": functional.kl_div(log, float_log, reduction="batchmean", log_target=True).item(),
            "fingerprint": fingerprint(outputs),
        }

    def outputs(self, assignment: Mapping[str, str]) -> Tensor:
        """What the candidate gives for all examples."""
        candidate = copy.deepcopy(self.model)
        for site, name in assignment.items():
            layer, _, role = site.rpartition(":")
            if role in _POSITIONS:
                _hook(candidate, layer, self._quantizer(layer, role, name), _POSITIONS[role])
            else:
                _quantize(candidate.get_submodule(layer), role, name)
        with torch.no_grad():
            return torch.cat([candidate(batch) for batch in self.inputs.split(self.batch_size)])

    def _quantizer(self, layer: str, role: str, name: str) -> Callable[[Tensor], Tensor]:
        seen: list[Tensor] = []

        def watch(values: Tensor) -> Tensor:
            seen.append(values.flatten().clone())  # an in-place layer writes over what it is given
            return values

        floating = copy.deepcopy(self.model)
        _hook(floating, layer, watch, _POSITIONS[role])
        with torch.no_grad():
            for batch in self.calibration.split(self.batch_size):
                floating(batch)
        axes = _input_axes(floating.get_submodule(layer.partition("@")[0]), role)
        calibrated = calibrate(format(name), torch.cat(seen), self.method, axes)
        return lambda values: calibrated.quantize(values, axes)


def _hook(model: nn.Module, layer: str, change: Callable[[Tensor], Tensor], position: int) -> None:
    """Change one input of a layer. `fc@1` is the second call of `fc` in every forward."""
    path, _, number = layer.partition("@")
    wanted, calls = int(number or 0), _counting()
    model.register_forward_pre_hook(lambda module, inputs: calls.send(True) and None)

    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if calls.send(False) != wanted:
            return inputs
        return (*inputs[:position], change(inputs[position]), *inputs[position + 1 :])

    model.get_submodule(path).register_forward_pre_hook(hook)


def _counting() -> Iterator[int]:
    """Counts calls from 0 in every forward; sent True, it starts again."""

    def count():
        number = -1
        while True:
            restart = yield number
            number = -1 if restart else number + 1

    counter = count()
    next(counter)
    return counter


def _quantize(layer: nn.Module, role: str, name: str) -> None:
    tensor = getattr(layer, role).data
    axes = Axes(0, tuple(range(1, tensor.dim()))) if tensor.dim() > 1 else Axes(None, (0,))
    tensor.copy_(format(name).quantize(tensor.clone(), axes))


def _input_axes(layer: nn.Module, role: str) -> Axes:
    if isinstance(layer, Product) and role == "other":
        return Axes(None, (-2,))
    channels_first = isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d))
    return Axes(None, (1,) if channels_first else (-1,))


def fingerprint(outputs: Tensor) -> float:
    """A number that tells any two outputs apart, to the last bit."""
    digest = hashlib.sha256(outputs.double().contiguous().numpy().tobytes()).digest()
    return float(int.from_bytes(digest[:6]))


def fingerprints() -> Quality:
    """The same as a metric of the product."""
    return Quality(
        Metric("fingerprint", "", "max"),
        lambda outputs, targets, reference: outputs.double(),
        fingerprint,
        needs_labels=False,
    )
