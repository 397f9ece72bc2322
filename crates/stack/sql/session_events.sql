-- Events with their session: where it began, and what came before them in it.
--
-- A session id that comes back after {{ session_gap_ms }} ms or more begins a new session. `n` counts the events of the id.
CREATE TEMPORARY VIEW session_history AS
SELECT *,
       COALESCE(ts - previous_ts >= {{ session_gap_ms }}, TRUE) AS is_first,
       COALESCE(ts - previous_ts < {{ session_gap_ms }} AND COALESCE(previous_ts - before_ts >= {{ session_gap_ms }}, TRUE), FALSE) AS is_second
FROM (
  SELECT *, COUNT(*) OVER history AS n, LAG(ts) OVER history AS previous_ts, LAG(ts, 2) OVER history AS before_ts,
         LAG(page_url) OVER history AS previous_page, LAG(event_type) OVER history AS previous_type
  FROM sorted_events
  WINDOW history AS (PARTITION BY site_id, session_id ORDER BY sorted_order)
);

CREATE TEMPORARY VIEW session_events AS
SELECT site_id, session_id, user_id, page_url, event_type, event_time, ts, sorted_order, n, is_first, is_second,
       previous_ts, previous_page, previous_type, {{ distance_from('previous_ts') }} AS distance,
       MAX(CASE WHEN is_first THEN ts END) OVER (PARTITION BY site_id, session_id ORDER BY sorted_order) AS session_start
FROM session_history;
