-- The textbook form of page_metrics.sql: the same rows, shorter to read, slower to fire.
--
-- Every window end unites the sets of users of all its slides, page by page, while everybody waits: with a window of
-- 5 minutes that missed our 500 ms. Kept to learn from, as the check of the other form in the tests, and as what runs
-- with `--unique-users textbook`.
CREATE TEMPORARY VIEW page_windows AS
SELECT site_id, window_start, window_end, page_url, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users,
       CASE WHEN view_count > 0 THEN CAST(click_count AS DOUBLE) / view_count END AS click_through_rate
FROM (
  SELECT site_id, window_start, window_end, page_url,
         COUNT(*) FILTER (WHERE event_type = 'page_view') AS view_count,
         COUNT(*) FILTER (WHERE event_type = 'click') AS click_count,
         COUNT(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart_count,
         COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchase_count,
         COUNT(DISTINCT user_id) AS unique_users
  FROM HOP(TABLE events, DESCRIPTOR(event_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, page_url, window_start, window_end
)
{{ emit_from }};
