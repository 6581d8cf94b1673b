"""The model sees what it is there to see."""

from tests.faults.model import Book, Message, Order, Said, what_is_wrong, what_was_not_called_once


def told(*numbers: int) -> list[Message]:
    return [message for each in numbers for message in (("human", f"{each} say"), ("ai", f"heard {each}"))]


def test_a_whole_conversation_is_right() -> None:
    assert what_is_wrong([Said(1, True), Said(2, True)], told(1, 2)) == []


def test_a_message_of_unknown_fate_may_be_there_or_not_or_come_late() -> None:
    said = [Said(1), Said(2, True), Said(3, True)]
    assert [what_is_wrong(said, told(*numbers)) for numbers in ((2, 3), (1, 2, 3), (2, 1, 3), (2, 3, 1))] == [
        []
    ] * 4


def test_an_accepted_message_that_is_lost_is_seen() -> None:
    assert "accepted, but not there: [2]" in what_is_wrong([Said(1, True), Said(2, True)], told(1))


def test_a_message_that_is_there_twice_is_seen_whether_it_was_accepted_or_not() -> None:
    assert "there more than once: [1]" in what_is_wrong([Said(1, True)], told(1, 1))
    assert "there more than once: [1]" in what_is_wrong([Said(1)], told(1, 1))


def test_messages_in_another_order_than_they_were_accepted_in_are_seen() -> None:
    wrong = what_is_wrong([Said(1, True), Said(2, True)], told(2, 1))
    assert "2 stands before 1, which was accepted earlier" in wrong


def test_a_message_that_nobody_sent_is_seen() -> None:
    assert "never said: [7]" in what_is_wrong([Said(1, True)], told(1, 7))


def test_an_answer_that_is_missing_or_there_twice_is_seen() -> None:
    assert what_is_wrong([Said(1, True)], told(1)[:1])
    assert what_is_wrong([Said(1, True)], [*told(1), ("ai", "heard 1")])


def test_a_call_that_was_made_twice_is_seen_unless_something_was_the_matter_in_between() -> None:
    orders = [Order("strange-1", 1, ("pay", "book"), "task")]
    journal = "10.0 strange-1 1.0\n11.0 strange-1 1.1\n20.0 strange-1 1.1\n"
    seen = [
        len(what_was_not_called_once(orders, journal, [span])) for span in ((0, 5), (0, 12), (15, 16), (21, 30))
    ]
    assert seen == [1, 0, 0, 1]


def test_a_call_that_was_never_made_is_seen_where_its_turn_completes() -> None:
    seen = [
        len(what_was_not_called_once([Order(thread, 1, ("pay",), task)], "", []))
        for thread, task in (("strange-1", "task"), ("strange-1", None), ("fails-1", "task"))
    ]
    assert seen == [1, 0, 0]


def test_what_is_being_deleted_is_not_expected_to_be_there() -> None:
    book = Book()
    for thread_id in ("kept", "doomed"):
        book.begin(thread_id).next()
    book.doomed.add("doomed")
    assert [each.thread_id for each in book.kept] == ["kept"]
