from pallet.podset.workqueue import Workqueue
from tests.builders import at


def test_keys_come_when_they_are_due_the_longest_due_first() -> None:
    workqueue: Workqueue[str] = Workqueue()
    workqueue.add("b", at(2))
    workqueue.add("a", at(1))
    workqueue.add("c", at(9))
    assert workqueue.next() == at(1)
    assert workqueue.take(at(2)) == ["a", "b"]
    assert workqueue.next() == at(9)


def test_an_earlier_time_stands_and_a_key_comes_once() -> None:
    workqueue: Workqueue[str] = Workqueue()
    for second in (5, 1, 7):
        workqueue.add("a", at(second))
    assert workqueue.take(at(10)) == ["a"]
    workqueue.done("a")
    assert workqueue.take(at(10)) == []
    assert workqueue.next() is None


def test_a_key_that_is_worked_on_comes_again_only_when_it_is_done() -> None:
    workqueue: Workqueue[str] = Workqueue()
    workqueue.add("a", at(1))
    assert workqueue.take(at(1)) == ["a"]
    workqueue.add("a", at(2))
    assert workqueue.next() is None
    assert workqueue.take(at(3)) == []
    workqueue.done("a")
    assert workqueue.take(at(3)) == ["a"]
