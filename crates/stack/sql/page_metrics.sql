-- Page metrics: views, clicks, purchases, exact unique users and click-through rate per site, window and page.
--
-- `COUNT(DISTINCT user_id)` in a HOP would be the textbook query (textbook/page_metrics.sql gives the same rows). It
-- keeps one set of users per page and slide and unites {{ slices }} of them at every window end: the larger the window, the
-- longer everybody waits. Here every event instead carries its `distance`: how many slides ago the same user was last
-- seen on the page (at most {{ slices }}, a full window). In a window whose last slice is w, an event of slice s is the
-- user's first exactly when distance >= {{ slices }} - (w - s); so unique users are a plain sum, and closing a window costs no
-- more than for views. w is not known while summing, but w modulo {{ slices }} has only {{ slices }} values: one counter for each,
-- and the window picks its own at the end.
-- First one row per page, slide and distance, for these are few: only they, not every event, go into the many counters.
CREATE TEMPORARY VIEW page_slices AS
SELECT site_id, page_url, distance, human_distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase,
       {{ event_counts() }}{{ recent_half_of_views }}
FROM TUMBLE(TABLE page_events, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, page_url, distance, human_distance, window_start, window_end, window_time;

-- The human_ metrics have a distance of their own (see user_events.sql), nearly always the same; then an event counts for both in
-- one number. Where it is another, a row of its own counts for the human users alone.
CREATE TEMPORARY VIEW page_counts AS
SELECT site_id, page_url, slice_time, phase, distance, human_distance, {{ in_both('event_count', 'human_distance = distance') }} AS weight,
       view_count, click_count, add_to_cart_count, purchase_count
FROM page_slices
UNION ALL
SELECT site_id, page_url, slice_time, phase, human_distance, CAST(-1 AS BIGINT), {{ in_second('event_count') }},
       CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT)
FROM page_slices
WHERE human_distance >= 0 AND human_distance <> distance;

CREATE TEMPORARY VIEW page_windows AS
SELECT site_id, window_start, window_end, window_time, page_url, view_count, click_count, add_to_cart_count, purchase_count,
       {{ first_of('two_counts') }} AS unique_users,
       {{ ratio('click_count', 'view_count') }} AS click_through_rate,
       human_view_count, human_click_count, human_add_to_cart_count, human_purchase_count,
       {{ second_of('two_counts') }} AS human_unique_users,
       {{ ratio('human_click_count', 'human_view_count') }} AS human_click_through_rate
FROM (
  SELECT *, {{ pick('users') }} AS two_counts
  FROM (
    SELECT site_id, window_start, window_end, window_time, page_url,
           {{ sums_of_counts() }},
           {{ human_sums(['view_count', 'click_count', 'add_to_cart_count', 'purchase_count']) }},
           {{ count_first('users') }}
    FROM HOP(TABLE page_counts, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
    GROUP BY site_id, page_url, window_start, window_end, window_time
  )
)
{{ emit_from('view_count') }};

CREATE TEMPORARY TABLE page_metrics (
  site_id STRING, window_start STRING, window_end STRING, page_url STRING,
  view_count BIGINT, click_count BIGINT, add_to_cart_count BIGINT, purchase_count BIGINT,
  unique_users BIGINT, click_through_rate DOUBLE,
  human_view_count BIGINT, human_click_count BIGINT, human_add_to_cart_count BIGINT, human_purchase_count BIGINT,
  human_unique_users BIGINT, human_click_through_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, page_url) NOT ENFORCED
) {{ sink('page-metrics') }};

INSERT INTO page_metrics
SELECT site_id, {{ window_bounds() }}, page_url,
       view_count, click_count, add_to_cart_count, purchase_count, unique_users, click_through_rate,
       human_view_count, human_click_count, human_add_to_cart_count, human_purchase_count, human_unique_users, human_click_through_rate
FROM page_windows;
