"""Where candidates are judged."""

import pytest
import torch
from torch import nn

from bitfront.errors import RecipeError
from bitfront.recipe.devices import device_named, placed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there():
    with pytest.raises(RecipeError, match="finds no GPU") as caught:
        device_named("cuda")
    assert caught.value.path == ("search", "device")


def test_the_users_model_stays_where_it_is():
    model = nn.Linear(2, 2)
    assert placed(model, device_named("cpu")) is model
    moved = placed(model, torch.device("meta"))  # any other device
    assert moved.weight.is_meta
    assert not model.weight.is_meta
