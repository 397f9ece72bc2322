-- Page metrics: views, clicks, purchases, exact unique users and click-through rate per site, window and page.
--
-- `COUNT(DISTINCT user_id)` in a HOP would be the textbook query (textbook/page_metrics.sql gives the same rows). It
-- keeps one set of users per page and slide and unites {{ slices }} of them at every window end: the larger the window, the
-- longer everybody waits. Here only numbers are added up.
--
-- A user's first event on a page in a slide is an appearance (`distance` says how many slides ago the one before it was). A window
-- with k appearances of a user holds k - 1 pairs of one appearance and the next. So its unique users are all appearances less all
-- pairs in it. Appearances are a plain sum. A pair is in the windows from the slide of its second appearance on, until a
-- window begins after its first: it counts +1 in the one slide and -1 in the other, and pairs are the running total of that.
CREATE TEMPORARY VIEW page_returns AS
SELECT site_id, page_url, event_time, human_distance = distance AS is_human, {{ slice_of('ts') }} - distance AS previous_slide
FROM page_events
WHERE distance > 0 AND distance < {{ slices }};

CREATE TEMPORARY VIEW page_changes AS
SELECT site_id, page_url, event_time AS change_time, event_type, ts, human_distance >= 0 AS is_human,
       {{ is_appearance('distance') }} AS appearance, {{ is_pair('distance') }} AS pair_change,
       {{ is_appearance('human_distance') }} AS human_appearance, {{ is_pair('human_distance') }} AS human_pair_change
FROM page_events
UNION ALL
SELECT site_id, page_url, window_time, CAST(NULL AS STRING), CAST(0 AS BIGINT), FALSE, 0, -1, 0, CASE WHEN is_human THEN -1 ELSE 0 END
FROM {{ when_parted('page_returns', 'event_time') }};

CREATE TEMPORARY VIEW page_sums AS
SELECT site_id, page_url, window_time AS slice_time, {{ slide_number('window_start') }} AS slide_number,
       {{ event_counts() }}{{ recent_half_of_views }},
       {{ human_event_counts() }},
       SUM(CAST(appearance AS BIGINT)) AS appearances, SUM(CAST(pair_change AS BIGINT)) AS pair_change,
       SUM(CAST(human_appearance AS BIGINT)) AS human_appearances, SUM(CAST(human_pair_change AS BIGINT)) AS human_pair_change,
       PROCTIME() AS slide_order
FROM TUMBLE(TABLE page_changes, DESCRIPTOR(change_time), {{ slide() }})
GROUP BY site_id, page_url, window_start, window_end, window_time;

CREATE TEMPORARY VIEW page_totals AS
SELECT *, SUM(pair_change) OVER so_far AS pairs, SUM(human_pair_change) OVER so_far AS human_pairs
FROM page_sums
WINDOW so_far AS (PARTITION BY site_id, page_url ORDER BY slide_order);

-- A slide in which pairs part has a row, whether it has events or not.
CREATE TEMPORARY VIEW page_slices AS
SELECT * FROM page_totals WHERE event_count > 0;

CREATE TEMPORARY VIEW page_windows AS
SELECT site_id, window_start, window_end, window_time, page_url, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users,
       {{ ratio('click_count', 'view_count') }} AS click_through_rate,
       human_view_count, human_click_count, human_add_to_cart_count, human_purchase_count,
       human_unique_users,
       {{ ratio('human_click_count', 'human_view_count') }} AS human_click_through_rate
FROM (
  SELECT site_id, window_start, window_end, window_time, page_url, SUM(event_count) AS event_count,
         {{ sums_of_counts() }},
         {{ sums_of_human_counts() }},
         SUM(appearances) - {{ newest('pairs') }} AS unique_users,
         SUM(human_appearances) - {{ newest('human_pairs') }} AS human_unique_users
  FROM HOP(TABLE page_totals, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, page_url, window_start, window_end, window_time
)
WHERE event_count > 0{{ and_emitted('view_count') }};

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
