"""Every format obeys the laws of formats."""

import pytest

from bitfront.formats import families, format
from bitfront.testing.formats import FormatLaws

INTEGERS = [
    f"{sign}int{bits}{suffix}" for sign in ("", "u") for bits in (2, 4, 8, 16) for suffix in ("", "c", "g32")
]
OTHERS = ["int3", "int11g2", "uint7g7", "q3.4", "q0.1", "q-2.9", "q9.-3", "q11.12", "q64.-41", "q-41.64"]
MACHINE = ["fp32", "fp16", "bf16"]


class TestLaws(FormatLaws):
    @pytest.fixture(params=[*INTEGERS, *OTHERS, *MACHINE], autouse=True)
    def _named(self, request):
        self.name = request.param


def test_every_example_is_under_law():
    examples = {example for family in families().values() for example in family.examples}
    assert all(str(format(example)) == example for example in examples)
