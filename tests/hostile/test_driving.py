"""What counts as a clear refusal."""

import pytest

from tests.hostile.driving import kind_of


@pytest.mark.parametrize(
    ("name", "status", "said", "kind"),
    [
        ("report", 0, "", "done"),
        ("report", 0, "Note: two lines are short.\n", "done"),
        ("report", 2, "Error: 'run' holds no log.\n", "refused"),
        ("report", 1, "Error: 'run' holds no log.\n", "fault"),  # nobody's input is wrong
        ("report", 1, "", "fault"),
        ("verify", 1, "", "done"),  # the run is different
        ("verify", 1, "Error: the disk is full.\n", "fault"),
        ("verify", 2, "", "fault"),
        ("report", 2, "Error: one.\n\nAnd two.\n", "fault"),
        ("report", 2, "Error: bitfront failed: KeyError\n", "fault"),
        ("report", 2, "Traceback (most recent call last):\n", "fault"),
        ("report", 2, f"Error: {'x' * 4000}\n", "fault"),
        ("report", 2, "Error: \x1b[31mred\n", "fault"),
        ("report", 139, "Error: 'run' holds no log.\n", "fault"),
    ],
)
def test_a_refusal_is_one_paragraph_and_says_whose_fault_it_is(
    name: str, status: int, said: str, kind: str
) -> None:
    assert kind_of(name, status, said) == kind
