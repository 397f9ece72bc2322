-- Provisional bounce rates: of the sessions that began within the window, as things stand at its end.
--
-- A session that begins with a page view is undecided until its second event, or until it closes as a bounce. What happens to it
-- later is counted in the window in which it happens, but only if the window still holds the session's beginning. `distance` is the
-- number of slides since then: in the windows that end so many slides or fewer before the event leaves them, it does not
-- count. These are the windows that count_first counts (see page_metrics.sql); so they are taken off.
CREATE TEMPORARY VIEW session_news AS
SELECT site_id, page_url, event_time AS news_time, CAST(0 AS BIGINT) AS distance,
       1 AS entry, CASE WHEN event_type = 'page_view' THEN 1 ELSE 0 END AS begun, 0 AS decided, 0 AS bounce
FROM session_events
WHERE is_first
UNION ALL
SELECT site_id, entry_page, event_time, {{ distance_from('session_start') }}, 0, 0, 1, 0
FROM session_events
WHERE is_second AND began_with_view
UNION ALL
SELECT site_id, entry_page, closed_at, LEAST({{ slice_of('(session_end + ' ~ (session_gap_ms - 1) ~ ')') }} - {{ slice_of('session_start') }}, {{ slices }}), 0, 0, 1, 1
FROM closed_sessions
WHERE bounced;

CREATE TEMPORARY VIEW session_news_slices AS
SELECT site_id, page_url, distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase,
       SUM(CAST(entry AS BIGINT)) AS entries, SUM(CAST(begun AS BIGINT)) AS begun, SUM(CAST(decided AS BIGINT)) AS decided,
       SUM(CAST(bounce AS BIGINT)) AS bounces
FROM TUMBLE(TABLE session_news, DESCRIPTOR(news_time), {{ slide() }})
GROUP BY site_id, page_url, distance, window_start, window_end, window_time;

CREATE TEMPORARY TABLE provisional_bounce_rates (
  site_id STRING, window_start STRING, window_end STRING, page_url STRING,
  entries BIGINT, bounces BIGINT, undecided BIGINT, provisional_bounce_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, page_url) NOT ENFORCED
) {{ sink('provisional-bounce-rates') }};

INSERT INTO provisional_bounce_rates
SELECT site_id, {{ window_bounds() }}, page_url, entries, bounces, undecided,
       CASE WHEN entries > undecided THEN CAST(bounces AS DOUBLE) / (entries - undecided) END
FROM (
  SELECT site_id, window_start, window_end, page_url, entries,
         bounces - {{ first_of('gone') }} AS bounces, begun - (decided - {{ second_of('gone') }}) AS undecided
  FROM (
    SELECT *, {{ pick('gone') }} AS gone
    FROM (
      SELECT site_id, window_start, window_end, page_url,
             SUM(entries) AS entries, SUM(begun) AS begun, SUM(decided) AS decided, SUM(bounces) AS bounces,
             {{ count_first('gone', weight='bounces + ' ~ in_second('decided')) }}
      FROM HOP(TABLE session_news_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
      GROUP BY site_id, page_url, window_start, window_end
    )
  )
  {{ emit_from('entries') }}
)
WHERE entries > 0;
