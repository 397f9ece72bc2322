-- The textbook form of product_metrics.sql: the same rows, shorter to read, slower to fire.
CREATE TEMPORARY VIEW product_windows AS
SELECT site_id, window_start, window_end, product_id, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users,
       CASE WHEN view_count > 0 THEN CAST(click_count AS DOUBLE) / view_count END AS click_through_rate
FROM (
  SELECT site_id, window_start, window_end, product_id,
         COUNT(*) FILTER (WHERE event_type = 'page_view') AS view_count,
         COUNT(*) FILTER (WHERE event_type = 'click') AS click_count,
         COUNT(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart_count,
         COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchase_count,
         COUNT(DISTINCT user_id) AS unique_users
  FROM HOP(TABLE sorted_events, DESCRIPTOR(event_time), {{ slide() }}, {{ size() }})
  WHERE product_id IS NOT NULL
  GROUP BY site_id, product_id, window_start, window_end
)
{{ emit_from('view_count') }};
