"""Lines as kube-scheduler 1.36.3 writes them."""

from pathlib import Path

from tools.parity.reference import DecisionLog

REFUSAL = (
    '"Unable to schedule pod; no fit; waiting" pod="ns/web" err="0/1 nodes are available: 1 Too many pods."'
)
HEAD = "I1122 09:41:21.000000   12345 schedule_one.go:982]"
SCORE = '"Plugin scored node for pod" pod="ns/web" plugin="NodeAffinity" node="node-1" score=200'
TOTAL = '"Calculated node\'s final score for pod" pod="ns/web" node="node-1" score=431'
VICTIM = '"Preemptor Pod preempted victim Pod" preemptor="ns/web" victim="ns/low" node="node-1"'
TARGET = '"the target node for the preemption is determined" node="node-1" pod="ns/web"'
GOING = (
    '"Victim Pod is already being deleted, skipping the API call for it" '
    'preemptor="ns/web" node="node-1" victim="ns/gone"'
)
PREEMPTING = (
    '"Start the preemption asynchronously" preemptor="ns/web" node="node-1" numVictims=1 numVictimsToDelete=1'
)
PREEMPTED = '"Async Preemption finished completely" preemptor="ns/web" node="node-1" result="success"'


def write(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(lines)


def test_scores_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write(file, f"{HEAD} {SCORE}\n", f"{HEAD} {TOTAL[:-5]}")
    log = DecisionLog(file)
    assert log.attempt("ns/web").shares == {"NodeAffinity": {"node-1": 200}}
    assert log.attempt("ns/web").totals == {}
    write(file, f"{TOTAL[-5:]}\n")
    assert log.attempt("ns/web").totals == {"node-1": 431}
    assert log.attempt("ns/other").totals == {}


def test_the_first_scores_of_a_pod_count(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write(file, f"{HEAD} {TOTAL}\n", f"{HEAD} {TOTAL.replace('431', '7')}\n")
    assert DecisionLog(file).attempt("ns/web").totals == {"node-1": 431}


def test_victims_are_complete_when_the_log_says_so(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write(file, f"{HEAD} {PREEMPTING}\n", f"{HEAD} {VICTIM}\n")
    log = DecisionLog(file)
    assert (log.attempt("ns/web").victims, log.attempt("ns/web").evicting) == ({"ns/low"}, 1)
    write(file, f"{HEAD} {PREEMPTED}\n")
    assert not log.attempt("ns/web").evicting


def test_victims_that_are_going_already_are_victims(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write(file, f"{HEAD} {TARGET}\n", f"{HEAD} {GOING}\n")
    attempt = DecisionLog(file).attempt("ns/web")
    assert (attempt.target, attempt.victims, attempt.preempting) == ("node-1", {"ns/gone"}, False)


def test_events_are_counted_by_object(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write(file, f'{HEAD} "Add event for node" node="node-1"\n')
    write(file, f'{HEAD} "Update event for node" node="node-1"\n')
    write(file, f'{HEAD} "Update event for unscheduled pod" pod="ns/web"\n')
    log = DecisionLog(file)
    assert [log.events(key) for key in ("node-1", "ns/web", "node-2")] == [2, 1, 0]


def test_refusals_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write(file, f"{HEAD} {REFUSAL}\n", f"{HEAD} {REFUSAL}\n")
    assert DecisionLog(file).attempt("ns/web").refusals == 2


def test_victims_of_a_second_preemption_are_not_those_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "log"
    write(file, *(f"{HEAD} {line}\n" for line in (TARGET, PREEMPTING, VICTIM, PREEMPTED)))
    again = (TARGET, GOING, PREEMPTING, VICTIM.replace("ns/low", "ns/other"), PREEMPTED)
    write(file, *(f"{HEAD} {line}\n" for line in again))
    attempt = DecisionLog(file).attempt("ns/web")
    assert (attempt.victims, attempt.targets, attempt.evicting) == ({"ns/low"}, 2, 0)
