-- Site metrics: the whole site per window, with sessions, conversion and revenue.
--
-- Users and sessions are counted by distance, as in page_metrics.sql. Buyers are few: an ordinary COUNT(DISTINCT) is
-- cheap for them.
{{ distance_view('user_events', ['site_id', 'user_id'], "site_id, event_type, CASE WHEN event_type = 'purchase' THEN user_id END AS buyer, revenue") }}

{{ distance_view('session_events', ['site_id', 'session_id'], 'site_id') }}

CREATE TEMPORARY VIEW user_slices AS
SELECT site_id, buyer, distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase,
       {{ event_counts() }},
       SUM(revenue) AS revenue
FROM TUMBLE(TABLE user_events, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, buyer, distance, window_start, window_end, window_time;

CREATE TEMPORARY VIEW session_slices AS
SELECT site_id, distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase, COUNT(*) AS event_count
FROM TUMBLE(TABLE session_events, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, distance, window_start, window_end, window_time;

-- An event comes twice here, once for its user and once for its session. All but the sessions is summed over the first;
-- at distance 0 an event counts in no counter.
CREATE TEMPORARY VIEW site_slices AS
SELECT site_id, slice_time, phase, distance AS user_distance, CAST(0 AS BIGINT) AS session_distance, event_count AS weight,
       event_count, view_count, click_count, add_to_cart_count, purchase_count, buyer, revenue
FROM user_slices
UNION ALL
SELECT site_id, slice_time, phase, CAST(0 AS BIGINT), distance, event_count,
       CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT),
       CAST(NULL AS STRING), CAST(NULL AS DECIMAL(38, 4))
FROM session_slices;

CREATE TEMPORARY VIEW site_windows AS
SELECT site_id, window_start, window_end, event_count, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users, active_sessions,
       CASE WHEN view_count > 0 THEN CAST(click_count AS DOUBLE) / view_count END AS click_through_rate,
       CASE WHEN unique_users > 0 THEN CAST(buyers AS DOUBLE) / unique_users END AS conversion_rate,
       COALESCE(revenue, 0) AS revenue
FROM (
  SELECT site_id, window_start, window_end, event_count, view_count, click_count, add_to_cart_count, purchase_count,
         {{ pick('unique_users') }} AS unique_users, {{ pick('active_sessions') }} AS active_sessions, buyers, revenue
  FROM (
    SELECT site_id, window_start, window_end, SUM(event_count) AS event_count,
           {{ sums_of_counts() }},
           COUNT(DISTINCT buyer) AS buyers, SUM(revenue) AS revenue,
           {{ count_first('unique_users', 'user_distance', 'weight') }},
           {{ count_first('active_sessions', 'session_distance', 'weight') }}
    FROM HOP(TABLE site_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
    GROUP BY site_id, window_start, window_end
  )
)
{{ emit_from }};

CREATE TEMPORARY TABLE site_metrics (
  site_id STRING, window_start STRING, window_end STRING,
  event_count BIGINT, view_count BIGINT, click_count BIGINT, add_to_cart_count BIGINT, purchase_count BIGINT,
  unique_users BIGINT, active_sessions BIGINT, click_through_rate DOUBLE, conversion_rate DOUBLE, revenue DECIMAL(38, 4),
  PRIMARY KEY (site_id, window_end) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = '{{ topic_prefix }}site-metrics',
  {{ kafka_sink }},
  'key.format' = 'json', 'value.format' = 'json', 'value.json.encode.decimal-as-plain-number' = 'true'
);

INSERT INTO site_metrics
SELECT site_id, {{ rfc3339('window_start') }}, {{ rfc3339('window_end') }},
       event_count, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users, active_sessions, click_through_rate, conversion_rate, revenue
FROM site_windows;
