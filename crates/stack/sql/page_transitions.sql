-- Page transitions: from which page to which, and the share of all departures from the page.
--
-- A session that ended on a page departed from it to nowhere. The OVER adds up the rows of one page and window: they have one time.
CREATE TEMPORARY VIEW departures AS
SELECT site_id, page_1 AS from_page, page_url AS to_page, event_time AS departure_time, {{ slice_of('ts') }} AS slide_number
FROM page_trails
WHERE is_step
UNION ALL
SELECT site_id, exit_page, '', closed_at, {{ slice_of('(session_end + ' ~ (session_gap_ms - 1) ~ ')') }}
FROM closed_sessions;

CREATE TEMPORARY VIEW transition_windows AS
{{ sliding_sum('departures', 'departure_time', 'site_id, from_page, to_page', 'transition_count', '1') }};

CREATE TEMPORARY TABLE page_transitions (
  site_id STRING, window_start STRING, window_end STRING, from_page STRING, to_page STRING,
  transition_count BIGINT, transition_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, from_page, to_page) NOT ENFORCED
) {{ sink('page-transitions', linger_ms=20, batch_bytes=262144) }};

INSERT INTO page_transitions
SELECT site_id, {{ window_bounds() }}, from_page, to_page, transition_count, CAST(transition_count AS DOUBLE) / departures
FROM (
  SELECT *, SUM(transition_count) OVER (PARTITION BY site_id, from_page ORDER BY window_time
                                        RANGE BETWEEN INTERVAL '0' SECOND PRECEDING AND CURRENT ROW) AS departures
  FROM transition_windows
  {{ emit_from('transition_count') }}
)
WHERE to_page <> '';
