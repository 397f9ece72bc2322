-- Site metrics: the whole site per window, with sessions, conversion and revenue.
--
-- Users and sessions are counted by appearances and pairs, as in page_metrics.sql: an event comes once for its user, and where it is the
-- first of its session in a slide, once more for that. Buyers are few: an ordinary COUNT(DISTINCT) is cheap for them.
CREATE TEMPORARY VIEW user_returns AS
SELECT site_id, event_time, human_distance = distance AS is_human, {{ slice_of('ts') }} - distance AS previous_slide
FROM user_events
WHERE distance > 0 AND distance < {{ slices }};

CREATE TEMPORARY VIEW session_appearances AS
SELECT site_id, event_time, {{ is_pair('distance') }} AS pair_change
FROM session_events
WHERE distance > 0;

CREATE TEMPORARY VIEW session_returns AS
SELECT site_id, event_time, {{ slice_of('ts') }} - distance AS previous_slide
FROM session_events
WHERE distance > 0 AND distance < {{ slices }};

CREATE TEMPORARY VIEW site_changes AS
SELECT site_id, event_time AS change_time, event_type, revenue, human_distance >= 0 AS is_human,
       {{ is_appearance('distance') }} AS appearance, {{ is_pair('distance') }} AS pair_change,
       {{ is_appearance('human_distance') }} AS human_appearance, {{ is_pair('human_distance') }} AS human_pair_change,
       0 AS session_appearance, 0 AS session_pair_change
FROM user_events
UNION ALL
SELECT site_id, window_time, CAST(NULL AS STRING), CAST(NULL AS DECIMAL(18, 4)), FALSE, 0, -1, 0, CASE WHEN is_human THEN -1 ELSE 0 END, 0, 0
FROM {{ when_parted('user_returns', 'event_time') }}
UNION ALL
SELECT site_id, event_time, CAST(NULL AS STRING), CAST(NULL AS DECIMAL(18, 4)), FALSE, 0, 0, 0, 0, 1, pair_change
FROM session_appearances
UNION ALL
SELECT site_id, window_time, CAST(NULL AS STRING), CAST(NULL AS DECIMAL(18, 4)), FALSE, 0, 0, 0, 0, 0, -1
FROM {{ when_parted('session_returns', 'event_time') }};

CREATE TEMPORARY VIEW site_sums AS
SELECT site_id, window_time AS slice_time, {{ slide_number('window_start') }} AS slide_number,
       {{ event_counts() }}, SUM(revenue) AS revenue,
       COUNT(event_type) FILTER (WHERE is_human) AS human_event_count,
       {{ human_event_counts() }}, SUM(revenue) FILTER (WHERE is_human) AS human_revenue,
       SUM(CAST(appearance AS BIGINT)) AS appearances, SUM(CAST(pair_change AS BIGINT)) AS pair_change,
       SUM(CAST(human_appearance AS BIGINT)) AS human_appearances, SUM(CAST(human_pair_change AS BIGINT)) AS human_pair_change,
       SUM(CAST(session_appearance AS BIGINT)) AS session_appearances, SUM(CAST(session_pair_change AS BIGINT)) AS session_pair_change,
       PROCTIME() AS slide_order
FROM TUMBLE(TABLE site_changes, DESCRIPTOR(change_time), {{ slide() }})
GROUP BY site_id, window_start, window_end, window_time;

-- What a slide adds to a window, and below it who bought.
CREATE TEMPORARY VIEW site_slices AS
SELECT site_id, slice_time, slide_number, event_count, view_count, click_count, add_to_cart_count, purchase_count, revenue,
       human_event_count, human_view_count, human_click_count, human_add_to_cart_count, human_purchase_count, human_revenue,
       appearances, SUM(pair_change) OVER so_far AS pairs,
       human_appearances, SUM(human_pair_change) OVER so_far AS human_pairs,
       session_appearances, SUM(session_pair_change) OVER so_far AS session_pairs,
       CAST(NULL AS STRING) AS buyer, FALSE AS is_human_buyer
FROM site_sums
WINDOW so_far AS (PARTITION BY site_id ORDER BY slide_order)
UNION ALL
SELECT site_id, event_time{% for n in range(19) %}, {{ 'CAST(NULL AS DECIMAL(38, 4))' if n in [6, 12] else 'CAST(NULL AS BIGINT)' }}{% endfor %},
       user_id, NOT is_bot
FROM user_events
WHERE event_type = 'purchase';

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
  SELECT site_id, window_start, window_end, SUM(event_count) AS event_count,
         {{ sums_of_counts() }},
         SUM(human_event_count) AS human_event_count,
         {{ sums_of_human_counts() }},
         SUM(revenue) AS revenue, SUM(human_revenue) AS human_revenue,
         COUNT(DISTINCT buyer) AS buyers, COUNT(DISTINCT buyer) FILTER (WHERE is_human_buyer) AS human_buyers,
         SUM(appearances) - {{ newest('pairs') }} AS unique_users,
         SUM(human_appearances) - {{ newest('human_pairs') }} AS human_unique_users,
         SUM(session_appearances) - {{ newest('session_pairs') }} AS active_sessions
  FROM HOP(TABLE site_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, window_start, window_end
)
WHERE event_count > 0{{ and_emitted('view_count') }};

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
