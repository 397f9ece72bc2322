-- Events with what the same user did on the same page before: the distances that page_metrics.sql explains, and whether the user
-- is new to the page in this minute of the clock.
--
-- One LAG answers for both distances: it keeps twice the time, and one more for an event of a labelled bot.
CREATE TEMPORARY VIEW page_events AS
SELECT site_id, page_url, user_id, session_id, event_type, event_time, ts, distance,
       CASE WHEN is_bot THEN -1 WHEN MOD(previous, 2) = 1 THEN {{ slices }} ELSE distance END AS human_distance,
       CASE WHEN previous_ts / {{ unusual_ms }} = ts / {{ unusual_ms }} THEN 0 ELSE 1 END AS new_page
FROM (
  SELECT *, {{ distance_from('previous_ts') }} AS distance
  FROM (
    SELECT *, previous / 2 AS previous_ts
    FROM (
      SELECT site_id, page_url, user_id, session_id, event_type, event_time, ts, is_bot,
             LAG(ts * 2 + CASE WHEN is_bot THEN 1 ELSE 0 END) OVER (PARTITION BY site_id, page_url, user_id ORDER BY sorted_order) AS previous
      FROM user_events
    )
  )
);
