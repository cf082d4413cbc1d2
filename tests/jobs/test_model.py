"""Any order of calls, by any of two workers, leaves the store as a few lines of Python say."""

import asyncio
import secrets
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from chutes.jobs.memory import Memory
from chutes.jobs.postgres import Postgres
from chutes.jobs.run import Attempt, Run, Status
from chutes.jobs.store import Ending, NewRun, Store

JOBS = ("a", "b")


@dataclass
class Known:
    """What must be true of a run."""

    job: str
    priority: int
    left: int
    order: int
    status: Status = Status.QUEUED
    attempt: int = 0
    cancel: bool = False
    owner: Store | None = None
    errors: list[str] = field(default_factory=list)


class Jobs(RuleBasedStateMachine):
    """Two workers on one database, and what must be in it."""

    attempts: Bundle = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores = [Store(database, f"worker-{n}") for n, database in enumerate(self.databases())]
        for store in self.stores:
            self.runner.run(store.open())
        self.known: dict[str, Known] = {}
        self.keys: dict[tuple[str, str], str] = {}

    def databases(self):
        first = Memory()
        return first, Memory(beside=first)

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()

    @rule(
        job=st.sampled_from(JOBS),
        priority=st.integers(-1, 1),
        attempts=st.integers(1, 3),
        key=st.sampled_from((None, None, "x")),
    )
    def submit(self, job: str, priority: int, attempts: int, key: str | None) -> None:
        new = NewRun(job=job, priority=priority, max_attempts=attempts, key=key)
        run, is_new = self.runner.run(self.stores[0].insert(new))
        assert is_new == (key is None or (job, key) not in self.keys)
        if is_new:
            self.known[run.id] = Known(job, priority, attempts, len(self.known))
        if key is not None:
            assert self.keys.setdefault((job, key), run.id) == run.id

    @rule(
        target=attempts,
        worker=st.integers(0, 1),
        jobs=st.sets(st.sampled_from(JOBS)),
        count=st.integers(1, 3),
    )
    def claim(self, worker: int, jobs: set[str], count: int):
        store = self.stores[worker]
        runs = self.runner.run(store.claim(jobs, count))
        due = [
            (id_, run) for id_, run in self.known.items() if run.status is Status.QUEUED and run.job in jobs
        ]
        assert len(runs) == min(count, len(due))
        if runs:
            # A retry waits from the moment that it was queued, so order is certain among priorities only.
            assert (
                sorted(-run.priority for run in runs) == sorted(-run.priority for _, run in due)[: len(runs)]
            )
        for run in runs:
            known = self.known[run.id]
            known.status, known.owner, known.attempt = Status.RUNNING, store, known.attempt + 1
        return multiple(*((store, run) for run in runs))

    @rule(attempt=consumes(attempts), how=st.sampled_from(("succeed", "fail", "give up", "hand back")))
    def finish(self, attempt: tuple[Store, Run], how: str) -> None:
        store, run = attempt
        known = self.known[run.id]
        line = Attempt(number=run.attempt, started_at=1, finished_at=2, error=how).line()
        ending = {
            "succeed": Ending(status=Status.SUCCEEDED, result="1"),
            "fail": Ending(status=Status.QUEUED, error=how, history=line),
            "give up": Ending(status=Status.FAILED, error=how, history=line),
            "hand back": Ending(status=Status.QUEUED, refund=True),
        }[how]
        ended = self.runner.run(store.finish(run, ending))
        if known.status is not Status.RUNNING or (known.owner, known.attempt) != (store, run.attempt):
            assert ended is None
            return
        known.status = Status.CANCELLED if known.cancel and ending.status is Status.QUEUED else ending.status
        known.attempt -= ending.refund
        known.owner = None
        known.errors += [how] if ending.history else []

    @rule(attempt=attempts, share=st.floats(0, 1))
    def progress(self, attempt: tuple[Store, Run], share: float) -> None:
        store, run = attempt
        known = self.known[run.id]
        is_its_own = known.status is Status.RUNNING and (known.owner, known.attempt) == (store, run.attempt)
        assert self.runner.run(store.progress(run, share, None)) == (not is_its_own or known.cancel)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from([*self.known, "unknown"]))
        answer = self.runner.run(self.stores[1].cancel(run_id))
        known = self.known.get(run_id)
        if known is None or known.status not in {Status.QUEUED, Status.RUNNING}:
            assert answer is None
            return
        known.cancel = True
        if known.status is Status.QUEUED:
            known.status = Status.CANCELLED

    @rule(data=st.data(), attempts=st.integers(1, 3))
    def retry(self, data: st.DataObject, attempts: int) -> None:
        run_id = data.draw(st.sampled_from([*self.known, "unknown"]))
        answer = self.runner.run(self.stores[1].retry(run_id, attempts))
        known = self.known.get(run_id)
        if known is None or known.status not in {Status.FAILED, Status.CANCELLED}:
            assert answer is None
            return
        known.status, known.cancel, known.left = Status.QUEUED, False, known.attempt + attempts

    @invariant()
    def everything_is_as_it_must_be(self) -> None:
        runs = {run.id: run for run in self.runner.run(self.stores[1].runs(count=1000))}
        assert list(runs) == list(self.known)[::-1]
        for run_id, known in self.known.items():
            run = runs[run_id]
            assert (run.job, run.status, run.attempt, run.cancel, run.max_attempts) == (
                known.job, known.status, known.attempt, known.cancel, known.left,
            )  # fmt: skip
            assert [one.error for one in run.history] == known.errors
            assert run.worker == (known.owner.worker if known.owner else None)
            assert run.is_final == (run.finished_at is not None)
        for store in self.stores:
            mine = {(i, k.attempt): k.cancel for i, k in self.known.items() if k.owner is store}
            assert self.runner.run(store.mine()) == mine


class JobsInMemory(Jobs):
    """On SQLite's SQL."""


TestJobsInMemory = JobsInMemory.TestCase
TestJobsInMemory.settings = settings(max_examples=60, stateful_step_count=30)


def test_postgres_does_as_the_model_says(postgres_server):
    class JobsInPostgres(Jobs):
        """On PostgreSQL's."""

        def databases(self):
            schema = f"test_{secrets.token_hex(8)}"
            return Postgres(postgres_server.url(), schema), Postgres(postgres_server.url(), schema)

    case = JobsInPostgres.TestCase()
    case.settings = settings(max_examples=10, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    case.runTest()
