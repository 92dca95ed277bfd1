"""Where output goes, and how many threads compute."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from bitfront.cli import console


def test_torch_and_numpy_work_on_one_thread() -> None:
    before = torch.get_num_threads()
    with threadpool_limits(2, user_api="blas"):
        console.one_thread()
        np.linalg.eigh(np.eye(3))
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        assert pools
        assert set(pools) == {1}
        assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


def test_what_rich_takes_for_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("layer[0] and [red]x[/red] " * 8)
    console.say("[bold]y[/bold]")
    said = capsys.readouterr().err
    assert said == "note: " + "layer[0] and [red]x[/red] " * 8 + "\n" + "[bold]y[/bold]\n"
