-- Jobs come in.

-- How much more a queue may hold. Exact: far from the limit, submitters share a lock; near it, one comes after the other.
-- To be called for queues in the order of their names, and before any row is locked.
CREATE FUNCTION room(p_what smallint, p_queue text, p_count bigint, p_bytes bigint,
    OUT free bigint, OUT free_bytes bigint, OUT held bigint, OUT held_bytes bigint, OUT most bigint, OUT most_bytes bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_key bigint := hashtextextended('{schema}/' || p_what || '/' || p_queue, 0);
BEGIN
    SELECT q.max_messages, q.max_bytes INTO most, most_bytes FROM queues q WHERE q.name = p_queue;
    IF NOT FOUND THEN
        most := {max_messages};
        most_bytes := {max_bytes};
    END IF;
    FOR v_round IN 1..2 LOOP
        SELECT coalesce(sum(scheduled + ready + waiting), 0), coalesce(sum(bytes), 0) INTO held, held_bytes
        FROM counts WHERE queue = p_queue AND what = p_what;
        free := greatest(most - held, 0);
        free_bytes := greatest(most_bytes - held_bytes, 0);
        EXIT WHEN v_round = 2;
        -- What may be under way besides: {in_flight} in all transactions together.
        EXIT WHEN free > p_count + {in_flight} AND free_bytes > p_bytes + {in_flight_bytes}
            AND pg_try_advisory_xact_lock_shared(v_key);
        PERFORM pg_advisory_xact_lock(v_key);
    END LOOP;
END $$;

-- Plain jobs: each is taken or refused on its own. Says which were refused, and what their queue holds.
CREATE FUNCTION submit(p_via smallint, p_ids uuid[], p_queues text[], p_kinds text[], p_payloads bytea[], p_priorities smallint[],
    p_delays bigint[], p_deadlines bigint[], p_run_limits bigint[], p_errors int[], p_crashes int[], p_firsts bigint[],
    p_caps bigint[], p_keeps bigint[], p_awaited boolean[])
RETURNS TABLE (o_at int, o_held bigint, o_most bigint, o_queue text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := now_ms();
    v_wanted record;
    v_room record;
    v_takes int[];
    v_part int[];
    v_left boolean := false;
    v_moved moved[];
BEGIN
    FOR v_wanted IN
        SELECT q, count(*) AS n, sum(length(b)) AS bytes FROM unnest(p_queues, p_payloads) u(q, b) GROUP BY q ORDER BY q
    LOOP
        v_room := room(0::smallint, v_wanted.q, v_wanted.n, v_wanted.bytes);
        IF v_room.free >= v_wanted.n AND v_room.free_bytes >= v_wanted.bytes THEN
            CONTINUE;
        END IF;
        -- Not all of them: those that are there already, and as many others as there is room for.
        IF NOT v_left THEN
            v_left := true;
            SELECT array_agg(at::int) INTO v_takes FROM generate_subscripts(p_ids, 1) at;
        END IF;
        SELECT array_agg(w.at::int) INTO v_part FROM (
            SELECT u.at, row_number() OVER o AS n, sum(length(u.b)) OVER o AS bytes
            FROM unnest(p_ids, p_queues, p_payloads) WITH ORDINALITY u(id, q, b, at)
            WHERE u.q = v_wanted.q AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = u.id)
            WINDOW o AS (ORDER BY u.at)
        ) w WHERE w.n > v_room.free OR w.bytes > v_room.free_bytes;
        IF v_part IS NOT NULL THEN
            v_takes := ARRAY(SELECT unnest(v_takes) EXCEPT SELECT unnest(v_part));
            RETURN QUERY SELECT at, v_room.held, v_room.most, v_wanted.q FROM unnest(v_part) at;
        END IF;
    END LOOP;
    WITH taken AS (
        INSERT INTO jobs (id, queue, kind, payload, size, state, via, priority, due, rank, deadline, run_limit, max_errors,
            max_crashes, first_wait, cap_wait, keep, awaited, submitted, announce)
        SELECT u.id, u.q, u.k, u.b, length(u.b), (u.delay <= 0)::int, p_via, u.priority, v_now + u.delay,
            v_now + u.delay - u.priority * {step}, v_now + u.deadline, u.run_limit, u.errors, u.crashes, u.first, u.cap,
            u.keep, u.awaited, v_now, CASE WHEN p_via = 1 THEN v_now + {announce_first} END
        FROM unnest(p_ids, p_queues, p_kinds, p_payloads, p_priorities, p_delays, p_deadlines, p_run_limits, p_errors,
            p_crashes, p_firsts, p_caps, p_keeps, p_awaited)
            WITH ORDINALITY u(id, q, k, b, priority, delay, deadline, run_limit, errors, crashes, first, cap, keep, awaited, at)
        WHERE NOT v_left OR u.at = ANY(v_takes)
        ORDER BY u.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, queue, kind, -1, state, size, NULL::uuid, NULL::int, false, false, 0, NULL::uuid, via
    ) SELECT array_agg(ROW(t.*)::moved) INTO v_moved FROM taken t;
    PERFORM notify(v_moved);
    PERFORM tally(v_moved);
END $$;

-- One job with a unique key, or a flow (its gatherer first): as a whole or not at all. SQLSTATE PX001: the key is held, by the job
-- in the message; PX002: the queue is full, `held/most/queue` in the message; PX004: a child is there already, the parent is not.
CREATE FUNCTION submit_whole(p_via smallint, p_ids uuid[], p_queues text[], p_kinds text[], p_payloads bytea[], p_priorities smallint[],
    p_delays bigint[], p_deadlines bigint[], p_run_limits bigint[], p_errors int[], p_crashes int[], p_firsts bigint[],
    p_caps bigint[], p_keeps bigint[], p_awaited boolean[], p_keys text[], p_ttls bigint[], p_fail_fast boolean)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := now_ms();
    v_wanted record;
    v_room record;
    v_key record;
    v_job uuid;
    v_moved moved[];
    v_gathers boolean := p_fail_fast IS NOT NULL;
BEGIN
    FOR v_wanted IN
        SELECT q, count(*) AS n, sum(length(b)) AS bytes FROM unnest(p_queues, p_payloads) u(q, b) GROUP BY q ORDER BY q
    LOOP
        v_room := room(0::smallint, v_wanted.q, v_wanted.n, v_wanted.bytes);
        IF (v_room.free < v_wanted.n OR v_room.free_bytes < v_wanted.bytes)
            AND NOT EXISTS (SELECT FROM jobs WHERE id = p_ids[1])
        THEN
            RAISE EXCEPTION USING ERRCODE = 'PX002', MESSAGE = v_room.held || '/' || v_room.most || '/' || v_wanted.q;
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM jobs WHERE id = p_ids[1]) THEN
        RETURN;
    END IF;
    SELECT id INTO v_job FROM jobs WHERE id = ANY(p_ids) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'PX004', MESSAGE = v_job::text;
    END IF;
    FOR v_key IN
        SELECT u.id, u.q, u.key, u.ttl FROM unnest(p_ids, p_queues, p_keys, p_ttls) u(id, q, key, ttl)
        WHERE u.key IS NOT NULL ORDER BY u.q, u.key
    LOOP
        INSERT INTO uniques AS held (queue, key, job, until)
        VALUES (v_key.q, v_key.key, v_key.id, CASE WHEN v_key.ttl > 0 THEN v_now + v_key.ttl END)
        ON CONFLICT (queue, key) DO UPDATE SET job = excluded.job, until = excluded.until
        WHERE held.until <= v_now OR held.job = excluded.job;
        IF NOT FOUND THEN
            SELECT job INTO v_job FROM uniques WHERE queue = v_key.q AND key = v_key.key;
            -- Its job may have ended in this moment: then the caller tries again.
            RAISE EXCEPTION USING ERRCODE = CASE WHEN v_job IS NULL THEN '40001' ELSE 'PX001' END, MESSAGE = coalesce(v_job::text, '');
        END IF;
    END LOOP;
    WITH taken AS (
        INSERT INTO jobs (id, queue, kind, payload, size, state, via, priority, due, rank, deadline, run_limit, max_errors,
            max_crashes, first_wait, cap_wait, keep, awaited, submitted, announce, unique_key, parent, child, children, fail_fast)
        SELECT u.id, u.q, u.k, u.b, length(u.b), CASE WHEN v_gathers AND u.at = 1 THEN 3 WHEN u.delay > 0 THEN 0 ELSE 1 END,
            p_via, u.priority, v_now + u.delay, v_now + u.delay - u.priority * {step}, v_now + u.deadline, u.run_limit,
            u.errors, u.crashes, u.first, u.cap, u.keep, u.awaited, v_now,
            CASE WHEN p_via = 1 THEN v_now + {announce_first} END,
            CASE WHEN u.ttl = 0 THEN u.key END,
            CASE WHEN u.at > 1 THEN p_ids[1] END, CASE WHEN u.at > 1 THEN u.at - 2 END,
            CASE WHEN v_gathers AND u.at = 1 THEN cardinality(p_ids) - 1 END,
            CASE WHEN v_gathers AND u.at = 1 THEN p_fail_fast END
        FROM unnest(p_ids, p_queues, p_kinds, p_payloads, p_priorities, p_delays, p_deadlines, p_run_limits, p_errors,
            p_crashes, p_firsts, p_caps, p_keeps, p_awaited, p_keys, p_ttls)
            WITH ORDINALITY u(id, q, k, b, priority, delay, deadline, run_limit, errors, crashes, first, cap, keep, awaited,
                key, ttl, at)
        ON CONFLICT (id) DO NOTHING
        RETURNING id, queue, kind, -1, state, size, NULL::uuid, NULL::int, false, false, 0, NULL::uuid, via
    ) SELECT array_agg(ROW(t.*)::moved) INTO v_moved FROM taken t;
    PERFORM notify(v_moved);
    PERFORM tally(v_moved);
END $$;

-- A schedule's moment has come: its job, once, however many look.
CREATE FUNCTION fire(p_name text, p_tick bigint, p_next bigint, p_via smallint, p_id uuid, p_queue text, p_kind text, p_payload bytea,
    p_priority smallint, p_deadline bigint, p_run_limit bigint, p_errors int, p_crashes int, p_first bigint, p_cap bigint,
    p_keep bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE schedules SET next = p_next WHERE name = p_name AND next = p_tick;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM submit(p_via, ARRAY[p_id], ARRAY[p_queue], ARRAY[p_kind], ARRAY[p_payload], ARRAY[p_priority],
        ARRAY[0::bigint], ARRAY[p_deadline], ARRAY[p_run_limit], ARRAY[p_errors], ARRAY[p_crashes], ARRAY[p_first], ARRAY[p_cap],
        ARRAY[p_keep], ARRAY[false]);
    IF p_via = 1 THEN
        -- Nobody else knows of it.
        UPDATE jobs SET announce = 0 WHERE id = p_id AND state = 1;
        PERFORM wake('a', ARRAY['']);
    END IF;
    RETURN true;
END $$;
