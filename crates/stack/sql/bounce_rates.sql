-- Bounce rates: of the sessions that entered at a page and closed within the window, the share that saw nothing else.
--
-- Where sessions began and where they ended is counted together, for entry_exit_pages.sql asks for the same windows.
CREATE TEMPORARY VIEW session_ends AS
SELECT site_id, entry_page AS page_url, closed_at, 1 AS entry, CASE WHEN bounced THEN 1 ELSE 0 END AS bounce, 0 AS `exit`
FROM closed_sessions
UNION ALL
SELECT site_id, exit_page, closed_at, 0, 0, 1
FROM closed_sessions;

CREATE TEMPORARY VIEW session_end_windows AS
SELECT site_id, page_url, window_start, window_end, window_time,
       SUM(CAST(entry AS BIGINT)) AS entries, SUM(CAST(bounce AS BIGINT)) AS bounces, SUM(CAST(`exit` AS BIGINT)) AS exits
FROM HOP(TABLE session_ends, DESCRIPTOR(closed_at), {{ slide() }}, {{ size() }})
GROUP BY site_id, page_url, window_start, window_end, window_time;

CREATE TEMPORARY TABLE bounce_rates (
  site_id STRING, window_start STRING, window_end STRING, page_url STRING, entries BIGINT, bounces BIGINT, bounce_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, page_url) NOT ENFORCED
) {{ sink('bounce-rates') }};

INSERT INTO bounce_rates
SELECT site_id, {{ window_bounds() }}, page_url, entries, bounces, {{ ratio('bounces', 'entries') }}
FROM (SELECT * FROM session_end_windows {{ emit_from('entries') }})
WHERE entries > 0;
