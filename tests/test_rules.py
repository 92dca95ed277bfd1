"""From rules to a space, and what is wrong with a rule."""

import sys

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from bitfront import rules
from bitfront.errors import FormatError, RecipeError
from bitfront.formats import Format, format
from bitfront.formats.element import Integer
from bitfront.formats.granularity import PerChannel
from bitfront.graph.capture import capture
from bitfront.rules import Rule, build_space, check_site
from bitfront.zoo import jsc_tiny
from tests.graph.modules import made, rows


def _tied():
    model = made(lambda self, x: self.b(self.a(x)), a=nn.Linear(16, 16), b=nn.Linear(16, 16))
    model.b.weight = model.a.weight
    return model


TINY = capture(jsc_tiny(), rows(8, 16))
TIED = capture(_tied(), rows(8, 16))
NET = capture(
    made(
        lambda self, x: self.head(functional.relu(self.blocks(x))),
        blocks=nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8)),
        head=nn.Linear(8, 4),
    ),
    rows(8, 16),
)


LSTM = capture(
    made(lambda self, x: self.rnn(x)[0], rnn=nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)),
    rows(8, 5, 3),
)


def _spanned(graph, *rules):
    """Formats by the first site of each variable."""
    return {variable.name: variable.formats for variable in build_space(graph, rules).variables}


def test_a_role_speaks_of_all_that_begin_with_it_and_the_longest_wins():
    found = _spanned(
        LSTM,
        Rule(
            "type:lstm",
            {
                "weight": ["int8"],
                "weight_hh_l1": ["int2"],
                "bias": ["q3.4"],
                "weight_hh": ["int4"],
                "input": ["int5"],
            },
        ),
    )
    expected = {"rnn:input": "int5"}
    for place in ("l0", "l0_reverse", "l1", "l1_reverse"):
        expected[f"rnn:weight_ih_{place}"] = "int8"
        expected[f"rnn:weight_hh_{place}"] = "int2" if "l1" in place else "int4"
        expected |= {f"rnn:bias_{kind}_{place}": "q3.4" for kind in ("ih", "hh")}
    assert found == {site: (name,) for site, name in expected.items()}


def test_a_rule_for_a_recurrent_layer_can_tie_its_weights():
    rule = Rule("type:lstm", {"weight": ["int8", "int4"]}, tie=True)
    (variable,) = build_space(LSTM, [rule]).variables
    assert len(variable.sites) == 8


def test_the_first_matching_rule_wins():
    found = _spanned(
        NET,
        Rule("name:head", {"weight": ["int8"]}),
        Rule("type:linear", {"weight": ["int4"], "input": ["int4", "int2"]}),
        Rule("type:*", {"input": ["int8"]}),
    )
    assert found == {
        "blocks.0:input": ("int4", "int2"),
        "blocks.0:weight": ("int4",),
        "blocks.1:input": ("int8",),
        "blocks.2:input": ("int4", "int2"),
        "blocks.2:weight": ("int4",),
        "relu:input": ("int8",),
        "head:weight": ("int8",),  # and no input: its rule gives none
    }


@pytest.mark.parametrize(
    ("match", "layers"),
    [
        ("type:relu", ["blocks.1", "relu"]),
        ("type:re*", ["blocks.1", "relu"]),
        ("type:*", ["blocks.0", "blocks.1", "blocks.2", "relu", "head"]),
        ("name:blocks.0", ["blocks.0"]),
        ("name:blocks_0", ["blocks.0"]),
        ("name:blocks.*", ["blocks.0", "blocks.1", "blocks.2"]),
        ("name:blocks_[12]", ["blocks.1", "blocks.2"]),
        ("name:h?ad", ["head"]),
        (r"regex:blocks\.[02]", ["blocks.0", "blocks.2"]),
        (r"regex:blocks_\d|head", ["blocks.0", "blocks.1", "blocks.2", "head"]),
        ("regex:head", ["head"]),
    ],
)
def test_ways_to_match(match, layers):
    assert list(_spanned(NET, Rule(match, {"input": ["int8"]}))) == [f"{layer}:input" for layer in layers]


def test_a_regular_expression_matches_whole_names():
    with pytest.raises(RecipeError, match="matches nothing"):
        _spanned(NET, Rule("regex:bloc", {"input": ["int8"]}))


def test_variables_are_in_execution_order_whatever_the_order_of_rules_and_roles():
    found = _spanned(
        TINY, Rule("name:seq_blocks.2", {"bias": ["int8"], "weight": ["int4"], "input": ["int2"]})
    )
    assert list(found) == ["seq_blocks.2:input", "seq_blocks.2:weight", "seq_blocks.2:bias"]


def test_keep_adds_float_once():
    assert _spanned(NET, Rule("name:head", {"weight": ["int8"], "input": ["fp32", "int4"]}, keep=True)) == {
        "head:input": ("fp32", "int4"),
        "head:weight": ("int8", "fp32"),
    }


def test_tie_makes_one_variable_of_all_sites_of_a_rule():
    space = build_space(
        NET,
        [
            Rule("name:head", {"weight": ["int8", "int4"]}, tie=True),
            Rule("type:linear", {"weight": ["int8", "int4"], "input": ["int8", "int4"]}, tie=True),
            Rule("type:relu", {"input": ["int8", "int4"]}),
        ],
    )
    assert [variable.sites for variable in space.variables] == [
        ("blocks.0:input", "blocks.0:weight", "blocks.2:input", "blocks.2:weight"),
        ("blocks.1:input",),
        ("relu:input",),
        ("head:weight",),
    ]
    assert space.size == 16


def test_a_shared_weight_is_governed_by_the_rule_of_the_first_layer():
    rules = [Rule("name:a", {"weight": ["int4"]}), Rule("name:b", {"bias": ["int8"]})]
    assert _spanned(TIED, *rules) == {"a:weight": ("int4",), "b:bias": ("int8",)}
    rules = [Rule("name:b", {"weight": ["int8"], "bias": ["int8"]}), Rule("name:a", {"weight": ["int4"]})]
    with pytest.raises(RecipeError, match="'a:weight' is shared"):  # the order of layers counts, not of rules
        _spanned(TIED, *rules)
    found = _spanned(TIED, rules[1], Rule("type:*", {"weight": ["int8"], "bias": ["int8"]}))
    assert found == {"a:weight": ("int4",), "b:bias": ("int8",)}


def test_a_shared_weight_is_governed_by_the_second_layer_where_the_first_has_no_choice():
    assert _spanned(TIED, Rule("name:b", {"weight": ["int8"]})) == {"a:weight": ("int8",)}
    assert _spanned(TIED, Rule("name:a", {"input": ["int4"]}), Rule("name:b", {"weight": ["int8"]})) == {
        "a:input": ("int4",),
        "a:weight": ("int8",),
    }


def test_a_catch_all_may_find_everything_taken():
    rules = [Rule("type:linear", {"weight": ["int8"]}), Rule("type:relu", {"input": ["int8"]})]
    for match in ("type:*", "name:*", "regex:.*"):
        assert len(_spanned(NET, *rules, Rule(match, {"weight": ["int4"], "input": ["int4"]}))) == 5


LINEAR = {"weight": ["int8"]}


@pytest.mark.parametrize(
    ("graph", "rules", "path", "message"),
    [
        (
            NET,
            [Rule("linear", LINEAR)],
            ("space", 0, "match"),
            "match = 'linear' must be 'type:…', 'name:…' or",
        ),
        (NET, [Rule("typ:linear", LINEAR)], ("space", 0, "match"), "must be 'type:…'"),
        (NET, [Rule("type:", LINEAR)], ("space", 0, "match"), "must be 'type:…'"),
        (NET, [Rule("regex:[", LINEAR)], ("space", 0, "match"), "is not a regular expression: unterminated"),
        (NET, [Rule("type:linear", {})], ("space", 0), "gives no choices: add weight, input or bias"),
        (
            NET,
            [Rule("name:head", LINEAR), Rule("type:linaer", LINEAR)],
            ("space", 1, "match"),
            r"The rule 'type:linaer' matches nothing \(did you mean 'linear'\?\)\.",
        ),
        (NET, [Rule("type:Linear", LINEAR)], ("space", 0, "match"), r"did you mean 'linear'\?"),
        (NET, [Rule("type:conv2d", LINEAR)], ("space", 0, "match"), "known are: linear, relu"),
        (NET, [Rule("name:heads", LINEAR)], ("space", 0, "match"), r"did you mean 'head'\?"),
        (NET, [Rule("type:matmul", LINEAR)], ("space", 0, "match"), "matches nothing"),
        (
            NET,
            [Rule("type:linear", LINEAR), Rule("name:head", LINEAR)],
            ("space", 1, "match"),
            "'name:head' matches nothing: every layer it matches is taken by an earlier rule",
        ),
        (
            NET,
            [Rule("type:linear", {"wieght": ["int8"]})],
            ("space", 0, "wieght"),
            r"'wieght' is not a site of any layer that 'type:linear' matches \(did you mean 'weight'\?\)",
        ),
        (
            NET,
            [Rule("type:relu", LINEAR)],
            ("space", 0, "weight"),
            r"'weight' is not a site .*known are: input",
        ),
        (NET, [Rule("type:*", {"wieght": ["int8"]})], ("space", 0, "wieght"), r"did you mean 'weight'\?"),
        (NET, [Rule("type:linear", {"weight": []})], ("space", 0, "weight"), "is an empty list"),
        (
            NET,
            [Rule("type:linear", {"weight": "int8"})],
            ("space", 0, "weight"),
            "must be a list of format names, but got 'int8'",
        ),
        (
            NET,
            [Rule("type:linear", {"weight": [8]})],
            ("space", 0, "weight"),
            r"must be a list of format names, but got \[8\]",
        ),
        (
            NET,
            [Rule("type:linear", {"weight": ["int8", "int4", "int8"]})],
            ("space", 0, "weight"),
            "lists a format twice",
        ),
        (NET, [Rule("type:linear", {"weight": ["Int8"]})], ("space", 0, "weight"), r"did you mean 'int8'\?"),
        (
            NET,
            [Rule("type:linear", {"bias": ["int4c"]})],
            ("space", 0, "bias"),
            "'blocks.0:bias' can't take int4c: it has one axis, .* Use int4.",
        ),
        (
            NET,
            [Rule("type:linear", {"bias": ["int4g8"]})],
            ("space", 0, "bias"),
            "can't take int4g8: .* Use int4.",
        ),
        (
            NET,
            [Rule("name:head", LINEAR), Rule("type:linear", {"input": ["int8", "uint8c"]})],
            ("space", 1, "input"),
            "'blocks.0:input' can't take uint8c: a scale per input channel .* Use uint8.",
        ),
        (
            NET,
            [Rule("type:linear", {"weight": ["int8"], "input": ["int4"]}, tie=True)],
            ("space", 0, "tie"),
            "all its roles need the same list",
        ),
        (
            TIED,
            [Rule("name:a", LINEAR), Rule("name:b", {"weight": ["int4"], "input": ["int4"]})],
            ("space", 1, "weight"),
            "weight of the rule 'name:b' has no effect: 'a:weight' is shared, and the rule of another",
        ),
        (
            NET,
            [Rule("type:linear", LINEAR), Rule("regex:.+", {"weight": ["int4"], "input": ["int4"]})],
            ("space", 1, "weight"),
            "weight of the rule .* has no effect: every layer that has one is taken by an earlier rule",
        ),
        (
            LSTM,
            [Rule("type:lstm", {"weight": ["int8"], "weight_ih": ["int4"], "weight_hh": ["int4"]})],
            ("space", 0, "weight"),
            "weight of the rule 'type:lstm' has no effect: roles of the rule that say more leave it nothing",
        ),
        (
            LSTM,
            [Rule("type:lstm", {"wieght": ["int8"]})],
            ("space", 0, "wieght"),
            r"'wieght' is not a site of any layer that 'type:lstm' matches \(did you mean 'weight'",
        ),
        (
            LSTM,
            [Rule("type:lstm", {"weight_i": ["int8"]})],
            ("space", 0, "weight_i"),
            "'weight_i' is not a site of any layer",
        ),
        (
            LSTM,
            [Rule("type:lstm", {"bias_hh": ["int8c"]})],
            ("space", 0, "bias_hh"),
            "'rnn:bias_hh_l0' can't take int8c: .* Use int8.",
        ),
        (NET, [], ("space",), "No rule gives any site a choice"),
    ],
)
def test_what_is_wrong_and_where(graph, rules, path, message):
    with pytest.raises(RecipeError, match=message) as caught:
        build_space(graph, rules)
    assert caught.value.path == path


def test_sites_take_what_fits_them():
    weight, bias, entering = (TINY.site[f"seq_blocks.2:{role}"] for role in ("weight", "bias", "input"))
    for name in ("int8", "int8c", "int4g8", "q3.4", "fp16"):
        check_site(format(name), weight)
    for name in ("int8", "uint4", "q3.4"):
        check_site(format(name), bias)
        check_site(format(name), entering)
    check_site(format("int4g8"), entering)


def test_no_advice_where_the_name_has_no_plain_form():
    chosen = Format("binary", Integer(2), PerChannel())
    with pytest.raises(FormatError, match=r"one per element\.$"):
        check_site(chosen, TINY.site["seq_blocks.2:bias"])


def _transformer():
    def forward(self, x):
        y = functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))
        return self.out(y) + x

    linears = {name: nn.Linear(8, 8) for name in ("q", "k", "v", "out")}
    return capture(made(forward, **linears), rows(2, 3, 8))


ATTENTION = _transformer()


def test_presets_tie_what_belongs_together():
    rules = [
        Rule("type:linear", {"weight": ["int8", "int4"], "input": ["int8"]}, ties=("qkv",)),
        Rule("type:add", {"input": ["int8", "int4"], "other": ["int8", "int4"]}, ties=("residual",)),
    ]
    space = build_space(ATTENTION, rules)
    assert [variable.sites for variable in space.variables] == [
        ("q:input", "k:input", "v:input"),
        ("q:weight", "k:weight", "v:weight"),
        ("out:input",),
        ("out:weight",),
        ("add:input", "add:other"),
    ]
    assert space.size == 8


def test_ties_hold_among_the_sites_of_one_rule():
    rules = [
        Rule("name:q", {"weight": ["int8"]}),
        Rule("type:linear", {"weight": ["int8"]}, ties=("qkv", "qkv")),
    ]
    variables = build_space(ATTENTION, rules).variables
    assert [variable.sites for variable in variables] == [
        ("q:weight",),
        ("k:weight", "v:weight"),
        ("out:weight",),
    ]
    assert (
        len(build_space(ATTENTION, [Rule("name:*", {"weight": ["int8"]}, ties=("gate_up",))]).variables) == 4
    )


def test_groups_that_overlap_become_one():
    def forward(self, x):
        a, b, c = self.a(x), self.b(x), self.c(x)
        return a * c + b * c

    graph = capture(made(forward, **{name: nn.Linear(8, 8) for name in "abc"}), rows(2, 8))
    rule = Rule("type:linear", {"weight": ["int8", "int4"]}, ties=("gate_up",))
    (variable,) = build_space(graph, [rule]).variables
    assert variable.sites == ("a:weight", "b:weight", "c:weight")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            Rule("type:linear", LINEAR, ties=("qvk",)),
            r"'qvk' is not a preset of ties \(did you mean 'qkv'\?\)",
        ),
        (Rule("type:linear", LINEAR, ties=("gate_up",)), "ties = 'gate_up' of the rule .* has no effect"),
        (Rule("name:out", LINEAR, ties=("qkv",)), "ties = 'qkv' of the rule 'name:out' has no effect"),
        (
            Rule("type:add", {"input": ["int8"], "other": ["int4"]}, ties=("residual",)),
            "ties = 'residual' makes sites share one choice, .* 'add:input' and 'add:other' have different",
        ),
    ],
)
def test_ties_that_cannot_be(rule, message):
    with pytest.raises(RecipeError, match=message) as caught:
        build_space(ATTENTION, [rule])
    assert caught.value.path == ("space", 0, "ties")


@pytest.mark.parametrize("name", ["int4c", "int4g32", "mxfp4", "binary"])
def test_a_grouped_transposed_convolution_takes_one_scale_only(name):
    graph = capture(nn.ConvTranspose2d(4, 4, 3, groups=2), torch.zeros(2, 4, 5, 5))
    rule = Rule("type:conv_transpose2d", {"weight": [name]})
    with pytest.raises(RecipeError, match="can't take"):
        build_space(graph, [rule])
    assert build_space(graph, [Rule(rule.match, {"weight": ["int4", "e4m3"]})]).size == 2


def test_an_ungrouped_transposed_convolution_has_channels():
    graph = capture(nn.ConvTranspose2d(4, 6, 3), torch.zeros(2, 4, 5, 5))
    build_space(graph, [Rule("type:conv_transpose2d", {"weight": ["int4c", "mxfp4"]})])
    assert graph.site["conv_transpose2d:weight"].channel == 1


def test_more_points_than_can_be_counted():
    """Python writes integers of 4,300 digits and not more."""
    several = Rule("type:linear", {"weight": ["int8", "int4"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "LARGEST", 8)
        with pytest.raises(RecipeError, match=r"10\^4000 points or more: 3 choices with 2 formats") as raised:
            build_space(NET, [several])
        assert raised.value.path == ("space",)
        patch.setattr(rules, "LARGEST", 9)
        assert build_space(NET, [several]).size == 8
    assert len(f"{rules.LARGEST}") < sys.get_int_max_str_digits()
