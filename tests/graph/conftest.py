"""Fixtures of the graph tests."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def custom_double() -> Callable[[Tensor], Tensor]:
    """An operation of some other library."""

    @torch.library.custom_op("bitfront_tests::double", mutates_args=())
    def double(x: Tensor) -> Tensor:
        return x * 2

    double.register_fake(torch.empty_like)
    return double
