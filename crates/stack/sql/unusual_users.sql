-- Unusual users: what a user does in a minute of the clock and people do not. The first rule that holds names the anomaly.
--
-- Different pages are counted by the first event on each: page_events.sql knows it.
CREATE TEMPORARY VIEW user_steps AS
SELECT site_id, user_id, session_id, event_time AS step_time, new_page, 0 AS unviewed_purchase
FROM page_events
UNION ALL
SELECT site_id, user_id, CAST(NULL AS STRING), event_time, 0, 1
FROM product_events
WHERE is_unviewed_purchase;

CREATE TEMPORARY VIEW unusual_users AS
SELECT site_id, 'unusual_user' AS kind, rule, user_id AS subject,
       {{ rfc3339('window_end') }} AS detected_at, {{ rfc3339('window_start') }} AS window_start, {{ rfc3339('window_end') }} AS window_end,
       CAST(observed AS DOUBLE) AS observed, expected, CASE WHEN expected > 0 THEN observed / expected ELSE CAST(observed AS DOUBLE) END AS score,
       CAST(observed AS STRING) || CASE rule WHEN 'purchase' THEN U&' \00D7 a purchase of a product not viewed before'
                                             WHEN 'pages' THEN ' different pages in a minute' ELSE ' sessions at the same time' END AS reason
FROM (
  SELECT *,
         CASE rule WHEN 'purchase' THEN purchases WHEN 'pages' THEN pages ELSE sessions END AS observed,
         CASE rule WHEN 'purchase' THEN 0E0 WHEN 'pages' THEN {{ unusual_pages }}E0 ELSE {{ unusual_sessions - 1 }}E0 END AS expected
  FROM (
    SELECT *, CASE WHEN purchases > 0 THEN 'purchase' WHEN pages > {{ unusual_pages }} THEN 'pages' WHEN sessions >= {{ unusual_sessions }} THEN 'sessions' END AS rule
    FROM (
      SELECT site_id, user_id, window_start, window_end, SUM(CAST(unviewed_purchase AS BIGINT)) AS purchases, SUM(CAST(new_page AS BIGINT)) AS pages,
             COUNT(DISTINCT session_id) AS sessions
      FROM TUMBLE(TABLE user_steps, DESCRIPTOR(step_time), INTERVAL '{{ unusual_ms // 1000 }}' SECOND(6))
      GROUP BY site_id, user_id, window_start, window_end
    )
  )
  WHERE rule IS NOT NULL AND {{ is_emitted(epoch_ms('window_end'), 'sessions') }}
);
