-- Records that count nowhere, each with the reason, its place in the log and its exact bytes.
--
-- `event_time` alone decided that a record is no valid event (see events.sql). The reason is found afterwards and only
-- for those; the first question that applies names it, in the same order as the Rust decoder asks them.
CREATE TEMPORARY TABLE dead_letters (
  reason STRING NOT NULL,
  detail STRING,
  source_partition INT NOT NULL,
  source_offset BIGINT NOT NULL,
  `raw` STRING
) WITH (
  'connector' = 'kafka',
  'topic' = '{{ topic_prefix }}dead-letters',
  {{ kafka_sink }},
  'format' = 'json'
);

CREATE TEMPORARY VIEW rejected_records AS
SELECT source_partition, source_offset, record_value,
       -- before the length, which is measured in text: bytes that are none count as three
  CASE WHEN NOT ({{ is_utf8 }}) THEN ARRAY['not_json', 'the value is not UTF-8']
       WHEN {{ too_long }} THEN ARRAY['too_long', 'the value is longer than 65536 bytes']
       WHEN is_canonical THEN ARRAY['future_timestamp', time_text]
       WHEN piece_count IS NULL THEN ARRAY['not_json', 'the value is not one JSON object']
       WHEN piece_count <> {{ foreign_piece_count }} OR has_control_character THEN ARRAY['wrong_type', 'a field holds a control character']
       WHEN event_type = '' THEN ARRAY['missing_field', 'event_type']
       WHEN event_type NOT IN ('page_view', 'click', 'add_to_cart', 'purchase', 'heartbeat') THEN ARRAY['unknown_event_type', event_type]
       WHEN event_type <> 'heartbeat' AND event_id = '' THEN ARRAY['missing_field', 'event_id']
       WHEN site_id = '' THEN ARRAY['missing_field', 'site_id']
       WHEN event_type <> 'heartbeat' AND user_id = '' THEN ARRAY['missing_field', 'user_id']
       WHEN event_type <> 'heartbeat' AND session_id = '' THEN ARRAY['missing_field', 'session_id']
       WHEN event_type <> 'heartbeat' AND page_url = '' THEN ARRAY['missing_field', 'page_url']
       WHEN time_text = '' THEN ARRAY['missing_field', 'timestamp']
       WHEN event_type <> 'heartbeat' AND NOT REGEXP(amount, '^{{ number_pattern }}\z') THEN ARRAY['wrong_type', 'value']
       WHEN NOT REGEXP(time_text, '^{{ timestamp_pattern }}\z')
         THEN ARRAY['bad_timestamp', time_text]
       ELSE ARRAY['future_timestamp', time_text] END AS verdict
FROM (
  SELECT *, REGEXP(event_id || site_id || event_type || user_id || session_id || page_url || COALESCE(product_id, '') || time_text || amount,
                   '[\x00-\x1F]') AS has_control_character
  FROM records
  WHERE NOT is_valid
);

CREATE TEMPORARY VIEW late_records AS
SELECT source_partition, source_offset, record_value,
       ARRAY['late', 'event time ' || {{ rfc3339('event_ms') }} || ', high mark of the partition ' || {{ rfc3339('high_mark') }}] AS verdict
FROM judged_records
WHERE event_ms < high_mark - {{ max_disorder_ms | interval }};

INSERT INTO dead_letters
SELECT verdict[1], verdict[2], source_partition, source_offset,
       -- bytes that are no text travel as base64 (JSON_STRING writes binary values so, in quotes)
       CASE WHEN {{ is_utf8 }} THEN record_value ELSE TRIM(BOTH '"' FROM JSON_STRING(CAST(record_value AS BYTES))) END
FROM (SELECT * FROM rejected_records UNION ALL SELECT * FROM late_records);
