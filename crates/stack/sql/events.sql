-- The events topic, read byte for byte: one row per Kafka record, valid or not.
--
-- The value stays text (`format = raw`), because a record that is no event must reach the dead letters exactly as it
-- came; Flink's JSON format would drop it without a trace.
--
-- `event_time` is the earlier of the record's timestamp and its arrival, and NULL when the record is no valid event. The
-- Kafka source makes the watermark, per partition, long before any view, so the whole rule for validity has to stand
-- here. Two ways lead to it:
--
--   canonical   our generator and collector write the fields in a fixed order without escapes: one regular expression
--               checks such a record, and then it can be cut at its quotes, several times cheaper than JSON_VALUE
--   foreign     any other JSON object: JSON_VALUE takes the fields out, they are joined by U+0001, and a second
--               expression checks them. No valid field holds a control character, so the join is unambiguous.
--
-- The rule is the decoder's (crates/event/src/validate.rs) word for word, leniencies included. They come from JSON_VALUE, in
-- which nothing can be forbidden: numbers and booleans are read as text, digit for digit, half a surrogate pair as '?',
-- and its reader's limits (depth, digits, length of keys) hold for all of a record. docs/adr/0004-one-rule-for-valid-events.md
-- tells why; the differential test compares the two, record by record.
--
-- One question is left to the view `records`, where it is cheaper: whether the timestamp is too far in the future. Only a
-- record whose `event_time` is its arrival can be so. The watermark asks it at once.
--
-- A watermark that comes late is harmless, one that comes too early is not. So while the job is behind, only one record in
-- eight is asked for a watermark: the question is a good part of the work in the source. And no partition is read further
-- than some seconds ahead of the slowest: what is ahead has to wait in memory for its turn.
--
-- (CASE evaluates the branch it takes; COALESCE would evaluate both. REGEXP and REGEXP_SUBSTR keep a compiled pattern,
-- REGEXP_EXTRACT compiles it for every record.)
CREATE TEMPORARY TABLE event_log (
  record_value STRING,
  arrival TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  source_partition INT METADATA FROM 'partition' VIRTUAL,
  source_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  event_time AS LEAST(CAST(arrival AS TIMESTAMP(3)), CASE
    WHEN {{ is_canonical }} THEN {{ canonical_time('record_value', 15) }}
    ELSE {{ time_of("REGEXP_SUBSTR(" ~ foreign_text ~ ", '" ~ foreign_pattern ~ "')") }} END),
  processing_time AS PROCTIME(),
  WATERMARK FOR event_time AS CASE
    WHEN arrival > CURRENT_TIMESTAMP - INTERVAL '2' SECOND OR MOD(source_offset, 8) = 0 THEN
      {{ not_in_the_future("CASE WHEN " ~ is_canonical ~ " THEN SUBSTRING(record_value, 15, 23) ELSE REGEXP_SUBSTR(" ~ foreign_text ~ ", '" ~ foreign_pattern ~ "') END") }}
      - {{ (max_disorder_ms + 1) | interval }} END
) WITH (
  'connector' = 'kafka',
  'topic' = '{{ events_topic }}',
  'properties.bootstrap.servers' = '{{ kafka }}',
  -- a batch of some milliseconds at once instead of each as it comes
  'properties.fetch.min.bytes' = '16384',
  'properties.fetch.max.wait.ms' = '10',
  'scan.startup.mode' = '{{ startup_mode }}',
{%- if startup_timestamp_ms is not none %}
  'scan.startup.timestamp-millis' = '{{ startup_timestamp_ms }}',
{%- endif %}
  'scan.watermark.emit.strategy' = 'on-periodic',
  'scan.watermark.alignment.group' = 'events',
  'scan.watermark.alignment.max-drift' = '3 s',
  'scan.watermark.alignment.update-interval' = '100 ms',
  'format' = 'raw'
);

-- The same two ways again, now for the fields. A canonical record is cut at its quotes, and its values are every fourth
-- piece; a foreign one is joined so that cutting it at U+0001 gives the same pieces. (RAND() >= 0 is always true; it keeps
-- the planner from copying the expression into each place that uses a field.)
CREATE TEMPORARY VIEW marked_records AS
SELECT *, RAND() >= 0 AND ({{ is_canonical }}) IS TRUE AS is_canonical
FROM event_log;

CREATE TEMPORARY VIEW cut_records AS
SELECT *, SPLIT(CASE WHEN RAND() >= 0 AND is_canonical THEN record_value ELSE {{ foreign_pieces }} END,
                CASE WHEN is_canonical THEN '"' ELSE U&'\0001' END) AS piece
FROM marked_records;

CREATE TEMPORARY VIEW records AS
SELECT source_partition, source_offset, record_value, event_time, processing_time,
       piece[4] AS time_text, piece[8] AS event_id, piece[12] AS site_id, piece[16] AS event_type, piece[20] AS user_id,
       piece[24] AS session_id, piece[28] AS page_url,
       CASE WHEN NOT is_canonical THEN NULLIF(piece[32], '') WHEN piece[30] = 'product_id' THEN piece[32] END AS product_id,
       CASE WHEN NOT is_canonical THEN piece[36]
            WHEN piece[16] = 'purchase' THEN REGEXP_EXTRACT(record_value, '"value":([^,}]*)', 1) END AS amount,
       -- the one thing asked of a user agent; in a canonical record it comes after product and referrer, if these are there
       event_time IS NOT NULL AND REGEXP(
         CASE WHEN NOT is_canonical THEN JSON_VALUE(record_value, '$.user_agent')
              WHEN piece[30] = 'user_agent' THEN piece[32] WHEN piece[34] = 'user_agent' THEN piece[36]
              WHEN piece[38] = 'user_agent' THEN piece[40] END, '{{ bot_words }}') IS TRUE AS is_declared_bot,
       is_canonical,
       CARDINALITY(piece) AS piece_count,
       CASE WHEN event_time < CAST(arrival AS TIMESTAMP(3)) THEN TRUE
            ELSE event_time IS NOT NULL AND {{ is_allowed("REGEXP_SUBSTR(piece[4], '" ~ time_pattern ~ "')") }} END AS is_valid
FROM cut_records;

-- Late is decided by the log alone: an event is late when a valid record at a lower offset of its partition is more
-- than {{ max_disorder_ms }} ms ahead of it. The high mark lives in the checkpoint, so a replay decides the same.
CREATE TEMPORARY VIEW judged_records AS
SELECT *,
  MAX(event_ms) OVER (PARTITION BY source_partition ORDER BY processing_time
                      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS high_mark
FROM (
  SELECT source_partition, source_offset, record_value, event_time, processing_time, event_id, site_id, event_type,
         user_id, session_id, page_url, product_id, amount, is_declared_bot, CAST(event_time AS TIMESTAMP(3)) AS event_ms
  FROM records
  WHERE is_valid
);

-- Events that count: on time, no heartbeat, and of all copies of one event the first (ROW_NUMBER = 1 in the order of
-- processing is Flink's deduplication; it remembers an id for the dedup horizon of {{ dedup_horizon_s }} s).
-- `ts` is the event time once more, as milliseconds since the epoch, for arithmetic.
CREATE TEMPORARY VIEW events AS
SELECT source_partition, source_offset, site_id, event_id, event_type, user_id, session_id, page_url, product_id, revenue,
       is_declared_bot, event_time, ts
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site_id, event_id ORDER BY processing_time) AS copy_number
  FROM (
    SELECT source_partition, source_offset, site_id, event_id, COALESCE(event_type, '') AS event_type, user_id, session_id, page_url,
           product_id, is_declared_bot, event_time, processing_time,
           CASE WHEN event_type = 'purchase' THEN TRY_CAST(amount AS DECIMAL(18, 4)) END AS revenue,
           {{ epoch_ms('event_ms') }} AS ts
    FROM judged_records
    WHERE event_ms >= high_mark - {{ max_disorder_ms | interval }} AND event_type <> 'heartbeat'
  )
)
WHERE copy_number = 1;
