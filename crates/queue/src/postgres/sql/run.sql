-- Jobs are taken, renewed and finished.

-- The work of a claim: so many of each kind as the limits allow, those that have the smallest rank. A claim that is repeated after a
-- lost answer gets what it got before. The last row may be a hint instead of a job (id NULL): when it is worth while to ask again.
CREATE FUNCTION claim(p_session int, p_runner uuid, p_claim bigint, p_again boolean, p_queues text[], p_kinds text[], p_most int)
RETURNS TABLE (o_id uuid, o_attempt int, o_queue text, o_kind text, o_payload bytea, o_attempts int, o_crashes int,
    o_deadline_in bigint, o_run_limit bigint, o_details bytea, o_gathers boolean, o_hint bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := now_ms();
    v_limited boolean;
    v_hint bigint;
    v_queues text[];
    v_kinds text[];
    v_free int[];
    v_count int;
BEGIN
    IF p_again THEN
        RETURN QUERY SELECT j.id, j.attempt, j.queue, j.kind, j.payload, j.attempts, j.crashes, j.deadline - v_now, j.run_limit,
                j.details, j.children IS NOT NULL, NULL::bigint
            FROM jobs j WHERE j.state = 2 AND j.queue = ANY(p_queues) AND j.session = p_session AND j.claim = p_claim
            ORDER BY j.rank, j.id;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    v_limited := EXISTS (SELECT FROM limits WHERE queue = ANY(p_queues) AND kind = ANY(p_kinds));
    IF v_limited THEN
        -- One claim after the other, so that no two take the last place.
        PERFORM 1 FROM limits WHERE queue = ANY(p_queues) AND kind = ANY(p_kinds) ORDER BY queue, kind FOR UPDATE;
        v_now := now_ms();
        UPDATE limits SET tokens = least(rate, tokens + greatest(v_now - filled, 0) * rate::float8 / per), filled = v_now
        WHERE queue = ANY(p_queues) AND kind = ANY(p_kinds) AND rate IS NOT NULL;
    END IF;
    SELECT array_agg(f.q), array_agg(f.k), array_agg(f.free), min(f.wait) INTO v_queues, v_kinds, v_free, v_hint FROM (
        SELECT q, k, CASE WHEN l.queue IS NULL THEN p_most ELSE
            least(p_most,
                l.concurrency - (SELECT count(*) FROM jobs j WHERE j.state = 2 AND j.queue = q AND j.kind = k),
                CASE WHEN l.rate IS NOT NULL THEN floor(l.tokens) END)::int END AS free,
            CASE WHEN l.rate IS NOT NULL AND l.tokens < 1 THEN ceil((1 - l.tokens) * l.per / l.rate)::bigint END AS wait
        FROM unnest(p_queues) q CROSS JOIN unnest(p_kinds) k LEFT JOIN limits l ON l.queue = q AND l.kind = k
        WHERE NOT EXISTS (SELECT FROM pauses p WHERE p.queue = q AND (p.kind = '' OR p.kind = k))
    ) f;
    RETURN QUERY WITH pairs AS (
        SELECT q, k, free FROM unnest(v_queues, v_kinds, v_free) u(q, k, free) WHERE free > 0
    ), shares AS (
        SELECT q, k, count(*) AS n FROM (
            SELECT p.q, p.k FROM pairs p CROSS JOIN LATERAL (
                SELECT j.rank FROM jobs j WHERE j.state = 1 AND j.via = 0 AND j.queue = p.q AND j.kind = p.k
                    AND (j.deadline IS NULL OR j.deadline > v_now)
                ORDER BY j.queue, j.kind, j.rank LIMIT p.free
            ) c ORDER BY c.rank LIMIT p_most
        ) s GROUP BY q, k
    ), chosen AS (
        SELECT c.id FROM shares s CROSS JOIN LATERAL (
            SELECT j.id FROM jobs j WHERE j.state = 1 AND j.via = 0 AND j.queue = s.q AND j.kind = s.k
                AND (j.deadline IS NULL OR j.deadline > v_now)
            ORDER BY j.queue, j.kind, j.rank, j.id LIMIT s.n FOR UPDATE SKIP LOCKED
        ) c
    ), leased AS (
        UPDATE jobs j SET state = 2, attempt = j.attempt + 1, attempts = j.attempts + 1, session = p_session, runner = p_runner,
            claim = p_claim, lease_until = v_now + {lease}, version = j.version + 1
        FROM chosen c WHERE j.id = c.id
        RETURNING j.id, j.attempt, j.queue, j.kind, j.payload, j.attempts, j.crashes, j.deadline, j.run_limit, j.details,
            j.children, j.rank, j.size
    ), counted AS (
        INSERT INTO counts AS c (queue, what, shard, ready, leased, bytes)
        SELECT l.queue, 0, pg_backend_pid() & 63, -count(*), count(*), -sum(l.size) FROM leased l GROUP BY l.queue ORDER BY l.queue
        ON CONFLICT (queue, what, shard) DO UPDATE
            SET ready = c.ready + excluded.ready, leased = c.leased + excluded.leased, bytes = c.bytes + excluded.bytes
    ), spent AS (
        UPDATE limits m SET tokens = m.tokens - l.n
        FROM (SELECT queue, kind, count(*) AS n FROM leased GROUP BY queue, kind) l
        WHERE v_limited AND m.queue = l.queue AND m.kind = l.kind AND m.rate IS NOT NULL
    )
    SELECT l.id, l.attempt, l.queue, l.kind, l.payload, l.attempts, l.crashes, l.deadline - v_now, l.run_limit, l.details,
        l.children IS NOT NULL, NULL::bigint
    FROM leased l ORDER BY l.rank, l.id;
    IF v_hint IS NOT NULL THEN
        RETURN QUERY SELECT NULL::uuid, NULL::int, NULL::text, NULL::text, NULL::bytea, NULL::int, NULL::int, NULL::bigint,
            NULL::bigint, NULL::bytea, NULL::boolean, v_hint;
    END IF;
END $$;

-- What the broker announced: leases for those that are to be run now. Which of them are not, the caller sees by their absence.
CREATE FUNCTION claim_by_id(p_session int, p_runner uuid, p_claim bigint, p_ids uuid[], p_queues text[], p_kinds text[])
RETURNS TABLE (o_id uuid, o_attempt int, o_queue text, o_kind text, o_payload bytea, o_attempts int, o_crashes int,
    o_deadline_in bigint, o_run_limit bigint, o_details bytea, o_gathers boolean, o_hint bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := now_ms();
    v_job jobs;
    v_limit limits;
    v_taken uuid[] := '{}';
    v_moved moved[] := '{}';
BEGIN
    PERFORM 1 FROM limits WHERE queue = ANY(p_queues) AND kind = ANY(p_kinds) ORDER BY queue, kind FOR UPDATE;
    FOR v_job IN SELECT * FROM jobs WHERE id = ANY(p_ids) AND state = 1 ORDER BY id FOR UPDATE LOOP
        SELECT * INTO v_limit FROM limits WHERE queue = v_job.queue AND kind = v_job.kind;
        IF NOT v_job.kind = ANY(p_kinds)
            OR EXISTS (SELECT FROM pauses p WHERE p.queue = v_job.queue AND (p.kind = '' OR p.kind = v_job.kind))
            OR v_limit.concurrency <= (SELECT count(*) FROM jobs j WHERE j.state = 2 AND j.queue = v_job.queue AND j.kind = v_job.kind)
            OR v_job.deadline <= v_now
        THEN
            UPDATE jobs SET announce = v_now + {bounce} WHERE id = v_job.id;
            CONTINUE;
        END IF;
        IF v_limit.rate IS NOT NULL THEN
            UPDATE limits SET tokens = least(rate, tokens + greatest(v_now - filled, 0) * rate::float8 / per), filled = v_now
            WHERE queue = v_job.queue AND kind = v_job.kind;
            UPDATE limits SET tokens = tokens - 1 WHERE queue = v_job.queue AND kind = v_job.kind AND tokens >= 1;
            IF NOT FOUND THEN
                UPDATE jobs SET announce = v_now + {bounce} WHERE id = v_job.id;
                CONTINUE;
            END IF;
        END IF;
        UPDATE jobs SET state = 2, attempt = attempt + 1, attempts = attempts + 1, session = p_session, runner = p_runner,
            claim = p_claim, lease_until = v_now + {lease}, version = version + 1, announces = 0
        WHERE id = v_job.id;
        v_taken := v_taken || v_job.id;
        v_moved := v_moved || ROW(v_job.id, v_job.queue, v_job.kind, 1, 2, v_job.size, NULL, NULL, false, false, 0, NULL, 1)::moved;
    END LOOP;
    PERFORM tally(v_moved);
    -- With those of an earlier call whose answer was lost.
    RETURN QUERY SELECT j.id, j.attempt, j.queue, j.kind, j.payload, j.attempts, j.crashes, j.deadline - v_now, j.run_limit,
            j.details, j.children IS NOT NULL, NULL::bigint
        FROM jobs j WHERE j.id = ANY(p_ids) AND j.state = 2 AND j.session = p_session AND j.claim = p_claim
        ORDER BY j.rank, j.id;
END $$;

-- How the children of a job ended, in order.
CREATE FUNCTION children_of(p_parent uuid)
RETURNS TABLE (o_state smallint, o_result bytea, o_error bytea, o_cause smallint, o_crashes int) LANGUAGE sql AS $$
    SELECT state, result, error, cause, crashes FROM jobs WHERE parent = p_parent ORDER BY child
$$;

-- For each: 0 kept, 1 cancelled, 2 lost.
CREATE FUNCTION renew(p_ids uuid[], p_attempts int[], p_done bigint[], p_total bigint[], p_details bytea[])
RETURNS smallint[] LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
BEGIN
    PERFORM 1 FROM jobs WHERE id = ANY(p_ids) ORDER BY id FOR NO KEY UPDATE;
    UPDATE jobs j SET lease_until = v_now + {lease}, progress_done = coalesce(u.done, j.progress_done),
        progress_total = coalesce(u.total, j.progress_total),
        details = CASE WHEN j.state = 2 THEN coalesce(u.details, j.details) END,
        version = j.version + (u.done IS NOT NULL OR u.details IS NOT NULL)::int
    FROM unnest(p_ids, p_attempts, p_done, p_total, p_details) u(id, attempt, done, total, details)
    -- The last word on the progress may come after the end.
    WHERE j.id = u.id AND j.attempt = u.attempt AND (j.state = 2 OR j.state >= 4 AND u.done IS NOT NULL);
    RETURN ARRAY(
        SELECT CASE WHEN j.attempt = u.attempt AND j.state = 2 THEN 0 WHEN j.attempt = u.attempt AND j.state = 6 THEN 1 ELSE 2 END
        FROM unnest(p_ids, p_attempts) WITH ORDINALITY u(id, attempt, at) LEFT JOIN jobs j ON j.id = u.id ORDER BY u.at);
END $$;

-- How attempts went (0 done, 1 failed, 2 failed for ever, 3 crashed, 4 handed back, 5 cancelled). For each whether it is recorded.
CREATE FUNCTION finish(p_ids uuid[], p_attempts int[], p_whats smallint[], p_bodies bytea[]) RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_moved moved[];
BEGIN
    -- Parents before children, and in the order of ids: as everybody does.
    PERFORM 1 FROM jobs WHERE id IN (SELECT parent FROM jobs WHERE id = ANY(p_ids)) ORDER BY id FOR UPDATE;
    PERFORM 1 FROM jobs WHERE id = ANY(p_ids) ORDER BY id FOR UPDATE;
    WITH ends AS (
        SELECT j.id, j.state AS was, u.what, u.body, n.failures, n.becomes,
            CASE WHEN n.becomes = 0
                THEN floor(random() * least(j.cap_wait, j.first_wait * 2.0 ^ least(n.failures - 1, 32)))::bigint ELSE 0 END AS wait,
            CASE WHEN j.parent IS NOT NULL AND EXISTS (SELECT FROM jobs p WHERE p.id = j.parent AND p.state < 4) THEN NULL
                WHEN n.becomes = 5 THEN v_now + greatest(j.keep, {dead_kept}) ELSE v_now + j.keep END AS expires
        FROM unnest(p_ids, p_attempts, p_whats, p_bodies) u(id, attempt, what, body)
        -- Also after its lease was taken back, if no other attempt was begun.
        JOIN jobs j ON j.id = u.id AND j.attempt = u.attempt
            AND (j.state = 2 OR j.state IN (0, 1) AND j.finished < j.attempt AND u.what < 4)
        CROSS JOIN LATERAL (SELECT
            CASE u.what WHEN 1 THEN j.errors + 1 WHEN 3 THEN j.crashes + 1 ELSE 1 END AS failures,
            CASE u.what WHEN 0 THEN 4
                WHEN 1 THEN CASE WHEN j.errors + 1 >= j.max_errors THEN 5 ELSE 0 END
                WHEN 2 THEN 5
                WHEN 3 THEN CASE WHEN j.crashes + 1 >= j.max_crashes THEN 5 ELSE 0 END
                WHEN 4 THEN 1 ELSE 6 END AS becomes) n
    ), changed AS (
        UPDATE jobs j SET state = e.becomes, finished = j.attempt, finished_what = e.what, version = j.version + 1, lease_until = NULL,
            attempts = j.attempts - (e.what = 4)::int, errors = j.errors + (e.what IN (1, 2))::int,
            crashes = j.crashes + (e.what = 3)::int,
            due = CASE WHEN e.becomes = 0 THEN v_now + e.wait ELSE j.due END,
            announce = 0,
            ended = CASE WHEN e.becomes >= 4 THEN v_now END, expires = CASE WHEN e.becomes >= 4 THEN e.expires END,
            cause = CASE WHEN e.what = 3 AND e.becomes = 5 THEN 1 WHEN e.becomes = 6 THEN 3 ELSE 0 END,
            result = CASE WHEN e.what = 0 THEN e.body END,
            error = CASE WHEN e.what IN (1, 2, 3) THEN e.body ELSE j.error END,
            details = CASE WHEN e.becomes >= 4 THEN NULL ELSE j.details END,
            payload = CASE WHEN e.becomes = 4 THEN '' ELSE j.payload END
        FROM ends e WHERE j.id = e.id
        RETURNING j.id, j.queue, j.kind, e.was, j.state AS becomes, j.size, j.parent, j.children, j.awaited,
            j.unique_key IS NOT NULL, j.attempt, NULL::uuid, j.via
    ) SELECT array_agg(ROW(c.*)::moved) INTO v_moved FROM changed c;
    PERFORM settle(v_moved);
    RETURN ARRAY(
        SELECT coalesce((j.finished = u.attempt AND j.finished_what = u.what) OR (j.attempt = u.attempt AND j.state = 6 AND u.what = 5), false)
        FROM unnest(p_ids, p_attempts, p_whats) WITH ORDINALITY u(id, attempt, what, at) LEFT JOIN jobs j ON j.id = u.id
        ORDER BY u.at);
END $$;

-- The ends of those that have ended. Of the others whoever finishes them will tell.
CREATE FUNCTION look(p_ids uuid[])
RETURNS TABLE (o_id uuid, o_state smallint, o_result bytea, o_error bytea, o_cause smallint, o_crashes int) LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM jobs WHERE id = ANY(p_ids) AND state < 4 AND NOT awaited) THEN
        -- Claims skip what is locked: not for the time of a commit to disk, and whoever has skipped it looks again.
        PERFORM set_config('synchronous_commit', 'off', true);
        PERFORM 1 FROM jobs WHERE id = ANY(p_ids) ORDER BY id FOR NO KEY UPDATE;
        UPDATE jobs SET awaited = true WHERE id = ANY(p_ids) AND state < 4 AND NOT awaited;
        PERFORM wake('r', ARRAY(SELECT DISTINCT queue FROM jobs WHERE id = ANY(p_ids) AND state = 1 AND via = 0));
    END IF;
    RETURN QUERY SELECT w.id, j.state, j.result, j.error, j.cause, j.crashes
        FROM unnest(p_ids) w(id) LEFT JOIN jobs j ON j.id = w.id AND (j.expires IS NULL OR j.expires > now_ms())
        WHERE j.id IS NULL OR j.state >= 4;
END $$;
