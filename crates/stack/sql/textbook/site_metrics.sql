-- The textbook form of site_metrics.sql: the same rows, shorter to read, slower to fire.
CREATE TEMPORARY VIEW site_windows AS
SELECT site_id, window_start, window_end, event_count, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users, active_sessions,
       CASE WHEN view_count > 0 THEN CAST(click_count AS DOUBLE) / view_count END AS click_through_rate,
       CASE WHEN unique_users > 0 THEN CAST(buyers AS DOUBLE) / unique_users END AS conversion_rate,
       COALESCE(revenue, 0) AS revenue
FROM (
  SELECT site_id, window_start, window_end,
         COUNT(*) AS event_count,
         COUNT(*) FILTER (WHERE event_type = 'page_view') AS view_count,
         COUNT(*) FILTER (WHERE event_type = 'click') AS click_count,
         COUNT(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart_count,
         COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchase_count,
         COUNT(DISTINCT user_id) AS unique_users,
         COUNT(DISTINCT session_id) AS active_sessions,
         COUNT(DISTINCT user_id) FILTER (WHERE event_type = 'purchase') AS buyers,
         SUM(revenue) AS revenue
  FROM HOP(TABLE events, DESCRIPTOR(event_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, window_start, window_end
)
{{ emit_from }};
