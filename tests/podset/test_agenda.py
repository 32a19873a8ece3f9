from pallet.podset.agenda import Agenda
from tests.builders import at


def test_keys_come_when_they_are_due_the_longest_due_first() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.add("b", at(2))
    agenda.add("a", at(1))
    agenda.add("c", at(9))
    assert agenda.next() == at(1)
    assert agenda.take(at(2)) == ["a", "b"]
    assert agenda.next() == at(9)


def test_an_earlier_time_stands_and_a_key_comes_once() -> None:
    agenda: Agenda[str] = Agenda()
    for second in (5, 1, 7):
        agenda.add("a", at(second))
    assert agenda.take(at(10)) == ["a"]
    agenda.done("a")
    assert agenda.take(at(10)) == []
    assert agenda.next() is None


def test_a_key_that_is_worked_on_comes_again_only_when_it_is_done() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.add("a", at(1))
    assert agenda.take(at(1)) == ["a"]
    agenda.add("a", at(2))
    assert agenda.next() is None
    assert agenda.take(at(3)) == []
    agenda.done("a")
    assert agenda.take(at(3)) == ["a"]
