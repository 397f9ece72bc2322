-- Page views with the three page views of the session before them, as far as each was followed within the session gap.
CREATE TEMPORARY VIEW page_trails AS
SELECT site_id, event_time, page_url, page_1, page_2, page_3, stay_ms,
       page_url <> page_1 AND stay_ms < {{ session_gap_ms }} AS is_step,
       page_1 <> page_2 AND ts_1 - ts_2 < {{ session_gap_ms }} AS was_step,
       page_2 <> page_3 AND ts_2 - ts_3 < {{ session_gap_ms }} AS had_been_step
FROM (
  SELECT *, ts - ts_1 AS stay_ms
  FROM (
    SELECT *, LAG(page_url) OVER history AS page_1, LAG(page_url, 2) OVER history AS page_2, LAG(page_url, 3) OVER history AS page_3,
           LAG(ts) OVER history AS ts_1, LAG(ts, 2) OVER history AS ts_2, LAG(ts, 3) OVER history AS ts_3
    FROM session_events
    WHERE event_type = 'page_view'
    WINDOW history AS (PARTITION BY site_id, session_id ORDER BY sorted_order)
  )
);
