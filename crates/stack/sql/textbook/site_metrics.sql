-- The textbook form of site_metrics.sql: the same rows, shorter to read, slower to fire.
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
  SELECT site_id, window_start, window_end,
         COUNT(*) AS event_count,
         COUNT(*) FILTER (WHERE event_type = 'page_view') AS view_count,
         COUNT(*) FILTER (WHERE event_type = 'click') AS click_count,
         COUNT(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart_count,
         COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchase_count,
         COUNT(DISTINCT user_id) AS unique_users,
         COUNT(DISTINCT session_id) AS active_sessions,
         COUNT(DISTINCT user_id) FILTER (WHERE event_type = 'purchase') AS buyers,
         SUM(revenue) AS revenue,
         COUNT(*) FILTER (WHERE NOT is_bot) AS human_event_count,
         COUNT(*) FILTER (WHERE event_type = 'page_view' AND NOT is_bot) AS human_view_count,
         COUNT(*) FILTER (WHERE event_type = 'click' AND NOT is_bot) AS human_click_count,
         COUNT(*) FILTER (WHERE event_type = 'add_to_cart' AND NOT is_bot) AS human_add_to_cart_count,
         COUNT(*) FILTER (WHERE event_type = 'purchase' AND NOT is_bot) AS human_purchase_count,
         COUNT(DISTINCT user_id) FILTER (WHERE NOT is_bot) AS human_unique_users,
         COUNT(DISTINCT user_id) FILTER (WHERE event_type = 'purchase' AND NOT is_bot) AS human_buyers,
         SUM(revenue) FILTER (WHERE NOT is_bot) AS human_revenue
  FROM HOP(TABLE user_events, DESCRIPTOR(event_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, window_start, window_end
)
{{ emit_from('event_count') }};
