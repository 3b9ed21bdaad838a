-- What time does: any handle calls this about once a second, and as many as like at once.

-- Leases of handles that are gone, and leases that ran out: their attempts have crashed.
CREATE FUNCTION take_back(p_lost int[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_moved moved[];
BEGIN
    WITH old AS (
        SELECT j.id, CASE WHEN j.crashes + 1 >= j.max_crashes THEN 5 ELSE 1 END AS becomes
        FROM jobs j WHERE j.state = 2 AND (j.lease_until < v_now OR j.session = ANY(p_lost))
        ORDER BY j.id LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), changed AS (
        UPDATE jobs j SET state = old.becomes, crashes = j.crashes + 1, version = j.version + 1, lease_until = NULL,
            due = v_now, rank = v_now - j.priority * {step}, announce = 0,
            ended = CASE WHEN old.becomes = 5 THEN v_now END,
            expires = CASE WHEN old.becomes = 5
                AND NOT EXISTS (SELECT FROM jobs p WHERE p.id = j.parent AND p.state < 4) THEN v_now + greatest(j.keep, {dead_kept}) END,
            cause = CASE WHEN old.becomes = 5 THEN 1 ELSE j.cause END
        FROM old WHERE j.id = old.id
        RETURNING j.id, j.queue, j.kind, 2, j.state, j.size, j.parent, j.children, j.awaited, j.unique_key IS NOT NULL, j.attempt,
            NULL::uuid, j.via
    ) SELECT array_agg(ROW(c.*)::moved) INTO v_moved FROM changed c;
    PERFORM settle(v_moved);
    RETURN coalesce(cardinality(v_moved), 0);
END $$;

-- Jobs whose moment has come, and jobs whose deadline has passed while they waited. How many.
CREATE FUNCTION let_ripen() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_ripe moved[];
    v_late moved[];
BEGIN
    WITH old AS (
        SELECT id FROM jobs WHERE state = 0 AND due <= v_now ORDER BY due LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), changed AS (
        UPDATE jobs j SET state = 1, rank = j.due - j.priority * {step}, announce = 0, version = j.version + 1 FROM old
        WHERE j.id = old.id
        RETURNING j.id, j.queue, j.kind, 0, j.state, j.size, NULL::uuid, NULL::int, false, false, 0, NULL::uuid, j.via
    ) SELECT array_agg(ROW(c.*)::moved) INTO v_ripe FROM changed c;
    PERFORM settle(v_ripe);
    WITH old AS (
        SELECT id, state FROM jobs WHERE deadline <= v_now AND (state = 0 OR state = 1 OR state = 3)
        ORDER BY deadline LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), changed AS (
        UPDATE jobs j SET state = 5, cause = 2, error = NULL, ended = v_now, version = j.version + 1,
            expires = CASE WHEN NOT EXISTS (SELECT FROM jobs p WHERE p.id = j.parent AND p.state < 4)
                THEN v_now + greatest(j.keep, {dead_kept}) END
        FROM old WHERE j.id = old.id
        RETURNING j.id, j.queue, j.kind, old.state AS was, j.state, j.size, j.parent, j.children, j.awaited,
            j.unique_key IS NOT NULL, 0, NULL::uuid, j.via
    ) SELECT array_agg(ROW(c.*)::moved) INTO v_late FROM changed c;
    PERFORM settle(v_late);
    RETURN coalesce(cardinality(v_ripe), 0) + coalesce(cardinality(v_late), 0);
END $$;

-- Handles whose lock is free: noted first, and given up when it is still free {grace} ms later. p_judge is false while the caller
-- itself has just come back: then the others may be about to.
CREATE FUNCTION lost_sessions(p_judge boolean) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_live int[];
BEGIN
    v_live := ARRAY(
        SELECT l.objid::bigint::int FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.classid::bigint = session_class() AND l.objsubid = 2 AND l.granted
            AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()));
    UPDATE sessions SET gone = NULL WHERE gone IS NOT NULL AND id = ANY(v_live);
    UPDATE sessions SET gone = v_now WHERE gone IS NULL AND NOT id = ANY(v_live);
    IF NOT p_judge OR pg_postmaster_start_time() > clock_timestamp() - interval '{back_within} milliseconds' THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT id FROM sessions WHERE gone <= v_now - {grace});
END $$;

CREATE FUNCTION throw_away() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_moved moved[];
    v_full record;
BEGIN
    FOR v_full IN
        SELECT queue, sum(dead) - {max_dead} AS surplus FROM counts WHERE what = 0 GROUP BY queue HAVING sum(dead) > {max_dead}
    LOOP
        UPDATE jobs SET expires = v_now WHERE id IN (
            SELECT id FROM jobs WHERE state = 5 AND queue = v_full.queue AND expires > v_now ORDER BY ended LIMIT v_full.surplus);
    END LOOP;
    WITH old AS (
        SELECT id FROM jobs WHERE expires <= v_now ORDER BY expires LIMIT 2000 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM jobs j USING old WHERE j.id = old.id
        RETURNING j.id, j.queue, j.kind, j.state, -1, j.size, NULL::uuid, NULL::int, false, false, 0, NULL::uuid, j.via
    ) SELECT array_agg(ROW(g.*)::moved) INTO v_moved FROM gone g;
    PERFORM tally(v_moved);
    DELETE FROM uniques WHERE until <= v_now;
    DELETE FROM messages WHERE id IN (
        SELECT id FROM messages WHERE state = 3 AND expires <= v_now ORDER BY expires LIMIT 5000 FOR UPDATE SKIP LOCKED);
END $$;

-- All of it. Says in how many milliseconds there is something to do again, as far as is known.
CREATE FUNCTION sweep(p_judge boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint;
    v_lost int[];
    v_again boolean;
BEGIN
    v_again := let_ripen() >= 1000;
    v_again := let_messages_ripen() >= 1000 OR v_again;
    -- One at a time is enough for the rest.
    IF pg_try_advisory_xact_lock(session_class(), 0) THEN
        v_lost := lost_sessions(p_judge);
        v_again := take_back(v_lost) >= 1000 OR v_again;
        v_again := take_messages_back(v_lost) >= 1000 OR v_again;
        PERFORM throw_away();
        IF NOT v_again AND cardinality(v_lost) > 0 THEN
            DELETE FROM runners WHERE session = ANY(v_lost);
            DELETE FROM sessions WHERE id = ANY(v_lost);
        END IF;
    END IF;
    IF v_again THEN
        RETURN 0;
    END IF;
    v_now := now_ms();
    RETURN least(
        (SELECT min(due) - v_now FROM jobs WHERE state = 0),
        (SELECT min(deadline) - v_now FROM jobs WHERE deadline IS NOT NULL AND (state = 0 OR state = 1 OR state = 3)),
        (SELECT min(due) - v_now FROM messages WHERE state = 0),
        (SELECT min(next) - v_now FROM schedules),
        (SELECT min(gone) + {grace} - v_now FROM sessions WHERE p_judge),
        {sweep_every});
END $$;

-- What waits to be told to the broker, and was not told or not heard: so many, marked as told. They are told again soon, for whoever
-- tells them may be killed in that moment; then after a while that doubles each time.
CREATE FUNCTION to_announce(p_most int) RETURNS TABLE (o_id uuid, o_queue text, o_priority smallint) LANGUAGE sql AS $$
    UPDATE jobs j SET announces = j.announces + 1,
        announce = now_ms() + CASE WHEN j.announces = 0 THEN {announce_first}
            ELSE least({announce_again} * 2.0 ^ least(j.announces - 1, 10), {announce_cap})::bigint END
    FROM (SELECT id FROM jobs WHERE state = 1 AND via = 1 AND announce <= now_ms() ORDER BY announce LIMIT p_most
        FOR UPDATE SKIP LOCKED) old
    WHERE j.id = old.id
    RETURNING j.id, j.queue, j.priority
$$;
