-- Site metrics: the whole site per window, with sessions, conversion and revenue.
--
-- Users and sessions are counted by distance, as in page_metrics.sql. Buyers are few: an ordinary COUNT(DISTINCT) is
-- cheap for them.
CREATE TEMPORARY VIEW site_events AS
SELECT site_id, event_type, CASE WHEN event_type = 'purchase' THEN user_id END AS buyer, revenue, event_time, distance, human_distance
FROM user_events;

CREATE TEMPORARY VIEW user_slices AS
SELECT site_id, buyer, distance, human_distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase,
       {{ event_counts() }},
       SUM(revenue) AS revenue
FROM TUMBLE(TABLE site_events, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, buyer, distance, human_distance, window_start, window_end, window_time;

CREATE TEMPORARY VIEW session_slices AS
SELECT site_id, distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase, COUNT(*) AS event_count
FROM TUMBLE(TABLE session_events, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, distance, window_start, window_end, window_time;

-- An event comes twice here, once for its user and once for its session. All but the sessions is summed over the first;
-- at distance 0 an event counts in no counter. A third row counts for the human users where their distance is another.
CREATE TEMPORARY VIEW site_slices AS
SELECT site_id, slice_time, phase, distance AS user_distance, human_distance, CAST(0 AS BIGINT) AS session_distance,
       {{ in_both('event_count', 'human_distance = distance') }} AS weight,
       event_count, view_count, click_count, add_to_cart_count, purchase_count, buyer, revenue
FROM user_slices
UNION ALL
SELECT site_id, slice_time, phase, human_distance, CAST(-1 AS BIGINT), CAST(0 AS BIGINT), {{ in_second('event_count') }},
       CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT),
       CAST(NULL AS STRING), CAST(NULL AS DECIMAL(38, 4))
FROM user_slices
WHERE human_distance >= 0 AND human_distance <> distance
UNION ALL
SELECT site_id, slice_time, phase, CAST(0 AS BIGINT), CAST(-1 AS BIGINT), distance, event_count,
       CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT),
       CAST(NULL AS STRING), CAST(NULL AS DECIMAL(38, 4))
FROM session_slices;

CREATE TEMPORARY VIEW site_windows AS
SELECT site_id, window_start, window_end, event_count, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users, active_sessions,
       {{ ratio('click_count', 'view_count') }} AS click_through_rate,
       {{ ratio('buyers', 'unique_users') }} AS conversion_rate,
       COALESCE(revenue, 0) AS revenue,
       human_event_count, human_view_count, human_click_count, human_add_to_cart_count, human_purchase_count, human_unique_users,
       {{ ratio('human_click_count', 'human_view_count') }} AS human_click_through_rate,
       {{ ratio('human_buyers', 'human_unique_users') }} AS human_conversion_rate,
       COALESCE(human_revenue, 0) AS human_revenue
FROM (
  SELECT *, {{ first_of('two_counts') }} AS unique_users, {{ second_of('two_counts') }} AS human_unique_users
  FROM (
    SELECT *, {{ pick('users') }} AS two_counts, {{ pick('active_sessions') }} AS active_sessions
    FROM (
      SELECT site_id, window_start, window_end, SUM(event_count) AS event_count,
             {{ sums_of_counts() }},
             {{ human_sums(['event_count', 'view_count', 'click_count', 'add_to_cart_count', 'purchase_count']) }},
             COUNT(DISTINCT buyer) AS buyers, SUM(revenue) AS revenue,
             COUNT(DISTINCT CASE WHEN human_distance >= 0 THEN buyer END) AS human_buyers,
             SUM(CASE WHEN human_distance >= 0 THEN revenue END) AS human_revenue,
             {{ count_first('users', 'user_distance') }},
             {{ count_first('active_sessions', 'session_distance') }}
      FROM HOP(TABLE site_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
      GROUP BY site_id, window_start, window_end
    )
  )
)
{{ emit_from('event_count') }};

CREATE TEMPORARY TABLE site_metrics (
  site_id STRING, window_start STRING, window_end STRING,
  event_count BIGINT, view_count BIGINT, click_count BIGINT, add_to_cart_count BIGINT, purchase_count BIGINT,
  unique_users BIGINT, active_sessions BIGINT, click_through_rate DOUBLE, conversion_rate DOUBLE, revenue DECIMAL(38, 4),
  human_event_count BIGINT, human_view_count BIGINT, human_click_count BIGINT, human_add_to_cart_count BIGINT,
  human_purchase_count BIGINT, human_unique_users BIGINT, human_click_through_rate DOUBLE, human_conversion_rate DOUBLE,
  human_revenue DECIMAL(38, 4),
  PRIMARY KEY (site_id, window_end) NOT ENFORCED
) {{ sink('site-metrics') }};

INSERT INTO site_metrics
SELECT site_id, {{ window_bounds() }},
       event_count, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users, active_sessions, click_through_rate, conversion_rate, revenue,
       human_event_count, human_view_count, human_click_count, human_add_to_cart_count, human_purchase_count, human_unique_users,
       human_click_through_rate, human_conversion_rate, human_revenue
FROM site_windows;
