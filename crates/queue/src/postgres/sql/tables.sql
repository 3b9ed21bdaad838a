-- The tables of the job model and of the messages. Executed once, in one transaction, with the schema first in the search path.
-- States of jobs: 0 scheduled, 1 ready, 2 leased, 3 waiting for children, 4 done, 5 dead, 6 cancelled.
-- States of messages: 0 delayed, 1 ready, 2 taken, 3 settled. Moments are milliseconds since 1970, by this server's clock.

CREATE TABLE store (version int NOT NULL, made timestamptz NOT NULL DEFAULT now());

-- A handle. Its connection that listens holds the advisory lock (session_class(), id): while it does, the handle lives.
CREATE SEQUENCE session_ids AS int CYCLE;
CREATE TABLE sessions (
    id int PRIMARY KEY,
    name text NOT NULL,
    asleep text[],          -- queues for which it waits and wants to be woken
    gone bigint             -- since when its lock is free
) WITH (fillfactor = 50);

CREATE TABLE runners (
    id uuid NOT NULL,
    queue text NOT NULL,
    session int NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (id, queue)
);

CREATE TABLE queues (
    name text PRIMARY KEY,
    max_messages bigint NOT NULL,
    max_bytes bigint NOT NULL,
    dead_letter text,
    max_deliveries int NOT NULL,
    session int             -- gone with this session: a place for replies
);

-- How many are in which state: exact, as sums over the shards; each connection has a shard (nearly) of its own, so that
-- transactions do not wait for each other's commits.
CREATE TABLE counts (
    queue text NOT NULL,
    what smallint NOT NULL, -- 0 jobs, 1 messages
    shard smallint NOT NULL,
    scheduled bigint NOT NULL DEFAULT 0,
    ready bigint NOT NULL DEFAULT 0,
    leased bigint NOT NULL DEFAULT 0,
    waiting bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, what, shard)
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    parent uuid,
    child int,
    children int,
    fail_fast boolean,
    session int,
    attempt int NOT NULL DEFAULT 0,         -- leases so far: the fencing token
    finished int NOT NULL DEFAULT 0,        -- the attempt whose finish was recorded last
    finished_what smallint,                 -- and what it said
    attempts int NOT NULL DEFAULT 0,        -- without those that were handed back
    errors int NOT NULL DEFAULT 0,
    crashes int NOT NULL DEFAULT 0,
    max_errors int NOT NULL,
    max_crashes int NOT NULL,
    state smallint NOT NULL,
    via smallint NOT NULL DEFAULT 0,        -- 0: taken from here; 1: announced by a broker
    priority smallint NOT NULL,
    cause smallint NOT NULL DEFAULT 0,      -- of its end, if `error` is not: 1 poison, 2 deadline passed, 3 cancelled
    awaited boolean NOT NULL,
    rank bigint NOT NULL,
    due bigint NOT NULL,                    -- from when it could run
    version bigint NOT NULL DEFAULT 1,
    lease_until bigint,
    claim bigint,                           -- which claim of its session
    deadline bigint,
    run_limit bigint,
    first_wait bigint NOT NULL,
    cap_wait bigint NOT NULL,
    keep bigint NOT NULL,
    submitted bigint NOT NULL,
    ended bigint,
    expires bigint,
    announce bigint,                        -- when to tell the broker (again)
    announces int NOT NULL DEFAULT 0,
    progress_done bigint,
    progress_total bigint,
    runner uuid,
    size int NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    unique_key text,
    payload bytea NOT NULL,
    details bytea,
    error bytea,
    result bytea
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE jobs ALTER payload SET STORAGE EXTERNAL, ALTER details SET STORAGE EXTERNAL,
    ALTER error SET STORAGE EXTERNAL, ALTER result SET STORAGE EXTERNAL;
CREATE INDEX jobs_ready ON jobs (queue, kind, rank, id) WHERE state = 1 AND via = 0;
CREATE INDEX jobs_to_announce ON jobs (announce) WHERE state = 1 AND via = 1;
CREATE INDEX jobs_leased ON jobs (queue, kind) WHERE state = 2;
CREATE INDEX jobs_due ON jobs (due) WHERE state = 0;
CREATE INDEX jobs_deadline ON jobs (deadline) WHERE deadline IS NOT NULL AND (state = 0 OR state = 1 OR state = 3);
CREATE INDEX jobs_children ON jobs (parent, child) WHERE parent IS NOT NULL;
CREATE INDEX jobs_expire ON jobs (expires) WHERE expires IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (queue, ended) WHERE state = 5;

CREATE TABLE uniques (
    queue text NOT NULL,
    key text NOT NULL,
    job uuid NOT NULL,
    until bigint,           -- NULL: until the job has ended
    PRIMARY KEY (queue, key)
);
CREATE INDEX uniques_job ON uniques (job);

CREATE TABLE limits (
    queue text NOT NULL,
    kind text NOT NULL,
    concurrency int,
    rate int,
    per bigint,
    tokens double precision NOT NULL DEFAULT 0,
    filled bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, kind)
) WITH (fillfactor = 50);

CREATE TABLE pauses (queue text NOT NULL, kind text NOT NULL, PRIMARY KEY (queue, kind)); -- kind '': all

CREATE TABLE schedules (name text PRIMARY KEY, cron text NOT NULL, next bigint NOT NULL, job bytea NOT NULL);

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    rank bigint NOT NULL,
    due bigint NOT NULL,
    lease_until bigint,
    expires bigint,
    consumer bigint,
    session int,
    attempt int NOT NULL DEFAULT 0,         -- deliveries ever: the fencing token
    deliveries int NOT NULL DEFAULT 0,      -- in this queue
    size int NOT NULL,
    state smallint NOT NULL,
    priority smallint NOT NULL,
    queue text NOT NULL,
    meta bytea NOT NULL,
    body bytea NOT NULL
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE messages ALTER body SET STORAGE EXTERNAL;
CREATE INDEX messages_ready ON messages (queue, rank, seq) WHERE state = 1;
CREATE INDEX messages_due ON messages (due) WHERE state = 0;
CREATE INDEX messages_taken ON messages (session) WHERE state = 2;
CREATE INDEX messages_expire ON messages (expires) WHERE state = 3;
