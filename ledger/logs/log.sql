-- The log in Postgres: the same promises as Kafka's. Run by PostgresLog.prepare under an advisory lock; safe to repeat.
--
-- Offsets become visible in order, because an append locks the counter row of its partition until it commits: a sequence
-- would hand out 5 and 6, and 6 could commit first. Append times are the server's clock, read under that lock, and never
-- decrease within a partition.

CREATE SCHEMA IF NOT EXISTS answerable_log;

CREATE TABLE IF NOT EXISTS answerable_log.topics (
    topic       text PRIMARY KEY,
    number      smallint GENERATED ALWAYS AS IDENTITY UNIQUE,
    identity    uuid NOT NULL DEFAULT gen_random_uuid(),
    partitions  int NOT NULL CHECK (partitions BETWEEN 1 AND 1024),
    compacted   boolean NOT NULL,
    value_bytes int NOT NULL
);

CREATE TABLE IF NOT EXISTS answerable_log.partitions (
    topic        smallint NOT NULL REFERENCES answerable_log.topics (number) ON DELETE CASCADE,
    partition    int NOT NULL,
    first_offset bigint NOT NULL DEFAULT 0,
    next_offset  bigint NOT NULL DEFAULT 0,
    last_time    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20);

CREATE TABLE IF NOT EXISTS answerable_log.records (
    topic       smallint NOT NULL REFERENCES answerable_log.topics (number) ON DELETE CASCADE,
    partition   int NOT NULL,
    "offset"    bigint NOT NULL,
    append_time bigint NOT NULL,
    compacted   boolean NOT NULL,
    key         bytea,
    value       bytea,
    PRIMARY KEY (topic, partition, "offset")
);
-- Signed and hashed bytes hardly compress.
ALTER TABLE answerable_log.records ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE INDEX IF NOT EXISTS records_by_key ON answerable_log.records (topic, partition, sha256(key)) WHERE compacted;

-- Appends every record or none. A tombstone deletes the earlier rows of its key in the same transaction.
CREATE OR REPLACE FUNCTION answerable_log.append(topics text[], partitions int[], keys bytea[], vals bytea[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = answerable_log, pg_catalog, pg_temp AS $$
DECLARE
    wanted  int := cardinality(topics);
    written int;
    now_us  bigint;
BEGIN
    IF cardinality(partitions) <> wanted OR cardinality(keys) <> wanted OR cardinality(vals) <> wanted THEN
        RAISE EXCEPTION 'four arrays of one length are expected' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- In one order for everybody, or two appenders wait for each other for ever.
    PERFORM FROM answerable_log.partitions p JOIN answerable_log.topics t ON t.number = p.topic
      WHERE (t.topic, p.partition) IN (SELECT * FROM unnest(append.topics, append.partitions))
      ORDER BY p.topic, p.partition FOR NO KEY UPDATE OF p;
    now_us := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

    INSERT INTO answerable_log.records
    SELECT t.number, i.partition, p.next_offset + row_number() OVER (PARTITION BY t.number, i.partition ORDER BY i.place) - 1,
           greatest(p.last_time, now_us), t.compacted, i.key, i.value
      FROM unnest(append.topics, append.partitions, append.keys, append.vals)
           WITH ORDINALITY AS i (topic, partition, key, value, place)
      JOIN answerable_log.topics t ON t.topic = i.topic
      JOIN answerable_log.partitions p ON p.topic = t.number AND p.partition = i.partition
     WHERE i.value IS NULL OR octet_length(i.value) <= t.value_bytes;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> wanted THEN
        RAISE EXCEPTION 'a record is too large, or its topic or partition does not exist'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    UPDATE answerable_log.partitions p
       SET next_offset = p.next_offset + a.count, last_time = greatest(p.last_time, now_us)
      FROM (SELECT i.topic, i.partition, count(*) FROM unnest(append.topics, append.partitions) AS i (topic, partition)
             GROUP BY 1, 2) a
      JOIN answerable_log.topics t ON t.topic = a.topic
     WHERE p.topic = t.number AND p.partition = a.partition;

    DELETE FROM answerable_log.records r
     USING (SELECT t.number, tomb.partition, tomb.key, max(tomb."offset") AS "offset"
              FROM (SELECT i.topic, i.partition, i.key FROM unnest(append.topics, append.partitions, append.keys, append.vals)
                           AS i (topic, partition, key, value) WHERE i.value IS NULL AND i.key IS NOT NULL) stone
              JOIN answerable_log.topics t ON t.topic = stone.topic AND t.compacted
              JOIN answerable_log.records tomb ON tomb.topic = t.number AND tomb.partition = stone.partition
                   AND tomb.compacted AND sha256(tomb.key) = sha256(stone.key) AND tomb.key = stone.key
                   AND tomb.value IS NULL
             GROUP BY 1, 2, 3) last
     WHERE r.topic = last.number AND r.partition = last.partition AND r.compacted
       AND sha256(r.key) = sha256(last.key) AND r.key = last.key AND r."offset" < last."offset";
END $$;

-- What a publisher must know of a topic; it may read nothing else.
CREATE OR REPLACE FUNCTION answerable_log.describe(topic text, OUT identity uuid, OUT partitions int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = answerable_log, pg_catalog, pg_temp AS $$
    SELECT t.identity, t.partitions FROM answerable_log.topics t WHERE t.topic = describe.topic
$$;

DO $$ BEGIN
    CREATE ROLE answerable_appender NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

REVOKE ALL ON SCHEMA answerable_log FROM PUBLIC;
REVOKE ALL ON FUNCTION answerable_log.append, answerable_log.describe FROM PUBLIC;
GRANT USAGE ON SCHEMA answerable_log TO answerable_appender;
GRANT EXECUTE ON FUNCTION answerable_log.append, answerable_log.describe TO answerable_appender;
