"""The workload: what it does, and what it says to those who ask for something else."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from app.workload import LIMITS, BadRequestError, Work, largest_prime, parse, perform

from tests.examples.load_experiment.serving import get, serving


@pytest.mark.parametrize(
    ("query", "work"),
    [
        ("", Work()),
        ("sleep=100", Work(sleep=100)),
        ("sleep=1&prime=2&bloat=3", Work(sleep=1, prime=2, bloat=3)),
        ("prime=10000000", Work(prime=LIMITS["prime"])),
        ("prime=0007", Work(prime=7)),
    ],
)
def test_a_query_is_read(query: str, work: Work) -> None:
    assert parse(query) == work


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sleep=-1", "sleep=-1: want a whole number from 0 to 60000"),
        ("sleep=1.5", "sleep=1.5: want"),
        ("sleep=", "sleep=: want"),
        ("prime=10000001", "prime=10000001: want a whole number from 0 to 10000000"),
        ("bloat=1025", "want a whole number from 0 to 1024"),
        ("bloat=\u0661", "want a whole number"),
        ("prime=" + "9" * 1000, f"prime={'9' * 20}: want"),
        ("primes=7", "unknown parameter 'primes': there are sleep, prime, bloat"),
        ("prime=7&prime=8", "prime is given twice"),
    ],
)
def test_a_query_that_makes_no_sense_is_told_why_in_a_line(query: str, message: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse(query)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_largest_prime_is_that_of_trial_division() -> None:
    largest = None
    for limit in range(500):
        if limit > 1 and all(limit % divisor for divisor in range(2, limit)):
            largest = limit
        assert largest_prime(limit) == largest


def test_work_is_done_and_told() -> None:
    began = time.monotonic()
    done = perform(Work(sleep=30, prime=100, bloat=2))
    assert time.monotonic() - began >= 0.03
    assert done["slept_ms"] >= 30
    assert (done["prime"], done["allocated_mb"], done["pod"]) == (97, 2, socket.gethostname())
    assert perform(Work()) == {"pod": socket.gethostname(), "slept_ms": 0, "prime": None, "allocated_mb": 0}


def test_the_process_answers_in_json_and_refuses_in_text() -> None:
    with serving() as port:
        status, body = get(port, "/?sleep=1&prime=10&bloat=1")
        answer = json.loads(body)
        assert (status, answer["prime"], answer["allocated_mb"]) == (200, 7, 1)
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/?prime=x") == (400, "prime=x: want a whole number from 0 to 10000000\n")
        assert get(port, "/?a=%0Ab")[1].count("\n") == 1
        assert get(port, "/elsewhere")[0] == 404


def test_at_its_end_requests_that_came_are_answered() -> None:
    with ThreadPoolExecutor(1) as pool:
        with serving() as port:
            connected = threading.Event()

            def ask() -> bytes:
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(b"GET /?sleep=300 HTTP/1.0\r\n\r\n")
                    connected.set()
                    return b"".join(iter(lambda: connection.recv(4096), b""))

            answer = pool.submit(ask)
            connected.wait(10)
            get(port, "/healthz")  # it came later than the other
        assert b" 200 OK" in answer.result(10)
