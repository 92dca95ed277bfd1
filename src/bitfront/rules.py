"""From rules to a space: which layers a rule matches, and what their sites may take."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bitfront.errors import FormatError, RecipeError, suggest
from bitfront.formats import Format, format
from bitfront.formats.granularity import Grouped, PerChannel, PerTensor
from bitfront.graph.model import Graph, Operation, Site, family
from bitfront.graph.ties import PRESETS, tied_sites
from bitfront.patterns import check_pattern
from bitfront.space import Space, Variable

_DIGITS = 4000  # Python writes and reads integers of up to 4,300
LARGEST = 10**_DIGITS  # points, and more, that a space can't have


@dataclass(frozen=True)
class Rule:
    r"""Formats by role for the layers that `match`: "type:linear", "name:fc*", "regex:block\..*", "type:*".

    `keep` adds fp32 to every choice; `tie` makes all its sites share one choice; `ties` those of them that a
    preset names: "qkv", "gate_up", "residual". A role speaks of all sites whose roles begin so, where a layer has
    several (`weight` of `weight_ih_l0` and `weight_hh_l0`); the longest role that does wins.
    """

    match: str
    choices: Mapping[str, Sequence[str]]
    keep: bool = False
    tie: bool = False
    ties: tuple[str, ...] = ()

    @property
    def catches_all(self) -> bool:
        """Whether it is there for what other rules leave, which may be nothing."""
        return self.match in ("type:*", "name:*", "regex:.*")

    def by_precision(self) -> list[tuple[str, Sequence[str]]]:
        """Formats by role, those roles first that speak of fewer sites."""
        return sorted(self.choices.items(), key=lambda choice: -choice[0].count("_"))

    def matches(self, operation: Operation) -> bool:
        """Whether the rule speaks of this operation. Names may spell dots as underscores, as MASE does."""
        kind, _, pattern = self.match.partition(":")
        names = (operation.name, operation.name.replace(".", "_"))
        if kind == "type":
            return fnmatchcase(operation.op, pattern)
        if kind == "name":
            return any(fnmatchcase(name, pattern) for name in names)
        return any(re.fullmatch(pattern, name) for name in names)


def build_space(graph: Graph, rules: Sequence[Rule]) -> Space:
    """The space that the rules span on a graph; for every layer the first matching rule wins.

    A weight that layers share is governed by the first of them whose rule gives it a choice.

    Raises:
        RecipeError: a rule matches nothing or has no effect, names a role its layers don't have, or a format
            that a site can't take; or the space is too large for its points to be counted.
    """
    for rule_index, rule in enumerate(rules):
        _check_rule(rule, rule_index, graph)
    found: dict[str, tuple[int, tuple[str, ...]]] = {}  # site -> index of its rule, formats
    matched: list[list[Operation]] = [[] for _ in rules]
    effects: set[tuple[int, str]] = set()  # rules and their roles that give a site its choices
    for operation in graph.operations:
        index = next((i for i, rule in enumerate(rules) if operation.sites and rule.matches(operation)), None)
        if index is None:
            continue
        matched[index].append(operation)
        for role, names in rules[index].by_precision():
            for site in operation.sites_of(role).values():
                if site not in found:
                    found[site] = (index, _choices(names, rules[index], graph.site[site], index, role))
                    effects.add((index, role))
    for index, rule in enumerate(rules):
        _check_matches(index, rule, matched[index], graph)
        _check_effects(index, rule, matched[index], effects)
    if not found:
        raise RecipeError("No rule gives any site a choice; the space is empty.", ("space",))
    space = Space(tuple(_variables(graph, rules, found)))
    if space.size >= LARGEST:
        raise RecipeError(
            f"The space has 10^{_DIGITS} points or more: {len(space.variables):,} choices with "
            f"{max(len(variable.formats) for variable in space.variables)} formats at most. Such numbers aren't "
            "computed with. Offer fewer formats, or let layers share a choice: tie = true in a rule.",
            ("space",),
        )
    return space


def _variables(
    graph: Graph, rules: Sequence[Rule], found: Mapping[str, tuple[int, tuple[str, ...]]]
) -> list[Variable]:
    """One variable for each site or group of tied sites, in execution order of the first."""
    leader = {site: site for site in found}
    for index, rule in enumerate(rules):
        governed = [site for site, (own, _) in found.items() if own == index]
        for key, group in _groups(graph, index, rule, governed):
            for site in group[1:]:
                if found[site][1] != found[group[0]][1]:
                    raise RecipeError(
                        f"{key} makes {'all sites of a rule' if rule.tie else 'sites'} share one choice, so all "
                        f"its roles need the same list: '{group[0]}' and '{site}' have different ones.",
                        ("space", index, key.split()[0]),
                    )
                _join(leader, group[0], site)
    members: dict[str, list[str]] = {}
    for site in graph.sites:
        if site.name in found:
            members.setdefault(_find(leader, site.name), []).append(site.name)
    return [Variable(tuple(sites), found[sites[0]][1]) for sites in members.values()]


def _groups(
    graph: Graph, index: int, rule: Rule, governed: Sequence[str]
) -> Iterator[tuple[str, Sequence[str]]]:
    """What a rule ties, and the key that says so."""
    if rule.tie:
        yield "tie = true", governed
    for preset in rule.ties:
        groups = [[site for site in group if site in governed] for group in tied_sites(graph, preset)]
        groups = [group for group in groups if len(group) > 1]
        if not groups and not rule.catches_all:
            raise RecipeError(
                f"ties = '{preset}' of the rule '{rule.match}' has no effect: none of the sites that the rule "
                "gives a choice belong together in that way.",
                ("space", index, "ties"),
            )
        yield from ((f"ties = '{preset}'", group) for group in groups)


def _find(leader: dict[str, str], site: str) -> str:
    while leader[site] != site:
        site = leader[site]
    return site


def _join(leader: dict[str, str], first: str, second: str) -> None:
    leader[_find(leader, second)] = _find(leader, first)


def _check_rule(rule: Rule, index: int, graph: Graph) -> None:
    kind, colon, pattern = rule.match.partition(":")
    if not colon or kind not in ("type", "name", "regex") or not pattern:
        raise RecipeError(
            f"match = '{rule.match}' must be 'type:…', 'name:…' or 'regex:…'.", ("space", index, "match")
        )
    if kind == "regex":
        try:
            check_pattern(pattern, [operation.name for operation in graph.operations if operation.sites])
        except re.error as error:
            raise RecipeError(
                f"match = '{rule.match}' is not a regular expression: {error}.", ("space", index, "match")
            ) from error
        except TimeoutError as error:
            raise RecipeError(
                f"match = '{rule.match}' can't be used: {error}. Repeats within repeats, such as (a+)+, do that.",
                ("space", index, "match"),
            ) from error
    for preset in rule.ties:
        if preset not in PRESETS:
            raise RecipeError(
                f"'{preset}' is not a preset of ties ({suggest(preset, PRESETS)}).", ("space", index, "ties")
            )
    if not rule.choices:
        raise RecipeError(
            f"The rule '{rule.match}' gives no choices: add weight, input or bias.", ("space", index)
        )


def _choices(names: Sequence[str], rule: Rule, site: Site, index: int, role: str) -> tuple[str, ...]:
    path = ("space", index, role)
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise RecipeError(f"{role} must be a list of format names, but got {names!r}.", path)
    if not names:
        raise RecipeError(f"{role} of the rule '{rule.match}' is an empty list; a site needs a format.", path)
    if len(set(names)) != len(names):
        raise RecipeError(
            f"{role} of the rule '{rule.match}' lists a format twice: {', '.join(names)}.", path
        )
    for name in names:
        try:
            check_site(format(name), site)
        except FormatError as error:
            raise RecipeError(str(error), path) from error
    extra = ("fp32",) if rule.keep and "fp32" not in names else ()
    return (*names, *extra)


def check_site(chosen: Format, site: Site) -> None:
    """FormatError where a site can't take a format."""
    granularity = chosen.granularity
    if 0 in site.shape:
        raise FormatError(
            f"'{site.name}' can't take {chosen}: it holds no numbers, its shape is {site.shape}."
        )
    if len(site.shape) == 1 and site.is_parameter and not isinstance(granularity, PerTensor):
        raise FormatError(
            f"'{site.name}' can't take {chosen}: it has one axis, so a scale per channel or group would be "
            f"one per element.{_plain(chosen)}"
        )
    if site.is_parameter and isinstance(granularity, PerChannel) and site.channel is None:
        raise FormatError(
            f"'{site.name}' can't take {chosen}: the output channels of a grouped transposed convolution lie on "
            f"no one axis of its weight.{_plain(chosen)}"
        )
    # A format without the suffix, such as `binary`, has one scale for all where there are no channels.
    if not site.is_parameter and isinstance(granularity, PerChannel) and granularity.suffix:
        raise FormatError(
            f"'{site.name}' can't take {chosen}: a scale per input channel can't be taken out of the sum "
            f"over channels.{_plain(chosen)}"
        )
    if isinstance(granularity, Grouped) and not site.reduction:
        raise FormatError(
            f"'{site.name}' can't take {chosen}: the operation sums over no axis to group along."
            f"{_plain(chosen)}"
        )


def _plain(chosen: Format) -> str:
    """Advice: the same format with one scale for all, where its name says what that is."""
    plain = chosen.name.removesuffix(chosen.granularity.suffix)
    return f" Use {plain}." if plain != chosen.name else ""


def _check_matches(index: int, rule: Rule, operations: Sequence[Operation], graph: Graph) -> None:
    kind, _, pattern = rule.match.partition(":")
    searchable = [operation for operation in graph.operations if operation.sites]
    meant = [operation for operation in searchable if rule.matches(operation)]
    if not meant:
        known = {o.op for o in searchable} if kind == "type" else {o.name for o in searchable}
        reason = suggest(pattern, known)
        raise RecipeError(f"The rule '{rule.match}' matches nothing ({reason}).", ("space", index, "match"))
    if not operations and not rule.catches_all:
        reason = "every layer it matches is taken by an earlier rule"
        raise RecipeError(f"The rule '{rule.match}' matches nothing: {reason}.", ("space", index, "match"))
    roles = {name for operation in meant for own in operation.sites for name in (family(own), own)}
    for role in rule.choices:
        if not any(operation.sites_of(role) for operation in meant):
            raise RecipeError(
                f"'{role}' is not a site of any layer that '{rule.match}' matches ({suggest(role, roles)}).",
                ("space", index, role),
            )


def _check_effects(
    index: int, rule: Rule, operations: Sequence[Operation], effects: Container[tuple[int, str]]
) -> None:
    for role in rule.choices:
        if (index, role) in effects or rule.catches_all:
            continue
        meant = [site for operation in operations for site in operation.sites_of(role).values()]
        if any(other.startswith(f"{role}_") and (index, other) in effects for other in rule.choices):
            reason = "roles of the rule that say more leave it nothing"
        elif meant:
            reason = f"'{meant[0]}' is shared, and the rule of another layer comes first"
        else:
            reason = "every layer that has one is taken by an earlier rule"
        raise RecipeError(
            f"{role} of the rule '{rule.match}' has no effect: {reason}.", ("space", index, role)
        )
