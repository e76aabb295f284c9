"""Turns to read a log: few at each look, and nobody is forgotten."""

from __future__ import annotations

from collections import Counter

import pytest

from octa_provider.watch.log_reads import MOST_LOOKS_KEPT, READS_A_LOOK, READS_A_MINUTE, LogReads


def read_in(reads: LogReads, due: dict[int, float], poll_s: float = 5.0) -> list[int]:
    """Who gets a turn at one look, of those who are due since then."""
    reads.next_look(poll_s)
    return [who for who, since in due.items() if reads.ask(who, since)]


@pytest.mark.parametrize("jobs", [50, 500])
def test_reads_do_not_grow_with_the_number_of_jobs(jobs: int) -> None:
    reads = LogReads()
    made = [len(read_in(reads, dict.fromkeys(range(jobs), float(look)))) for look in range(60)]
    assert made[0] == READS_A_LOOK * MOST_LOOKS_KEPT
    assert made[1:] == [READS_A_LOOK] * 59


def test_who_is_due_for_longest_is_first_wherever_it_stands_in_the_queue() -> None:
    reads = LogReads()
    due = {who: float(100 - who) for who in range(100)}
    read_in(reads, due)
    assert read_in(reads, due) == [97, 98, 99]
    del due[97], due[98], due[99]
    assert read_in(reads, due) == [94, 95, 96]


def test_a_turn_is_kept_for_who_asks_seldom_but_not_for_ever() -> None:
    reads, others = LogReads(), dict.fromkeys(range(1, 100), 1.0)
    read_in(reads, others)
    assert not reads.ask("seldom", 0.0)
    for _ in range(3):
        assert len(read_in(reads, others)) <= READS_A_LOOK
    assert reads.ask("seldom", 0.0)
    # Who has gone away leaves its turn to others.
    assert not reads.ask("gone", 0.0)
    made = [len(read_in(reads, others)) for _ in range(60)]
    assert sum(made) == READS_A_LOOK * 60


def test_everybody_has_a_turn_before_anybody_has_a_second_one() -> None:
    reads, had = LogReads(), Counter[int]()
    due = dict.fromkeys(range(200), 0.0)
    for look in range(1, 200):
        # The order in which they ask is another each time.
        asking = dict(sorted(due.items(), key=lambda one: (one[0] * 7919 * look) % 211))
        for who in read_in(reads, asking):
            had[who] += 1
            due[who] = float(look)
        if len(had) == 200:
            break
    assert len(had) == 200
    # At the last look there were more turns than jobs that had had none.
    assert sum(had.values()) - 200 < READS_A_LOOK


def test_one_alone_is_read_at_every_look() -> None:
    reads = LogReads()
    assert all(read_in(reads, {1: float(look)}) == [1] for look in range(100))


def test_who_looks_seldom_reads_as_many_in_a_minute() -> None:
    reads = LogReads()
    read_in(reads, dict.fromkeys(range(1000), 0.0), poll_s=60)
    assert len(read_in(reads, dict.fromkeys(range(1000), 0.0), poll_s=60)) == READS_A_MINUTE
