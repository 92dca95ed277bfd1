"""Names: what they mean, and what is said about wrong ones."""

import pytest

from bitfront.errors import FormatError, InputError
from bitfront.formats import families, format


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("int1", "the bits of an integer must lie in 2 … 16, got 1."),
        ("int17", "the bits of an integer must lie in 2 … 16, got 17."),
        ("uint17", "the bits of an integer must lie in 2 … 16, got 17."),
        ("int08", "the bits of an integer must lie in 2 … 16, got 08."),
        ("int8４", "the bits of an integer must lie in 2 … 16, got 8４."),
        ("int4g1", "a group size must lie in 2 … 65536, got 1."),
        ("int4g032", "a group size must lie in 2 … 65536, got 032."),
        ("q30.4", "sign + 30 integer + 4 fraction bits make 35, and fixed point has 2 … 24 bits."),
        ("q-3.3", "sign + -3 integer + 3 fraction bits make 1"),
        ("q65.-50", "the integer bits of a fixed-point format must lie in -64 … 64, got 65."),
        ("q-0.4", "the integer bits of a fixed-point format must lie in -64 … 64, got -0."),
        ("e1m3", "the exponent bits of a minifloat must lie in 2 … 8, got 1."),
        ("e9m3", "the exponent bits of a minifloat must lie in 2 … 8, got 9."),
        ("e4m11", "the mantissa bits of a minifloat must lie in 0 … 10, got 11."),
        ("bme4m11", "the mantissa bits of a minifloat must lie in 0 … 10, got 11."),
        ("e4m3g1", "a group size must lie in 2 … 65536, got 1."),
        ("log1", "the bits of a logarithmic format must lie in 2 … 8, got 1."),
        ("blog9", "the bits of a logarithmic format must lie in 2 … 8, got 9."),
        ("bfp17", "the bits of a block floating-point mantissa must lie in 2 … 16, got 17."),
        ("mxfp8e4m3", "it is called 'mxfp8' here."),
        ("mxfp5", "did you mean 'mxfp"),
        ("MXFP4", "did you mean 'mxfp4'?"),
        ("E4M3", "did you mean 'e4m3'?"),
        ("mx_fp4", "did you mean 'mxfp4'?"),
        ("binary3", "did you mean 'binary"),
        ("trinary", "did you mean 'ternary'?"),
        ("INT8", "did you mean 'int8'?"),
        (" int8", "did you mean 'int8'?"),
        ("Int4G64", "did you mean 'int4g64'?"),
        ("int-4", "did you mean 'int4'?"),
        ("int_4", "did you mean 'int4'?"),
        ("itn8", "did you mean 'int8'?"),
        ("q3,4", "did you mean 'q3.4'?"),
        ("float16", "did you mean 'fp16'?"),
        ("bfloat16", "did you mean 'bf16'?"),
        ("int8\n", "did you mean 'int8'?"),
        ("int4x", "did you mean 'int4c'?"),
        ("", "known are: "),
        ("zzzzzz", "known are: "),
    ],
)
def test_wrong_names(wrong, words):
    with pytest.raises(FormatError) as caught:
        format(wrong)
    assert words in str(caught.value)
    assert f"'{wrong}' is not a format" in str(caught.value)
    assert isinstance(caught.value, InputError)


def test_families_describe_themselves():
    found = families()
    assert {"integer", "fixed_point", "machine_float", "minifloat", "microscaling", "ternary"} <= set(found)
    for family in found.values():
        assert family.meaning
        assert all(str(family.parse(example)) == example for example in family.examples)
        assert family.parse("no such name") is None


def test_no_name_belongs_to_two_families():
    for example in {example for family in families().values() for example in family.examples}:
        owners = [name for name, family in families().items() if family.parse(example) is not None]
        assert len(owners) == 1, f"{example}: {owners}"


def test_a_name_means_one_format():
    assert format("int4g32") is format("int4g32")
    assert format("int8") != format("int8c")
    assert repr(format("int8")) == repr(format("int8"))
