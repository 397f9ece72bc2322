-- Page metrics: views, clicks, purchases, exact unique users and click-through rate per site, window and page.
--
-- `COUNT(DISTINCT user_id)` in a HOP would be the textbook query (textbook/page_metrics.sql gives the same rows). It
-- keeps one set of users per page and slide and unites {{ slices }} of them at every window end: the larger the window, the
-- longer everybody waits. Here every event instead carries its `distance`: how many slides ago the same user was last
-- seen on the page (at most {{ slices }}, a full window). In a window whose last slice is w, an event of slice s is the
-- user's first exactly when distance >= {{ slices }} - (w - s); so unique users are a plain sum, and closing a window costs no
-- more than for views. w is not known while summing, but w modulo {{ slices }} has only {{ slices }} values: one counter for each,
-- and the window picks its own at the end.
{{ distance_view('page_events', ['site_id', 'page_url', 'user_id'], 'site_id, page_url, event_type') }}

-- First one row per page, slide and distance, for these are few: only they, not every event, go into the many counters.
CREATE TEMPORARY VIEW page_slices AS
SELECT site_id, page_url, distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase,
       {{ event_counts() }}
FROM TUMBLE(TABLE page_events, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, page_url, distance, window_start, window_end, window_time;

CREATE TEMPORARY VIEW page_windows AS
SELECT site_id, window_start, window_end, page_url, view_count, click_count, add_to_cart_count, purchase_count,
       {{ pick('unique_users') }} AS unique_users,
       CASE WHEN view_count > 0 THEN CAST(click_count AS DOUBLE) / view_count END AS click_through_rate
FROM (
  SELECT site_id, window_start, window_end, page_url,
         {{ sums_of_counts() }},
         {{ count_first('unique_users') }}
  FROM HOP(TABLE page_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, page_url, window_start, window_end
)
{{ emit_from }};

CREATE TEMPORARY TABLE page_metrics (
  site_id STRING, window_start STRING, window_end STRING, page_url STRING,
  view_count BIGINT, click_count BIGINT, add_to_cart_count BIGINT, purchase_count BIGINT,
  unique_users BIGINT, click_through_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, page_url) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = '{{ topic_prefix }}page-metrics',
  {{ kafka_sink }},
  'key.format' = 'json', 'value.format' = 'json'
);

INSERT INTO page_metrics
SELECT site_id, {{ rfc3339('window_start') }}, {{ rfc3339('window_end') }}, page_url,
       view_count, click_count, add_to_cart_count, purchase_count, unique_users, click_through_rate
FROM page_windows;
