-- Events with what the same user did on the same page before: the distances that page_metrics.sql explains, and whether the user
-- is new to the page in this minute of the clock.
--
-- One LAG answers for both distances: of a labelled bot's event it keeps the time as a negative number.
CREATE TEMPORARY VIEW page_events AS
SELECT site_id, page_url, user_id, session_id, event_type, event_time, ts, distance,
       CASE WHEN is_bot THEN -1 WHEN last_ts < 0 THEN {{ slices }} ELSE distance END AS human_distance,
       CASE WHEN previous_ts / {{ unusual_ms }} = ts / {{ unusual_ms }} THEN 0 ELSE 1 END AS new_page
FROM (
  SELECT *, {{ distance_from('previous_ts') }} AS distance
  FROM (
    SELECT site_id, page_url, user_id, session_id, event_type, event_time, ts, is_bot, last_ts,
           CASE WHEN last_ts < 0 THEN -1 - last_ts ELSE last_ts END AS previous_ts
    FROM (
      SELECT *, LAG(CASE WHEN is_bot THEN -1 - ts ELSE ts END) OVER (PARTITION BY site_id, page_url, user_id ORDER BY sorted_order) AS last_ts
      FROM user_events
    )
  )
);
