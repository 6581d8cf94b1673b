from itertools import islice

from tests.faults.schedule import plan_rounds

KINDS = ["killed", "stalled", "cut off", "slow", "frozen"]


def test_the_same_seed_plans_the_same_rounds_and_another_seed_others() -> None:
    one, same, other = (list(islice(plan_rounds(seed, KINDS, 8), 20)) for seed in (1, 1, 2))
    assert one == same != other


def test_every_kind_comes_once_before_any_comes_again() -> None:
    kinds = [fault.kind for planned in islice(plan_rounds(3, KINDS, 8), 20) for fault in planned.faults]
    assert sorted(kinds[:5]) == sorted(kinds[5:10]) == sorted(KINDS)


def test_a_round_has_one_to_three_faults_in_the_order_of_time_while_its_load_runs() -> None:
    for planned in islice(plan_rounds(4, KINDS, 8), 50):
        times = [fault.after for fault in planned.faults]
        assert 1 <= len(times) <= 3
        assert times == sorted(times)
        assert 0 < times[0] <= times[-1] < 8
