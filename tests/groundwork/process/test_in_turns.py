"""An order in which owners take turns."""

from groundwork.process.in_turns import in_turns


def test_owners_take_turns_and_each_keeps_its_own_order():
    items = ["a1", "a2", "a3", "b1", "a4", "c1", "b2"]
    assert in_turns(items, lambda item: item[0]) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
