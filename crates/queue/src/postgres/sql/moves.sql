-- What follows when jobs change their state: counters, keys, parents and children, wake-ups. All other functions end here.

CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- The first half of the advisory locks by which handles live.
CREATE FUNCTION session_class() RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT hashtext('{schema}') & 2147483647 $$;

-- One change. `was` and `becomes` are states; -1 is: not there.
CREATE TYPE moved AS (
    id uuid, queue text, kind text, was smallint, becomes smallint, size int,
    parent uuid, children int, awaited boolean, keyed boolean, attempt int, runner uuid, via smallint
);

CREATE FUNCTION tally(m moved[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO counts AS c
        (queue, what, shard, scheduled, ready, leased, waiting, done, dead, cancelled, bytes)
    SELECT x.queue, 0, pg_backend_pid() & 63,
        sum((becomes = 0)::int - (was = 0)::int), sum((becomes = 1)::int - (was = 1)::int),
        sum((becomes = 2)::int - (was = 2)::int), sum((becomes = 3)::int - (was = 3)::int),
        sum((becomes = 4)::int - (was = 4)::int), sum((becomes = 5)::int - (was = 5)::int),
        sum((becomes = 6)::int - (was = 6)::int),
        sum(size * ((becomes IN (0, 1, 3))::int - (was IN (0, 1, 3))::int))
    FROM unnest(m) x GROUP BY x.queue ORDER BY x.queue
    ON CONFLICT (queue, what, shard) DO UPDATE SET
        scheduled = c.scheduled + excluded.scheduled, ready = c.ready + excluded.ready,
        leased = c.leased + excluded.leased, waiting = c.waiting + excluded.waiting,
        done = c.done + excluded.done, dead = c.dead + excluded.dead,
        cancelled = c.cancelled + excluded.cancelled, bytes = c.bytes + excluded.bytes
$$;

-- Somebody sleeps until there is something in these queues: wake them. Notifications serialise commits, so nobody else is told.
CREATE FUNCTION wake(p_sort text, p_queues text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{channel}', p_sort || q)
    FROM unnest(p_queues) q
    WHERE EXISTS (SELECT FROM sessions WHERE asleep @> ARRAY[p_sort || q]);
END $$;

CREATE FUNCTION notify(m moved[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_queues text[];
BEGIN
    SELECT array_agg(DISTINCT x.queue) INTO v_queues FROM unnest(m) x
    WHERE (x.becomes = 1 AND x.via = 0)
        OR (x.was = 2 AND EXISTS (SELECT FROM limits l WHERE l.queue = x.queue AND l.kind = x.kind));
    IF v_queues IS NOT NULL THEN
        PERFORM wake('r', v_queues);
    END IF;
    -- To announce by a broker.
    IF EXISTS (SELECT FROM unnest(m) x WHERE x.becomes = 1 AND x.via = 1 AND x.was >= 0) THEN
        PERFORM wake('a', ARRAY['']);
    END IF;
    PERFORM pg_notify('{channel}', 'e' || string_agg(y.id, ','))
    FROM (SELECT x.id::text AS id, (row_number() OVER ()) / 200 AS part
          FROM unnest(m) x WHERE x.awaited AND x.becomes >= 4 AND x.was < 4) y
    GROUP BY y.part;
    PERFORM pg_notify('{channel}', 'x' || x.runner || ',' || x.id || ',' || x.attempt)
    FROM unnest(m) x WHERE x.was = 2 AND x.becomes = 6 AND x.runner IS NOT NULL;
END $$;

-- Ends the children of a job that has ended, and lets all of them expire with it.
CREATE FUNCTION end_children(p_parent uuid) RETURNS moved[] LANGUAGE plpgsql AS $$
DECLARE
    v_moved moved[];
BEGIN
    WITH old AS (
        SELECT j.id, j.state FROM jobs j WHERE j.parent = p_parent AND j.state < 4 ORDER BY j.id FOR UPDATE
    ), changed AS (
        UPDATE jobs j SET state = 6, ended = now_ms(), cause = 3, version = j.version + 1
        FROM old WHERE j.id = old.id
        RETURNING j.id, j.queue, j.kind, old.state, j.state AS becomes, j.size, NULL::uuid, NULL::int, j.awaited,
            j.unique_key IS NOT NULL, j.attempt, j.runner, j.via
    ) SELECT array_agg(c::moved) INTO v_moved FROM changed c;
    UPDATE jobs SET expires = (SELECT p.expires FROM jobs p WHERE p.id = p_parent) WHERE parent = p_parent;
    RETURN coalesce(v_moved, '{}');
END $$;

-- Some children of this job, whose row is locked, have ended: what becomes of it. Which ones have ended is what their rows say,
-- never a number that is counted down.
CREATE FUNCTION look_at_children(p_parent uuid) RETURNS moved[] LANGUAGE plpgsql AS $$
DECLARE
    v_parent jobs;
    v_failed jobs;
    v_now bigint := now_ms();
    v_state smallint;
BEGIN
    SELECT * INTO v_parent FROM jobs WHERE id = p_parent;
    IF NOT FOUND OR v_parent.state <> 3 THEN
        RETURN '{}';
    END IF;
    IF v_parent.fail_fast THEN
        SELECT * INTO v_failed FROM jobs WHERE parent = p_parent AND state IN (5, 6) ORDER BY child LIMIT 1;
    END IF;
    IF v_failed.id IS NOT NULL THEN
        v_state := 5;
        UPDATE jobs SET state = 5, ended = v_now, expires = v_now + greatest(keep, {dead_kept}), version = version + 1,
            error = v_failed.error, cause = v_failed.cause, crashes = v_failed.crashes
        WHERE id = p_parent;
    ELSIF NOT EXISTS (SELECT FROM jobs WHERE parent = p_parent AND state < 4) THEN
        v_state := 1;
        UPDATE jobs SET state = 1, due = v_now, rank = v_now - priority * {step}, announce = 0, version = version + 1
        WHERE id = p_parent;
    ELSE
        RETURN '{}';
    END IF;
    RETURN ARRAY[(v_parent.id, v_parent.queue, v_parent.kind, 3, v_state, v_parent.size, NULL, v_parent.children,
        v_parent.awaited, v_parent.unique_key IS NOT NULL, v_parent.attempt, NULL, v_parent.via)::moved];
END $$;

CREATE FUNCTION settle(m moved[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_id uuid;
BEGIN
    IF coalesce(cardinality(m), 0) = 0 THEN
        RETURN;
    END IF;
    FOR v_id IN SELECT DISTINCT x.parent FROM unnest(m) x WHERE x.parent IS NOT NULL AND x.becomes >= 4 ORDER BY 1 LOOP
        PERFORM 1 FROM jobs WHERE id = v_id FOR UPDATE;
        m := m || look_at_children(v_id);
    END LOOP;
    FOR v_id IN SELECT x.id FROM unnest(m) x WHERE x.children IS NOT NULL AND x.becomes >= 4 AND x.was < 4 LOOP
        m := m || end_children(v_id);
    END LOOP;
    IF EXISTS (SELECT FROM unnest(m) x WHERE x.keyed AND x.becomes >= 4) THEN
        DELETE FROM uniques u USING unnest(m) x WHERE x.keyed AND x.becomes >= 4 AND u.job = x.id AND u.until IS NULL;
    END IF;
    PERFORM notify(m);
    PERFORM tally(m);
END $$;

-- A handle sleeps at these bells. Nothing is lost if that is.
CREATE FUNCTION set_asleep(p_session int, p_bells text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE sessions SET asleep = p_bells WHERE id = p_session;
END $$;
