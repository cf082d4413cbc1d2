"""Runs a load against a fake chute, in no time."""

import itertools

from chutes.bench.fake import FakeChute, FakeTimer
from chutes.bench.line import WireRequest
from chutes.bench.load import Means, load_for
from chutes.bench.tally import Tally

REQUEST = WireRequest(data=b"GET / HTTP/1.1\r\n\r\n")


class Driven:
    """A load that has ended."""

    def __init__(self, plan, times, *, requests=(REQUEST,), stop_after=None, **chute):
        self.timer = FakeTimer()
        self.chute = FakeChute(self.timer, times, **chute)
        self.tally = Tally()
        self.ends = 0
        began = self.timer.now()
        means = Means(
            plan=plan,
            lines=[self.chute.line() for _ in range(plan.clients)],
            requests=itertools.cycle(requests),
            timer=self.timer,
            tally=self.tally,
            on_end=self.end,
        )
        load = load_for(means)
        load.start()
        if stop_after is not None:
            self.timer.call_later(stop_after, load.stop)
        self.timer.run(until=lambda: self.ends > 0)
        self.seconds = self.timer.now() - began
        self.per_second = load.throughput()

    def end(self):
        self.ends += 1
