"""Threads that pay: told by a clock of the test's own."""

from stages.train.pace import AGAIN, TRIAL, Pace


class Machine:
    """A step takes one second of a quiet machine with one thread, half of it with two; with two, ten beside others."""

    def __init__(self):
        self.now, self.threads, self.quiet = 0.0, 2, True

    def allot(self, threads: int) -> None:
        self.threads = threads

    def step(self) -> int:
        self.now += 1.0 if self.threads == 1 else 0.5 if self.quiet else 10.0
        return self.threads


def test_it_takes_what_is_faster_and_looks_again():
    machine = Machine()
    pace = Pace((2, 1), machine.allot, lambda: machine.now)
    first = [pace(machine.step) for _ in range(AGAIN)]
    assert first == [2] * TRIAL + [1] * TRIAL + [2] * (AGAIN - 2 * TRIAL)
    machine.quiet = False
    second = [pace(machine.step) for _ in range(AGAIN)]
    assert second == [2] * TRIAL + [1] * (AGAIN - TRIAL)


def test_one_core_is_not_tried():
    machine = Machine()
    pace = Pace((1,), machine.allot, lambda: machine.now)
    assert [pace(machine.step) for _ in range(3)] == [2, 2, 2]  # never touched
