-- Entry and exit pages: where the sessions that closed within the window began and ended.
--
-- Every session has one entry, so the entries of all pages are the sessions. The OVER adds up the rows of one window: they have one
-- time.
CREATE TEMPORARY TABLE entry_exit_pages (
  site_id STRING, window_start STRING, window_end STRING, page_url STRING,
  entries BIGINT, exits BIGINT, sessions BIGINT, entry_rate DOUBLE, exit_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, page_url) NOT ENFORCED
) {{ sink('entry-exit-pages') }};

INSERT INTO entry_exit_pages
SELECT site_id, {{ window_bounds() }}, page_url, entries, exits, sessions, {{ ratio('entries', 'sessions') }}, {{ ratio('exits', 'sessions') }}
FROM (
  SELECT *, SUM(entries) OVER (PARTITION BY site_id ORDER BY window_time RANGE BETWEEN INTERVAL '0' SECOND PRECEDING AND CURRENT ROW) AS sessions
  FROM session_end_windows
)
{{ emit_from('entries') }};
