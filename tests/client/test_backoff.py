from pallet.client.backoff import Backoff


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(jitter=0.0)
    assert [backoff.delay(now) for now in range(7)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]


def test_jitter_lengthens_by_at_most_its_share() -> None:
    delays = {Backoff(initial=1.0, jitter=0.5).delay(0.0) for _ in range(200)}
    assert len(delays) > 1
    assert all(1.0 <= delay <= 1.5 for delay in delays)


def test_it_starts_anew_after_a_good_while() -> None:
    backoff = Backoff(jitter=0.0, reset_after=120.0)
    assert [backoff.delay(now) for now in (0.0, 120.0, 240.5)] == [0.8, 1.6, 0.8]
