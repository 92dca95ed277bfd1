"""What all tests share: one thread, hypothesis without deadlines, and the shared data where there is any."""

import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# So that tests can import the helpers beside them (`tests.runtime.reference`) however pytest is started.
sys.path.insert(0, str(ROOT))

# Results must not depend on the machine, and two cores are soon oversubscribed.
torch.set_num_threads(1)

# The same examples every time, so that a failure is somebody's change. HYPOTHESIS_PROFILE=explore looks for others.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data and trained networks; the test is skipped where it is absent."""
    folder = Path(os.environ.get("BITFRONT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the shared data is not in {folder} (set BITFRONT_DATA)")
    return folder
