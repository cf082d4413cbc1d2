"""The SQL of the job store: one text for SQLite and PostgreSQL.

Each database replaces what the two write differently: `now_ms()`, `elements(:list)` (the texts of a JSON array), `{lock}`
(after a SELECT of rows to change), `{serial}` (a column that numbers its rows) and `{bytes}` (the type of a column of bytes).
"""

__all__ = [
    "ADD_EVENT", "BEAT", "CANCEL", "CLAIM", "CRON", "CRON_INSERT", "CRON_MOVE", "CRON_SKIPPED", "CRON_START", "EVENTS",
    "FINISH", "GET", "GET_BY_KEY", "HOLDERS", "INSERT", "LIST", "LIST_OF_JOB", "LIST_OF_STATUS", "MIGRATIONS", "MINE", "NEXT",
    "PROGRESS", "PURGE", "PURGEABLE", "PURGEABLE_OF_JOB", "PURGE_EVENTS", "RECOVER", "RETRY", "WAITING",
]  # fmt: skip

MIGRATIONS = (
    """
    CREATE TABLE chutes_runs(
        id TEXT PRIMARY KEY, job TEXT NOT NULL, status TEXT NOT NULL, arguments TEXT NOT NULL, result TEXT, error TEXT,
        attempt BIGINT NOT NULL DEFAULT 0, max_attempts BIGINT NOT NULL, timeout_ms BIGINT, priority BIGINT NOT NULL DEFAULT 0,
        run_at BIGINT NOT NULL, lease_until BIGINT, worker TEXT, key TEXT, cancel BIGINT NOT NULL DEFAULT 0,
        progress DOUBLE PRECISION, note TEXT, history TEXT NOT NULL DEFAULT '', scheduled_for BIGINT,
        created_at BIGINT NOT NULL, started_at BIGINT, finished_at BIGINT);
    CREATE INDEX chutes_runs_claim ON chutes_runs(priority DESC, run_at, id) WHERE status = 'queued';
    CREATE INDEX chutes_runs_next ON chutes_runs(run_at) WHERE status = 'queued';
    CREATE INDEX chutes_runs_running ON chutes_runs(worker) WHERE status = 'running';
    CREATE INDEX chutes_runs_scheduled ON chutes_runs(job) WHERE scheduled_for IS NOT NULL AND finished_at IS NULL;
    CREATE INDEX chutes_runs_finished ON chutes_runs(finished_at) WHERE finished_at IS NOT NULL;
    CREATE INDEX chutes_runs_job ON chutes_runs(job, id);
    CREATE UNIQUE INDEX chutes_runs_key ON chutes_runs(job, key) WHERE key IS NOT NULL;
    CREATE TABLE chutes_cron(
        job TEXT PRIMARY KEY, expression TEXT NOT NULL, last_tick BIGINT NOT NULL, last_run TEXT,
        skipped BIGINT NOT NULL DEFAULT 0);
    CREATE TABLE chutes_events(
        number {serial}, run_id TEXT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
    CREATE INDEX chutes_events_run ON chutes_events(run_id, number);
    """,
    """
    ALTER TABLE chutes_runs ADD COLUMN folder TEXT;
    ALTER TABLE chutes_runs ADD COLUMN files TEXT;
    CREATE TABLE chutes_folders(
        id TEXT PRIMARY KEY, run_id TEXT NOT NULL, worker TEXT NOT NULL, attempt BIGINT NOT NULL);
    CREATE TABLE chutes_chunks(
        folder TEXT NOT NULL, start BIGINT NOT NULL, data {bytes} NOT NULL, PRIMARY KEY(folder, start));
    """,
    """
    ALTER TABLE chutes_runs ADD COLUMN webhook TEXT;
    ALTER TABLE chutes_runs ADD COLUMN webhook_status TEXT;
    ALTER TABLE chutes_runs ADD COLUMN webhook_attempts BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE chutes_runs ADD COLUMN webhook_due BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE chutes_runs ADD COLUMN webhook_worker TEXT;
    ALTER TABLE chutes_runs ADD COLUMN webhook_error TEXT;
    ALTER TABLE chutes_runs ADD COLUMN webhook_delivered_at BIGINT;
    CREATE INDEX chutes_runs_webhooks ON chutes_runs(webhook_due, id)
        WHERE webhook_status = 'pending' AND finished_at IS NOT NULL AND webhook_worker IS NULL;
    CREATE INDEX chutes_runs_delivering ON chutes_runs(webhook_worker) WHERE webhook_worker IS NOT NULL;
    """,
)
"""Each text brings a database from the version of its place to the next one; a text that was released never changes."""

INSERT = """
    INSERT INTO chutes_runs(
        id, job, status, arguments, max_attempts, timeout_ms, priority, run_at, key, webhook, webhook_status, created_at)
    VALUES(
        :id, :job, 'queued', :arguments, :max_attempts, :timeout_ms, :priority, now_ms() + :delay_ms, :key, :webhook,
        :webhook_status, now_ms())
    ON CONFLICT DO NOTHING RETURNING *
"""

# What was to run at once does, even if somebody has set the clock back since.
# MATERIALIZED: PostgreSQL might read the list anew for each row, and then claim more than `count`.
# `job || ''` keeps SQLite from the index of all runs of a job, finished ones included; the one of queued runs is short.
CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT id FROM chutes_runs
        WHERE status = 'queued' AND (run_at <= now_ms() OR run_at <= created_at) AND job || '' IN (elements(:jobs))
        ORDER BY priority DESC, run_at, id LIMIT :count {lock})
    UPDATE chutes_runs SET status = 'running', attempt = attempt + 1, worker = :worker, lease_until = now_ms() + :lease_ms,
        started_at = now_ms(), progress = NULL, note = NULL
    WHERE id IN (SELECT id FROM due) AND status = 'queued'
    RETURNING *
"""

NEXT = """
    SELECT CASE WHEN run_at <= created_at THEN 0 ELSE run_at - now_ms() END AS wait_ms FROM chutes_runs
    WHERE status = 'queued' AND job || '' IN (elements(:jobs))
    ORDER BY run_at LIMIT 1
"""

# A run that is locked is ending, and to wait for several locks is to invite a deadlock.
BEAT = """
    WITH mine AS MATERIALIZED (SELECT id FROM chutes_runs WHERE worker = :worker AND status = 'running' {lock})
    UPDATE chutes_runs SET lease_until = now_ms() + :lease_ms
    WHERE id IN (SELECT id FROM mine) AND worker = :worker AND status = 'running'
"""

# A run whose end somebody asked for is not tried again. CAST tells PostgreSQL the types of values inside CASE.
FINISH = """
    UPDATE chutes_runs SET
        status = CASE WHEN cancel = 1 AND CAST(:status AS TEXT) = 'queued' THEN 'cancelled' ELSE CAST(:status AS TEXT) END,
        finished_at = CASE WHEN cancel = 0 AND CAST(:status AS TEXT) = 'queued' THEN NULL ELSE now_ms() END,
        result = :result, error = :error, folder = CAST(:folder AS TEXT), files = CAST(:files AS TEXT),
        attempt = attempt - :refund, run_at = now_ms() + :delay_ms, lease_until = NULL, worker = NULL,
        history = history || :history
    WHERE id = :id AND status = 'running' AND worker = :worker AND attempt = :attempt
    RETURNING *
"""

HOLDERS = "SELECT DISTINCT worker FROM chutes_runs WHERE status = 'running'"

RECOVER = """
    WITH lost AS MATERIALIZED (
        SELECT id FROM chutes_runs
        WHERE status = 'running' AND (
            lease_until <= now_ms() OR worker IN (elements(:dead))) {lock})
    UPDATE chutes_runs SET
        status = CASE WHEN cancel = 1 THEN 'cancelled' WHEN attempt < max_attempts THEN 'queued' ELSE 'failed' END,
        finished_at = CASE WHEN cancel = 0 AND attempt < max_attempts THEN NULL ELSE now_ms() END,
        error = 'interrupted', lease_until = NULL, worker = NULL,
        history = history || '[' || attempt || ',' || started_at || ',' || now_ms() || ',"interrupted"]' || :newline
    WHERE id IN (SELECT id FROM lost) AND status = 'running'
    RETURNING *
"""

MINE = "SELECT id, attempt, cancel FROM chutes_runs WHERE worker = :worker AND status = 'running'"

CANCEL = """
    UPDATE chutes_runs SET cancel = 1, status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
        finished_at = CASE WHEN status = 'queued' THEN now_ms() ELSE finished_at END
    WHERE id = :id AND status IN ('queued', 'running') RETURNING *
"""

RETRY = """
    UPDATE chutes_runs SET status = 'queued', cancel = 0, max_attempts = attempt + :attempts, run_at = now_ms(),
        finished_at = NULL, result = NULL, folder = NULL, files = NULL, webhook_attempts = 0, webhook_due = 0,
        webhook_status = CASE WHEN webhook IS NULL THEN NULL ELSE 'pending' END, webhook_worker = NULL, webhook_error = NULL,
        webhook_delivered_at = NULL
    WHERE id = :id AND status IN ('failed', 'cancelled') RETURNING *
"""

PROGRESS = """
    UPDATE chutes_runs SET progress = :progress, note = :note
    WHERE id = :id AND status = 'running' AND worker = :worker AND attempt = :attempt RETURNING cancel
"""

GET = "SELECT * FROM chutes_runs WHERE id = :id"

GET_BY_KEY = "SELECT * FROM chutes_runs WHERE job = :job AND key = :key"

# `~` comes after every id.
LIST = "SELECT * FROM chutes_runs WHERE id < :before ORDER BY id DESC LIMIT :count"

LIST_OF_JOB = """
    SELECT * FROM chutes_runs
    WHERE job = :job AND id < :before AND (CAST(:status AS TEXT) IS NULL OR status = CAST(:status AS TEXT))
    ORDER BY id DESC LIMIT :count
"""

LIST_OF_STATUS = """
    SELECT * FROM chutes_runs WHERE status = :status AND id < :before ORDER BY id DESC LIMIT :count
"""

# One SELECT for each, because each has an index that holds nothing else.
WAITING = """
    SELECT job || '' AS job, 'queued' AS status, COUNT(*) AS count FROM chutes_runs WHERE status = 'queued' GROUP BY 1
    UNION ALL
    SELECT job || '' AS job, 'running' AS status, COUNT(*) AS count FROM chutes_runs WHERE status = 'running' GROUP BY 1
"""

# A run whose end is still to be told stays.
PURGEABLE = """
    SELECT id FROM chutes_runs
    WHERE finished_at < now_ms() - :age_ms AND (webhook_status IS NULL OR webhook_status <> 'pending')
    ORDER BY finished_at LIMIT :count
"""

PURGEABLE_OF_JOB = """
    SELECT id FROM chutes_runs
    WHERE job = :job AND finished_at < now_ms() - :age_ms AND (webhook_status IS NULL OR webhook_status <> 'pending')
    LIMIT :count
"""

# A run that was meanwhile queued once more stays, and so do its events.
PURGE = """
    WITH old AS MATERIALIZED (
        SELECT id FROM chutes_runs
        WHERE id IN (elements(:ids)) AND finished_at IS NOT NULL AND (webhook_status IS NULL OR webhook_status <> 'pending')
        {lock})
    DELETE FROM chutes_runs WHERE id IN (SELECT id FROM old) AND finished_at IS NOT NULL
        AND (webhook_status IS NULL OR webhook_status <> 'pending')
    RETURNING id
"""

PURGE_EVENTS = """
    DELETE FROM chutes_events WHERE run_id IN (elements(:ids))
        AND NOT EXISTS (SELECT 1 FROM chutes_runs WHERE chutes_runs.id = chutes_events.run_id)
"""

CRON = "SELECT job, last_tick, skipped FROM chutes_cron"

# A schedule that is new, or was changed, knows no ticks before this moment.
CRON_START = """
    INSERT INTO chutes_cron(job, expression, last_tick) VALUES(:job, :expression, now_ms())
    ON CONFLICT(job) DO UPDATE SET expression = excluded.expression, last_tick = excluded.last_tick
        WHERE chutes_cron.expression <> excluded.expression
"""

CRON_MOVE = """
    UPDATE chutes_cron SET last_tick = :tick, last_run = :id WHERE job = :job AND last_tick < :tick RETURNING job
"""

# Only who moved the cursor to this very run gets it in. `job || ''` as above.
CRON_INSERT = """
    INSERT INTO chutes_runs(
        id, job, status, arguments, max_attempts, timeout_ms, run_at, scheduled_for, webhook, webhook_status, created_at)
    SELECT last_run, job, 'queued', '{}', CAST(:max_attempts AS BIGINT), CAST(:timeout_ms AS BIGINT), now_ms(), last_tick,
        CAST(:webhook AS TEXT), CASE WHEN CAST(:webhook AS TEXT) IS NULL THEN NULL ELSE 'pending' END, now_ms()
    FROM chutes_cron
    WHERE job = :job AND last_run = :id AND NOT EXISTS (
        SELECT 1 FROM chutes_runs WHERE job || '' = :job AND scheduled_for IS NOT NULL AND finished_at IS NULL)
    RETURNING *
"""

CRON_SKIPPED = """
    UPDATE chutes_cron SET skipped = skipped + 1
    WHERE job = :job AND last_run = :id AND NOT EXISTS (SELECT 1 FROM chutes_runs WHERE id = :id) RETURNING job
"""

ADD_EVENT = """
    INSERT INTO chutes_events(run_id, at, kind, data) VALUES(:run_id, now_ms(), :kind, :data)
"""

EVENTS = """
    SELECT number, at, kind, data FROM chutes_events WHERE run_id = :run_id AND number > :after ORDER BY number LIMIT :count
"""
