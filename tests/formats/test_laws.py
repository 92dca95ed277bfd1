"""Every format obeys the laws of formats."""

import pytest

from bitfront.formats import families, format
from bitfront.testing.formats import FormatLaws

INTEGERS = [
    f"{sign}int{bits}{suffix}" for sign in ("", "u") for bits in (2, 4, 8, 16) for suffix in ("", "c", "g32")
]
OTHERS = ["int3", "int11g2", "uint7g7", "q0.1", "q9.-3", "q11.12", "q64.-41", "q-41.64"]
FLOATS = ["e2m0", "e3m4", "e5m10", "e7m2", "e8m0", "e8m7", "e8m10", "e5m2c", "e3m2g7", "log2", "log7"]
BLOCKS = ["bfp2", "bfp16", "bme2m0", "bme7m3", "bme8m2", "blog2", "blog8"]
LISTED = [example for family in families().values() for example in family.examples]


class TestLaws(FormatLaws):
    @pytest.fixture(params=sorted({*LISTED, *INTEGERS, *OTHERS, *FLOATS, *BLOCKS}), autouse=True)
    def _named(self, request):
        self.name = request.param


def test_every_example_is_a_format():
    assert all(str(format(example)) == example for example in LISTED)
    assert len(LISTED) == len(set(LISTED)) >= 35
