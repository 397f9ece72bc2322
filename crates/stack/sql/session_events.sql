-- Events with their session: where it began, and the page views in it so far.
--
-- A session id that comes back after {{ session_gap_ms }} ms or more begins a new session. `n` counts the events of the id, and `view_number` its page
-- views; of these the last four stand in a ring of four places, view number v in place v modulo 4.
CREATE TEMPORARY VIEW session_history AS
SELECT *, COALESCE(ts - previous_ts >= {{ session_gap_ms }}, TRUE) AS is_first
FROM (
  SELECT *, COUNT(*) OVER history AS n, LAG(ts) OVER history AS previous_ts,
         SUM(CASE WHEN event_type = 'page_view' THEN 1 ELSE 0 END) OVER history AS view_number
  FROM sorted_events
  WINDOW history AS (PARTITION BY site_id, session_id ORDER BY sorted_order)
);

-- The beginning, and whether it was a page view, are one number.
CREATE TEMPORARY VIEW session_events AS
SELECT site_id, session_id, user_id, page_url, event_type, event_time, ts, n, view_number, is_first, {{ distance_from('previous_ts') }} AS distance,
       begun / 2 AS session_start, MOD(begun, 2) = 1 AS began_with_view, entry_page, n = first_n + 1 AS is_second,
       ts_0, ts_1, ts_2, ts_3, page_0, page_1, page_2, page_3
FROM (
  SELECT *,
         MAX(CASE WHEN is_first THEN ts * 2 + CASE WHEN event_type = 'page_view' THEN 1 ELSE 0 END END) OVER history AS begun,
         MAX(CASE WHEN is_first THEN n END) OVER history AS first_n,
         {% for i in range(4) -%}
         MAX(CASE WHEN event_type = 'page_view' AND MOD(view_number, 4) = {{ i }} THEN ts END) OVER history AS ts_{{ i }},
         LAST_VALUE(CASE WHEN event_type = 'page_view' AND MOD(view_number, 4) = {{ i }} THEN page_url END) OVER history AS page_{{ i }},
         {% endfor -%}
         LAST_VALUE(CASE WHEN is_first THEN page_url END) OVER history AS entry_page
  FROM session_history
  WINDOW history AS (PARTITION BY site_id, session_id ORDER BY sorted_order)
);
