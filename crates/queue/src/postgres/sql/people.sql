-- What people ask for: look, cancel, revive, pause, purge.

CREATE VIEW statuses AS
    SELECT j.id, j.queue, j.kind, j.state, j.version, j.priority, j.attempts, j.errors, j.crashes, j.submitted, j.due, j.ended,
        j.expires, j.progress_done, j.progress_total, j.error, j.cause,
        CASE WHEN j.state = 2 THEN coalesce(
            (SELECT r.name FROM runners r WHERE r.id = j.runner LIMIT 1), j.runner::text) END AS runner,
        j.parent, j.children,
        CASE WHEN j.children IS NOT NULL
            THEN (SELECT count(*)::int FROM jobs c WHERE c.parent = j.id AND c.state >= 4) END AS children_ended
    FROM jobs j WHERE j.expires IS NULL OR j.expires > now_ms();

-- 0: done; 1: no such job; 2: it has ended.
CREATE FUNCTION cancel(p_id uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_job jobs;
    v_now bigint := now_ms();
BEGIN
    PERFORM 1 FROM jobs WHERE id = (SELECT parent FROM jobs WHERE id = p_id) FOR UPDATE;
    SELECT * INTO v_job FROM jobs WHERE id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 1;
    ELSIF v_job.state >= 4 THEN
        RETURN 2;
    END IF;
    UPDATE jobs SET state = 6, ended = v_now, cause = 3, version = version + 1, lease_until = NULL,
        expires = CASE WHEN parent IS NULL OR NOT EXISTS (SELECT FROM jobs p WHERE p.id = jobs.parent AND p.state < 4)
            THEN v_now + keep END
    WHERE id = p_id;
    PERFORM settle(ARRAY[ROW(v_job.id, v_job.queue, v_job.kind, v_job.state, 6, v_job.size, v_job.parent, v_job.children,
        v_job.awaited, v_job.unique_key IS NOT NULL, v_job.attempt, v_job.runner, v_job.via)::moved]);
    RETURN 0;
END $$;

-- Dead or cancelled jobs come to life with fresh counters; a flow with those of its children that have no result.
-- 0: done; 1: no such job; 2: it is in another state.
CREATE FUNCTION revive(p_id uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_state smallint;
    v_now bigint := now_ms();
    v_moved moved[];
BEGIN
    PERFORM 1 FROM jobs WHERE id = (SELECT parent FROM jobs WHERE id = p_id) FOR UPDATE;
    SELECT state INTO v_state FROM jobs WHERE id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 1;
    ELSIF v_state NOT IN (5, 6) THEN
        RETURN 2;
    END IF;
    UPDATE jobs SET expires = NULL WHERE parent = p_id;
    WITH old AS (
        SELECT j.id, j.state,
            CASE WHEN j.id = p_id AND EXISTS (SELECT FROM jobs c WHERE c.parent = p_id AND c.state <> 4) THEN 3 ELSE 1 END AS becomes
        FROM jobs j WHERE (j.id = p_id OR j.parent = p_id) AND j.state IN (5, 6)
        ORDER BY j.parent NULLS FIRST, j.id FOR UPDATE
    ), changed AS (
        UPDATE jobs j SET state = old.becomes, errors = 0, crashes = 0, attempts = 0, cause = 0, error = NULL, ended = NULL,
            expires = NULL, deadline = NULL, due = v_now, rank = v_now - j.priority * {step}, announce = 0,
            version = j.version + 1, progress_done = NULL, progress_total = NULL
        FROM old WHERE j.id = old.id
        RETURNING j.id, j.queue, j.kind, old.state AS was, j.state, j.size, j.parent, j.children, j.awaited, false, j.attempt, NULL::uuid,
            j.via
    ) SELECT array_agg(ROW(c.*)::moved) INTO v_moved FROM changed c;
    PERFORM settle(v_moved);
    RETURN 0;
END $$;

-- Of one queue, or of all (NULL).
CREATE FUNCTION job_stats(p_queue text)
RETURNS TABLE (o_queue text, o_ready bigint, o_scheduled bigint, o_leased bigint, o_waiting bigint, o_done bigint, o_dead bigint,
    o_bytes bigint, o_oldest bigint, o_consumers bigint, o_paused boolean) LANGUAGE sql AS $$
    SELECT c.queue, sum(c.ready)::bigint, sum(c.scheduled)::bigint, sum(c.leased)::bigint, sum(c.waiting)::bigint,
        sum(c.done)::bigint, sum(c.dead)::bigint, sum(c.bytes)::bigint,
        greatest(now_ms() - (SELECT min(j.due) FROM jobs j WHERE j.queue = c.queue AND j.state = 1), 0),
        (SELECT count(*) FROM runners r WHERE r.queue = c.queue),
        EXISTS (SELECT FROM pauses p WHERE p.queue = c.queue AND p.kind = '')
    FROM counts c WHERE c.what = 0 AND (p_queue IS NULL OR c.queue = p_queue) GROUP BY c.queue ORDER BY c.queue
$$;

-- At most so many at a time; 0 when nothing is left.
CREATE FUNCTION purge_jobs(p_queue text, p_waiting boolean, p_most int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_moved moved[];
BEGIN
    -- What waits ends first: its parent hears of it, its key is free.
    IF p_waiting THEN
        WITH old AS (
            SELECT id, state FROM jobs WHERE queue = p_queue AND state IN (0, 1, 3) ORDER BY id LIMIT p_most FOR UPDATE SKIP LOCKED
        ), changed AS (
            UPDATE jobs j SET state = 6, ended = now_ms(), cause = 3, expires = now_ms(), version = j.version + 1 FROM old
            WHERE j.id = old.id
            RETURNING j.id, j.queue, j.kind, old.state AS was, j.state, j.size, j.parent, j.children, j.awaited,
                j.unique_key IS NOT NULL, 0, NULL::uuid, j.via
        ) SELECT array_agg(ROW(c.*)::moved) INTO v_moved FROM changed c;
        PERFORM settle(v_moved);
    END IF;
    WITH old AS (
        SELECT id FROM jobs j WHERE queue = p_queue AND state >= 4
            AND NOT EXISTS (SELECT FROM jobs p WHERE p.id = j.parent AND p.state < 4)
        LIMIT p_most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM jobs j USING old WHERE j.id = old.id
        RETURNING j.id, j.queue, j.kind, j.state, -1, j.size, NULL::uuid, NULL::int, false, false, 0, NULL::uuid, j.via
    ) SELECT array_agg(ROW(g.*)::moved) INTO v_moved FROM gone g;
    PERFORM tally(v_moved);
    RETURN coalesce(cardinality(v_moved), 0);
END $$;

CREATE FUNCTION pause(p_queue text, p_kind text, p_paused boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_paused THEN
        INSERT INTO pauses VALUES (p_queue, p_kind) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM pauses WHERE queue = p_queue AND kind = p_kind;
        PERFORM wake('r', ARRAY[p_queue]);
    END IF;
END $$;

CREATE FUNCTION set_limits(p_queue text, p_kind text, p_concurrency int, p_rate int, p_per bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_concurrency IS NULL AND p_rate IS NULL THEN
        DELETE FROM limits WHERE queue = p_queue AND kind = p_kind;
    ELSE
        INSERT INTO limits AS l VALUES (p_queue, p_kind, p_concurrency, p_rate, p_per, coalesce(p_rate, 0), now_ms())
        ON CONFLICT (queue, kind) DO UPDATE SET concurrency = excluded.concurrency, rate = excluded.rate, per = excluded.per,
            tokens = CASE WHEN l.rate IS NULL THEN excluded.tokens ELSE least(l.tokens, excluded.rate) END,
            filled = CASE WHEN l.rate IS NULL THEN excluded.filled ELSE l.filled END;
    END IF;
    PERFORM wake('r', ARRAY[p_queue]);
END $$;
