-- Events of products with what the same user did with the product before: the distance (see page_metrics.sql), and when and in
-- which session the product was last viewed. (LAST_VALUE passes over what is NULL.)
CREATE TEMPORARY VIEW product_events AS
SELECT site_id, product_id, user_id, event_type, event_time, ts, {{ distance_from('previous_ts') }} AS distance,
       event_type = 'purchase' AND (session_id = view_session AND ts - view_ts < {{ window_ms }}) IS NOT TRUE AS is_unviewed_purchase
FROM (
  SELECT *, LAG(ts) OVER history AS previous_ts,
         MAX(CASE WHEN event_type = 'page_view' THEN ts END) OVER history AS view_ts,
         LAST_VALUE(CASE WHEN event_type = 'page_view' THEN session_id END) OVER history AS view_session
  FROM sorted_events
  WHERE product_id IS NOT NULL
  WINDOW history AS (PARTITION BY site_id, product_id, user_id ORDER BY sorted_order)
);
