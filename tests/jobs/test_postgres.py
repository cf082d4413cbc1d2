"""What only PostgreSQL must do: leases, word from other processes, servers that go away and come back."""

import asyncio
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from chutes.errors import StoreError
from chutes.jobs import driver, postgres, statements
from chutes.jobs.database import Step
from chutes.jobs.driver import split_cache_size, without_secrets
from chutes.jobs.postgres import Postgres
from chutes.jobs.run import Status
from chutes.jobs.store import Ending, NewRun, Store
from support.child_processes import becomes_true
from support.job_process import JobProcess
from support.postgres import Server, own_server

DONE = Ending(status=Status.SUCCEEDED, result="1")


@pytest.fixture
def schema() -> str:
    return f"test_{secrets.token_hex(8)}"


@pytest.fixture
async def store(postgres_server: Server, schema: str) -> AsyncIterator[Store]:
    store = Store(Postgres(postgres_server.url(), schema), "test")
    await store.open()
    yield store
    await store.close()


async def one(server: Server, query: str, *values: object) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


async def eventually(action, seconds: float = 60):
    """What an action returns once the database is back."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await action()
            except StoreError:
                await asyncio.sleep(0.05)


async def test_code_that_blocks_its_event_loop_keeps_its_runs(store, postgres_server, schema):
    await store.insert(NewRun(job="embed"))
    process = JobProcess(f"{postgres_server.url()} {schema}", "claim_and_block")
    try:
        process.get_ready()
        process.go()
        assert process.answer()
        # Its lease is four seconds long.
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            assert await store.recover() == []
            await asyncio.sleep(0.1)
    finally:
        process.kill()

    freed = []
    async with asyncio.timeout(30):
        while not (freed := await store.recover()):
            await asyncio.sleep(0.05)
    assert [(run.status, run.error) for run in freed] == [(Status.QUEUED, "interrupted")]


async def test_a_lease_is_the_databases_time(store, postgres_server, schema):
    await store.insert(NewRun(job="embed"))
    await store.claim(["embed"], 1)

    left = await one(
        postgres_server,
        f"SELECT lease_until - (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM {schema}.chutes_runs",
    )
    assert 0 < left <= 10_000
    assert await store.database.live_workers() is None


async def test_others_are_told_of_what_changed_and_of_nothing_else(store, postgres_server, schema):
    heard: list[str] = []
    listener = await asyncpg.connect(postgres_server.url())
    await listener.add_listener(schema, lambda *message: heard.append(message[3]))

    async def told() -> list[str]:
        """Who told, until now."""
        await becomes_true(lambda: not store.database._tasks, 60)
        await one(postgres_server, "SELECT pg_notify($1, 'until now')", schema)
        await becomes_true(lambda: heard[-1:] == ["until now"], 60)
        words = heard[:-1]
        heard.clear()
        return words

    await asyncio.gather(*(store.insert(NewRun(job="embed")) for _ in range(100)))
    assert set(await told()) == {"test"}

    # Who finds nothing to do must not wake others who would find nothing either, and wake them again.
    assert await store.claim(["nothing"], 1) == []
    assert await store.recover() == []
    await store.runs()
    assert await told() == []

    await store.cancel((await store.runs())[0].id)
    assert await told() == ["test"]
    await listener.close()


async def test_word_of_others_comes_at_once_and_ones_own_does_not(postgres_server, schema):
    heard = []
    stores = [Store(Postgres(postgres_server.url(), f"Me/{schema}"), name) for name in ("self", "other")]
    for store in stores:
        # What comes with a renewal comes too late for this test.
        store.database.lease_ms = 3_600_000
        store.database.changed = lambda store=store: heard.append(store.worker)
        await store.open()
    # Each looks around once it listens.
    await becomes_true(lambda: {"self", "other"} <= set(heard), 60)
    heard.clear()

    await stores[0].insert(NewRun(job="embed"))
    await becomes_true(lambda: heard, 60)
    for store in stores:
        await store.close()

    assert set(heard) == {"other"}


async def test_a_connection_for_word_of_others_that_dies_is_made_again(caplog):
    with own_server() as server:
        store, other = (Store(Postgres(server.url()), name) for name in ("store", "other"))
        await store.open()
        await other.open()
        other.database.lease_ms = 3_600_000
        connections = "FROM pg_stat_activity WHERE application_name = 'chutes'"
        while not await one(server, f"SELECT count(*) >= 4 {connections}"):
            await asyncio.sleep(0.02)
        await one(server, f"SELECT count(pg_terminate_backend(pid)) {connections}")
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        other.database.changed = lambda: loop.call_soon_threadsafe(heard.set)

        async with asyncio.timeout(60):
            while not heard.is_set():
                await asyncio.sleep(0.02)
            # It looked around when it was back; the next word is of a change.
            heard.clear()
            await eventually(lambda: store.insert(NewRun(job="embed")))
            await heard.wait()
        await store.close()
        await other.close()


async def test_a_server_that_restarts_loses_nothing_that_was_accepted(caplog):
    with own_server() as server:
        store = Store(Postgres(server.url()), "test")
        await store.open()
        accepted = [(await store.insert(NewRun(job="embed")))[0].id for _ in range(5)]
        (running,) = await store.claim(["embed"], 1)
        server.stop()

        with pytest.raises(StoreError, match=re.escape(f"127.0.0.1:{server.port}/postgres failed: ")):
            await store.insert(NewRun(job="embed"))
        server.started()
        accepted.append((await eventually(lambda: store.insert(NewRun(job="late"))))[0].id)

        assert (await store.finish(running, DONE)).status is Status.SUCCEEDED
        assert {run.id for run in await store.runs()} >= set(accepted)
        await store.close()


async def test_a_server_that_is_away_stops_no_close(caplog):
    with own_server() as server:
        store = Store(Postgres(server.url()), "test")
        await store.open()
        server.stop()
        async with asyncio.timeout(60):
            await store.close()


async def test_a_wrong_password_is_named_and_not_shown(postgres_server):
    database = Postgres(postgres_server.url(password="guessed"))

    with pytest.raises(
        StoreError, match=r"password authentication failed.*Correct the user and the password"
    ) as caught:
        await database.open("test")

    assert "guessed" not in str(caught.value) + repr(database)
    with pytest.raises(StoreError, match="is closed"):
        await database.run(Step(statements.WAITING))


async def test_a_database_that_is_missing_is_named(postgres_server):
    with pytest.raises(StoreError, match=r'database "absent" does not exist\. Create it with `createdb`'):
        await Postgres(postgres_server.url("absent")).open("test")


async def test_a_server_that_is_not_there_is_named():
    with pytest.raises(StoreError, match=r"127.0.0.1:1/jobs failed: .*Is it running"):
        await Postgres("postgresql://me:secret@127.0.0.1:1/jobs").open("test")


@pytest.mark.parametrize(
    "url", ["postgresql://me:se/cret@127.0.0.1/jobs", "postgresql://me:secret@127.0.0.1:x/jobs"]
)
async def test_an_address_that_cannot_be_read_stays_secret(url):
    with pytest.raises(StoreError, match="percent-encoding") as caught:
        await Postgres(url).open("test")

    assert "cret" not in str(caught.value)


async def test_the_driver_that_is_missing_is_named(monkeypatch):
    driver.driver.cache_clear()
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    with pytest.raises(StoreError, match=re.escape('pip install "openchutes[postgres]"')):
        await Postgres("postgresql://localhost/jobs").open("test")


async def test_a_schema_of_a_newer_version_is_refused(store, postgres_server, schema):
    await one(postgres_server, f"UPDATE {schema}.chutes_schema SET version = 99")

    with pytest.raises(StoreError, match=r"newer chutes \(schema 99, this one knows \d+\). Upgrade"):
        await Postgres(postgres_server.url(), schema).open("test")


async def test_a_user_without_rights_is_told_so(postgres_server, schema):
    await one(postgres_server, f"CREATE ROLE {schema} LOGIN PASSWORD 'swordfish'")

    with pytest.raises(StoreError, match=r"permission denied.*Grant the user"):
        await Postgres(postgres_server.url().replace("postgres:sw", f"{schema}:sw"), schema).open("test")


async def test_the_user_needs_no_right_to_create_once_the_tables_are_there(store, postgres_server, schema):
    await one(postgres_server, f"CREATE ROLE {schema} LOGIN PASSWORD 'swordfish'")
    await one(postgres_server, f"GRANT USAGE ON SCHEMA {schema} TO {schema}")
    await one(postgres_server, f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {schema}")

    guest = Store(Postgres(postgres_server.url().replace("postgres:sw", f"{schema}:sw"), schema), "guest")
    await guest.open()
    await guest.insert(NewRun(job="embed"))
    await guest.close()

    assert len(await store.runs()) == 1


async def test_chutes_that_share_a_database_do_not_see_each_other(store, postgres_server):
    name = f'me/{secrets.token_hex(40)} "quoted" é'
    other = Store(Postgres(postgres_server.url(), name), "other")
    await other.open()
    await other.insert(NewRun(job="embed"))

    assert await store.claim(["embed"], 1) == []
    assert len(await other.claim(["embed"], 1)) == 1
    await other.close()


async def test_it_works_without_prepared_statements(postgres_server, schema):
    url = f"{postgres_server.url()}?statement_cache_size=0"
    store = Store(Postgres(url, schema), "test")
    await store.open()
    answers = await asyncio.gather(*(store.insert(NewRun(job="embed", key=str(n % 10))) for n in range(20)))
    await asyncio.gather(*(store.insert(NewRun(job="other")) for _ in range(20)))
    runs = await store.claim(["embed", "other"], 30)
    ended = await asyncio.gather(*(store.finish(run, DONE) for run in runs))
    await store.close()

    assert len({run.id for run, _ in answers}) == 10
    assert len(ended) == 30
    assert {run.status for run in ended} == {Status.SUCCEEDED}


@pytest.mark.parametrize("kind", ["InvalidSQLStatementNameError", "DuplicatePreparedStatementError"])
def test_what_a_pgbouncer_does_to_prepared_statements_is_explained(kind):
    error = driver.explain("db/jobs", getattr(asyncpg, kind)("It is not there.\nHINT: use asyncpg.connect()"))

    assert str(error) == (
        "The jobs database db/jobs failed: It is not there. Behind a PgBouncer that pools transactions, "
        "end CHUTES_DATABASE_URL with ?statement_cache_size=0."
    )


async def test_a_value_that_cannot_be_stored_harms_nobody_else(store):
    answers = await asyncio.gather(
        store.insert(NewRun(job="embed")),
        store.insert(NewRun(job="embed", priority=2**70)),
        store.insert(NewRun(job="\ud800")),
        store.insert(NewRun(job="embed", arguments="\x00")),
        store.insert(NewRun(job="embed")),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [tuple, StoreError, StoreError, StoreError, tuple]
    assert len(await store.runs()) == 2


async def test_what_comes_during_a_round_trip_shares_the_next(store, postgres_server, schema):
    await asyncio.gather(*(store.insert(NewRun(job="embed")) for _ in range(400)))

    assert len(await store.runs(count=1000)) == 400
    assert await one(postgres_server, f"SELECT count(DISTINCT xmin::text) FROM {schema}.chutes_runs") <= 10


async def test_a_second_event_loop_can_use_it(store):
    def elsewhere() -> str:
        async def submit() -> str:
            return (await store.insert(NewRun(job="embed")))[0].id

        return asyncio.run(submit())

    run_id = await asyncio.to_thread(elsewhere)

    assert (await store.get(run_id)).id == run_id


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("CLAIM", "chutes_runs_next"),
        ("NEXT", "chutes_runs_next"),
        ("MINE", "chutes_runs_running"),
        ("BEAT", "chutes_runs_running"),
        ("HOLDERS", "chutes_runs_running"),
        ("RECOVER", "chutes_runs_running"),
        ("PURGEABLE", "chutes_runs_finished"),
        ("CRON_INSERT", "chutes_runs_scheduled"),
    ],
)
async def test_an_index_without_finished_runs_finds_what_waits(
    store, postgres_server, schema, statement, index
):
    text, names = postgres._dialect(getattr(statements, statement), schema)
    known = {
        "jobs": '["embed"]', "dead": "[]", "worker": "w", "newline": "\n", "job": "embed", "id": "1", "webhook": None,
    }  # fmt: skip
    connection = await asyncpg.connect(postgres_server.url())
    try:
        await connection.execute(FINISHED_RUNS.format(schema=schema))
        await connection.execute(f"ANALYZE {schema}.chutes_runs")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        rows = await connection.fetch(f"EXPLAIN {text}", *(known.get(name, 1) for name in names))
    finally:
        await connection.close()
    plan = [row[0] for row in rows]

    assert any(index in line for line in plan), plan
    assert not any("Seq Scan on chutes_runs" in line for line in plan), plan


FINISHED_RUNS = """
    INSERT INTO {schema}.chutes_runs(
        id, job, status, arguments, attempt, max_attempts, run_at, created_at, started_at, finished_at)
    SELECT lpad(n::text, 32, '0'), 'embed', 'succeeded', '{{}}', 1, 1, n, n, n, n FROM generate_series(1, 100000) AS n
"""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@db:5432/jobs?sslmode=require", "db:5432/jobs"),
        ("postgresql://db/jobs", "db/jobs"),
        ("postgresql://me:se/cr@et@db/jobs", "db/jobs"),
        ("postgresql://me:se?cret@db/jobs", "of CHUTES_DATABASE_URL"),
        ("postgresql:///jobs?host=/run&password=secret", "/jobs"),
    ],
)
def test_a_database_is_named_without_its_secrets(url, shown):
    assert without_secrets(url) == shown
    assert repr(Postgres(url)) == f"Postgres({shown!r})"


@pytest.mark.parametrize(
    ("url", "rest", "size"),
    [
        ("postgresql://db/jobs", "postgresql://db/jobs", 100),
        ("postgresql://db/jobs?statement_cache_size=0", "postgresql://db/jobs", 0),
        ("postgresql://db/jobs?a=1&statement_cache_size=0", "postgresql://db/jobs?a=1", 0),
        ("postgresql://db/jobs?statement_cache_size=7&a=1", "postgresql://db/jobs?a=1", 7),
    ],
)
def test_the_size_of_the_cache_is_read_from_the_address(url, rest, size):
    assert split_cache_size(url) == (rest, size)
