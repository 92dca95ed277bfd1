"""What the documentation says of accuracy, on the trained networks of the shared data."""

import importlib.util
from pathlib import Path

import pytest

from bitfront.formats import families
from bitfront.space import FLOAT

ROOT = Path(__file__).resolve().parents[2]


def load(path):
    specification = importlib.util.spec_from_file_location(path.stem + "_of_the_benchmark", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("network", ["letter MLP", "dry bean MLP", "ResNet-20"])
def test_int8c_weights_with_calibrated_uint8_inputs_lose_under_half_a_point(shared_data, network):
    benchmark = load(ROOT / "benchmarks" / "formats.py")
    work = benchmark.job(network, load(shared_data / "models.py"))
    sites = benchmark.uniform(work, "int8c", "uint8")
    assert len(sites) == (40 if network == "ResNet-20" else 8)
    before, after = (benchmark.accuracy(work.evaluator.evaluate([each])[0]) for each in (FLOAT, sites))
    assert before > 0.91
    assert before - after < 0.005


def test_every_listed_format_is_in_the_table_of_the_documentation():
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    table = page[page.index("<!-- accuracy -->") : page.index("<!-- /accuracy -->")]
    for family in families().values():
        for example in family.examples:
            assert example == "fp32" or f"| `{example}` |" in table
