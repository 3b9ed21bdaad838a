-- Messages: raw bytes with an id, which is kept for a while after their end.

CREATE FUNCTION tally_messages(p_queue text, p_delayed bigint, p_ready bigint, p_taken bigint, p_bytes bigint)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO counts AS c (queue, what, shard, scheduled, ready, leased, bytes)
    SELECT p_queue, 1, pg_backend_pid() & 63, p_delayed, p_ready, p_taken, p_bytes
    ON CONFLICT (queue, what, shard) DO UPDATE SET scheduled = c.scheduled + excluded.scheduled,
        ready = c.ready + excluded.ready, leased = c.leased + excluded.leased, bytes = c.bytes + excluded.bytes
$$;

-- Those that were refused. SQLSTATE PX003: there is no such queue.
CREATE FUNCTION send(p_queue text, p_ids uuid[], p_priorities smallint[], p_delays bigint[], p_metas bytea[], p_bodies bytea[])
RETURNS TABLE (o_at int, o_held bigint, o_most bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := now_ms();
    v_room record;
    v_bytes bigint := (SELECT sum(length(b)) FROM unnest(p_bodies) b);
    v_all boolean;
    v_takes int[];
    v_counts record;
BEGIN
    IF NOT EXISTS (SELECT FROM queues WHERE name = p_queue) THEN
        RAISE EXCEPTION USING ERRCODE = 'PX003', MESSAGE = p_queue;
    END IF;
    v_room := room(1::smallint, p_queue, cardinality(p_ids), v_bytes);
    v_all := v_room.free >= cardinality(p_ids) AND v_room.free_bytes >= v_bytes;
    IF NOT v_all THEN
        v_takes := ARRAY(SELECT w.at::int FROM (
            SELECT u.at, row_number() OVER o AS n, sum(length(u.b)) OVER o AS bytes
            FROM unnest(p_ids, p_bodies) WITH ORDINALITY u(id, b, at)
            WHERE NOT EXISTS (SELECT FROM messages m WHERE m.id = u.id)
            WINDOW o AS (ORDER BY u.at)
        ) w WHERE w.n <= v_room.free AND w.bytes <= v_room.free_bytes);
        RETURN QUERY SELECT at::int, v_room.held, v_room.most FROM unnest(p_ids) WITH ORDINALITY u(id, at)
            WHERE NOT u.at = ANY(v_takes) AND NOT EXISTS (SELECT FROM messages m WHERE m.id = u.id);
    END IF;
    WITH taken AS (
        INSERT INTO messages (id, queue, state, priority, due, rank, size, meta, body)
        SELECT u.id, p_queue, (u.delay <= 0)::int, u.priority, v_now + u.delay, v_now + u.delay - u.priority * {step}, length(u.b),
            u.meta, u.b
        FROM unnest(p_ids, p_priorities, p_delays, p_metas, p_bodies) WITH ORDINALITY u(id, priority, delay, meta, b, at)
        WHERE v_all OR u.at = ANY(v_takes) ORDER BY u.at
        ON CONFLICT (id) DO NOTHING
        RETURNING state, size
    ) SELECT count(*) FILTER (WHERE state = 0) AS delayed, count(*) FILTER (WHERE state = 1) AS ready, coalesce(sum(size), 0) AS bytes
    INTO v_counts FROM taken;
    IF v_counts.ready > 0 THEN
        PERFORM wake('m', ARRAY[p_queue]);
    END IF;
    PERFORM tally_messages(p_queue, v_counts.delayed, v_counts.ready, 0, v_counts.bytes);
END $$;

-- The next ones, for a consumer of this session. If it is repeated after a lost answer: first what that said, which is what the consumer
-- does not know to have.
CREATE FUNCTION take(p_session int, p_consumer bigint, p_known uuid[], p_queue text, p_most int)
RETURNS TABLE (o_id uuid, o_attempt int, o_deliveries int, o_priority smallint, o_meta bytea, o_body bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := now_ms();
BEGIN
    IF p_known IS NOT NULL THEN
        RETURN QUERY SELECT m.id, m.attempt, m.deliveries, m.priority, m.meta, m.body FROM messages m
            WHERE m.state = 2 AND m.session = p_session AND m.consumer = p_consumer AND NOT m.id = ANY(p_known)
            ORDER BY m.rank, m.seq;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    RETURN QUERY WITH chosen AS (
        SELECT m.id FROM messages m WHERE m.state = 1 AND m.queue = p_queue ORDER BY m.rank, m.seq LIMIT p_most
        FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE messages m SET state = 2, attempt = m.attempt + 1, deliveries = m.deliveries + 1, session = p_session, consumer = p_consumer,
            lease_until = v_now + {lease}
        FROM chosen c WHERE m.id = c.id
        RETURNING m.id, m.attempt, m.deliveries, m.priority, m.meta, m.body, m.rank, m.seq, m.size
    ), counted AS (
        INSERT INTO counts AS c (queue, what, shard, ready, leased, bytes)
        SELECT p_queue, 1, pg_backend_pid() & 63, -count(*), count(*), -sum(t.size) FROM taken t HAVING count(*) > 0
        ON CONFLICT (queue, what, shard) DO UPDATE
            SET ready = c.ready + excluded.ready, leased = c.leased + excluded.leased, bytes = c.bytes + excluded.bytes
    )
    SELECT t.id, t.attempt, t.deliveries, t.priority, t.meta, t.body FROM taken t ORDER BY t.rank, t.seq;
    -- Of a queue that was deleted the consumers end.
    IF NOT FOUND AND NOT EXISTS (SELECT FROM queues WHERE name = p_queue) THEN
        RAISE EXCEPTION USING ERRCODE = 'PX003', MESSAGE = p_queue;
    END IF;
END $$;

CREATE FUNCTION hold(p_ids uuid[], p_attempts int[]) RETURNS void LANGUAGE sql AS $$
    UPDATE messages m SET lease_until = now_ms() + {lease} FROM unnest(p_ids, p_attempts) u(id, attempt)
    WHERE m.id = u.id AND m.attempt = u.attempt AND m.state = 2
$$;

-- What became of deliveries: 0 acked, 1 back (after a delay), 2 rejected. For each whether it was ours to say.
CREATE FUNCTION settle_messages(p_ids uuid[], p_attempts int[], p_whats smallint[], p_delays bigint[])
RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_row record;
    v_known uuid[];
    v_dead uuid[];
BEGIN
    PERFORM 1 FROM messages WHERE id = ANY(p_ids) ORDER BY id FOR UPDATE;
    -- The latest delivery may be acked also after it was taken back, if there was no other.
    v_known := ARRAY(
        SELECT m.id FROM unnest(p_ids, p_attempts, p_whats) u(id, attempt, what)
        JOIN messages m ON m.id = u.id AND m.attempt = u.attempt WHERE m.state = 2 OR m.state < 2 AND u.what = 0);
    v_dead := ARRAY(
        SELECT m.id FROM unnest(p_ids, p_whats) u(id, what) JOIN messages m ON m.id = u.id JOIN queues q ON q.name = m.queue
        WHERE m.id = ANY(v_known) AND (u.what = 2 OR u.what = 1 AND m.deliveries >= q.max_deliveries));
    FOR v_row IN
        WITH changed AS (
            UPDATE messages m SET state = CASE WHEN u.what = 0 THEN 3 WHEN u.delay > 0 THEN 0 ELSE 1 END,
                due = CASE WHEN u.what = 1 AND u.delay > 0 THEN v_now + u.delay ELSE m.due END,
                rank = CASE WHEN u.what = 1 AND u.delay > 0 THEN v_now + u.delay - m.priority * {step} ELSE m.rank END,
                expires = CASE WHEN u.what = 0 THEN v_now + {spent_kept} END,
                body = CASE WHEN u.what = 0 THEN '' ELSE m.body END, meta = CASE WHEN u.what = 0 THEN '' ELSE m.meta END
            FROM unnest(p_ids, p_whats, p_delays) u(id, what, delay) JOIN messages old ON old.id = u.id
            WHERE m.id = u.id AND m.id = ANY(v_known) AND NOT m.id = ANY(v_dead)
            RETURNING m.queue, old.state AS was, m.state, m.size
        ) SELECT queue, count(*) FILTER (WHERE state = 0) - count(*) FILTER (WHERE was = 0) AS delayed,
            count(*) FILTER (WHERE state = 1) - count(*) FILTER (WHERE was = 1) AS ready, count(*) FILTER (WHERE was = 2) AS taken,
            coalesce(sum(size * ((state < 2)::int - (was < 2)::int)), 0) AS bytes
        FROM changed GROUP BY queue ORDER BY queue
    LOOP
        IF v_row.ready > 0 THEN
            PERFORM wake('m', ARRAY[v_row.queue]);
        END IF;
        PERFORM tally_messages(v_row.queue, v_row.delayed, v_row.ready, -v_row.taken, v_row.bytes);
    END LOOP;
    PERFORM bury(v_dead);
    RETURN ARRAY(
        SELECT u.id = ANY(v_known) OR coalesce(m.attempt = u.attempt AND m.state <> 2, true)
        FROM unnest(p_ids, p_attempts, p_whats) WITH ORDINALITY u(id, attempt, what, at) LEFT JOIN messages m ON m.id = u.id
        ORDER BY u.at);
END $$;

-- Another message comes in the place of a delivery; it may have the same id.
CREATE FUNCTION replace_message(p_id uuid, p_attempt int, p_new uuid, p_priority smallint, p_delay bigint, p_meta bytea, p_body bytea)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_old messages;
BEGIN
    SELECT * INTO v_old FROM messages WHERE id = p_id AND attempt = p_attempt FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF v_old.state <> 2 THEN
        -- Said before, and the answer was lost.
        RETURN v_old.state = 3 OR p_id = p_new;
    END IF;
    IF p_id = p_new THEN
        UPDATE messages SET state = (p_delay <= 0)::int, priority = p_priority, due = v_now + p_delay, deliveries = 0,
            rank = v_now + p_delay - p_priority * {step}, size = length(p_body), meta = p_meta, body = p_body
        WHERE id = p_id;
    ELSE
        INSERT INTO messages (id, queue, state, priority, due, rank, size, meta, body)
        VALUES (p_new, v_old.queue, (p_delay <= 0)::int, p_priority, v_now + p_delay, v_now + p_delay - p_priority * {step},
            length(p_body), p_meta, p_body) ON CONFLICT (id) DO NOTHING;
        UPDATE messages SET state = 3, expires = v_now + {spent_kept}, body = '', meta = '' WHERE id = p_id;
    END IF;
    IF p_delay <= 0 THEN
        PERFORM wake('m', ARRAY[v_old.queue]);
    END IF;
    PERFORM tally_messages(v_old.queue, (p_delay > 0)::int, (p_delay <= 0)::int, -1, length(p_body));
    RETURN true;
END $$;

-- Taken messages that nobody will work on: into the dead-letter queue of theirs, which keeps the latest it has room for; or gone.
CREATE FUNCTION bury(p_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := now_ms();
    v_row record;
    v_room record;
BEGIN
    FOR v_row IN
        SELECT q.name, q.dead_letter, array_agg(m.id) AS ids, count(*) AS n, sum(m.size) AS bytes
        FROM messages m JOIN queues q ON q.name = m.queue WHERE m.id = ANY(p_ids) GROUP BY q.name, q.dead_letter ORDER BY q.name
    LOOP
        IF v_row.dead_letter IS NULL OR NOT EXISTS (SELECT FROM queues WHERE name = v_row.dead_letter) THEN
            UPDATE messages SET state = 3, expires = v_now + {spent_kept}, body = '', meta = '' WHERE id = ANY(v_row.ids);
        ELSE
            UPDATE messages SET state = 1, queue = v_row.dead_letter, deliveries = 0, due = v_now, rank = v_now - priority * {step}
            WHERE id = ANY(v_row.ids);
            PERFORM tally_messages(v_row.dead_letter, 0, v_row.n, 0, v_row.bytes);
            PERFORM wake('m', ARRAY[v_row.dead_letter]);
            SELECT q.max_messages AS most, sum(c.ready + c.scheduled) AS held INTO v_room
            FROM queues q JOIN counts c ON c.queue = q.name AND c.what = 1 WHERE q.name = v_row.dead_letter GROUP BY q.max_messages;
            IF v_room.held > v_room.most THEN
                PERFORM drop_messages(v_row.dead_letter, (v_room.held - v_room.most)::int);
            END IF;
        END IF;
        PERFORM tally_messages(v_row.name, 0, 0, -v_row.n, 0);
    END LOOP;
END $$;

-- The oldest waiting ones are gone; how many.
CREATE FUNCTION drop_messages(p_queue text, p_most int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_row record;
BEGIN
    WITH gone AS (
        DELETE FROM messages WHERE id IN (
            SELECT id FROM messages WHERE queue = p_queue AND state <= 1 ORDER BY seq LIMIT p_most FOR UPDATE SKIP LOCKED)
        RETURNING state, size
    ) SELECT count(*) FILTER (WHERE state = 0) AS delayed, count(*) FILTER (WHERE state = 1) AS ready, coalesce(sum(size), 0) AS bytes
    INTO v_row FROM gone;
    PERFORM tally_messages(p_queue, -v_row.delayed, -v_row.ready, 0, -v_row.bytes);
    RETURN v_row.delayed + v_row.ready;
END $$;

CREATE FUNCTION let_messages_ripen() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_row record;
    v_count int := 0;
BEGIN
    FOR v_row IN
        WITH old AS (
            SELECT id FROM messages WHERE state = 0 AND due <= now_ms() ORDER BY due LIMIT 1000 FOR UPDATE SKIP LOCKED
        ), changed AS (
            UPDATE messages m SET state = 1 FROM old WHERE m.id = old.id RETURNING m.queue
        ) SELECT queue, count(*) AS n FROM changed GROUP BY queue ORDER BY queue
    LOOP
        PERFORM wake('m', ARRAY[v_row.queue]);
        PERFORM tally_messages(v_row.queue, -v_row.n, v_row.n, 0, 0);
        v_count := v_count + v_row.n;
    END LOOP;
    RETURN v_count;
END $$;

-- Deliveries of handles that are gone, or that nobody holds any more.
CREATE FUNCTION take_messages_back(p_lost int[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_ids uuid[];
    v_attempts int[];
BEGIN
    SELECT array_agg(id), array_agg(attempt) INTO v_ids, v_attempts FROM (
        SELECT id, attempt FROM messages WHERE state = 2 AND (lease_until < now_ms() OR session = ANY(p_lost))
        ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED) m;
    DELETE FROM messages WHERE queue IN (SELECT name FROM queues WHERE session = ANY(p_lost));
    DELETE FROM counts WHERE what = 1 AND queue IN (SELECT name FROM queues WHERE session = ANY(p_lost));
    DELETE FROM queues WHERE session = ANY(p_lost);
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM settle_messages(v_ids, v_attempts, array_fill(1::smallint, ARRAY[cardinality(v_ids)]),
        array_fill(0::bigint, ARRAY[cardinality(v_ids)]));
    RETURN cardinality(v_ids);
END $$;

-- Makes a queue, or sets the limits of one that is there. What differs otherwise, if anything.
CREATE FUNCTION declare(p_name text, p_messages bigint, p_bytes bigint, p_dead_letter text, p_deliveries int, p_session int)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_is queues;
BEGIN
    IF p_dead_letter IS NOT NULL THEN
        INSERT INTO queues VALUES (p_dead_letter, {max_messages}, {max_bytes}, NULL, p_deliveries, NULL) ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO queues VALUES (p_name, p_messages, p_bytes, p_dead_letter, p_deliveries, p_session) ON CONFLICT DO NOTHING;
    SELECT * INTO v_is FROM queues WHERE name = p_name FOR UPDATE;
    IF v_is.dead_letter IS DISTINCT FROM p_dead_letter THEN
        RETURN 'its dead-letter queue is ' || coalesce(v_is.dead_letter, 'none');
    END IF;
    UPDATE queues SET max_messages = p_messages, max_bytes = p_bytes, max_deliveries = p_deliveries WHERE name = p_name;
    RETURN NULL;
END $$;

CREATE FUNCTION delete_queue(p_name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM queues WHERE name = p_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM messages WHERE queue = p_name;
    DELETE FROM counts WHERE queue = p_name AND what = 1;
    PERFORM wake('m', ARRAY[p_name]);
    RETURN true;
END $$;

CREATE FUNCTION message_stats(p_queue text)
RETURNS TABLE (o_ready bigint, o_delayed bigint, o_taken bigint, o_bytes bigint, o_oldest bigint, o_consumers bigint) LANGUAGE sql AS $$
    SELECT coalesce(sum(c.ready), 0)::bigint, coalesce(sum(c.scheduled), 0)::bigint, coalesce(sum(c.leased), 0)::bigint,
        coalesce(sum(c.bytes), 0)::bigint,
        greatest(now_ms() - (SELECT min(m.due) FROM messages m WHERE m.queue = q.name AND m.state = 1), 0),
        (SELECT count(*) FROM runners r WHERE r.queue = 'm:' || q.name)
    FROM queues q LEFT JOIN counts c ON c.queue = q.name AND c.what = 1 WHERE q.name = p_queue GROUP BY q.name
$$;

-- A handle leaves in good order: what it has goes back uncounted.
CREATE FUNCTION leave(p_session int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_ids uuid[];
    v_attempts int[];
BEGIN
    SELECT array_agg(id), array_agg(attempt) INTO v_ids, v_attempts FROM jobs WHERE state = 2 AND session = p_session;
    IF v_ids IS NOT NULL THEN
        PERFORM finish(v_ids, v_attempts, array_fill(4::smallint, ARRAY[cardinality(v_ids)]), array_fill(NULL::bytea, ARRAY[cardinality(v_ids)]));
    END IF;
    PERFORM take_messages_back(ARRAY[p_session]);
    DELETE FROM runners WHERE session = p_session;
    DELETE FROM sessions WHERE id = p_session;
END $$;
