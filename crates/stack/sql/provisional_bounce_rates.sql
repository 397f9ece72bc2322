-- Provisional bounce rates: of the sessions that began within the window, as things stand at its end.
--
-- A session that begins with a page view is undecided until its second event, or until it closes as a bounce. What happens to it
-- later counts only as long as the window still holds its beginning: beginning and decision are a pair, as two appearances are in
-- page_metrics.sql. Where both are in one slide, all windows that hold one hold the other, and the decision is a plain sum.
CREATE TEMPORARY VIEW session_decisions AS
SELECT site_id, page_url, decision_time, previous_slide, bounce, decision_slide > previous_slide AS is_pair
FROM (
  SELECT site_id, entry_page AS page_url, event_time AS decision_time, {{ slice_of('session_start') }} AS previous_slide,
         {{ slice_of('ts') }} AS decision_slide, 0 AS bounce
  FROM session_events
  WHERE is_second AND began_with_view
  UNION ALL
  SELECT site_id, entry_page, closed_at, {{ slice_of('session_start') }}, {{ slice_of('(session_end + ' ~ (session_gap_ms - 1) ~ ')') }}, 1
  FROM closed_sessions
  WHERE bounced
)
WHERE decision_slide - previous_slide < {{ slices }};

CREATE TEMPORARY VIEW entry_pairs AS
SELECT site_id, page_url, decision_time, previous_slide, bounce FROM session_decisions WHERE is_pair;

CREATE TEMPORARY VIEW session_news AS
SELECT site_id, page_url, event_time AS news_time, 1 AS entry, CASE WHEN event_type = 'page_view' THEN 1 ELSE 0 END AS begun,
       0 AS decided, 0 AS bounced, 0 AS decision_change, 0 AS bounce_change
FROM session_events
WHERE is_first
UNION ALL
SELECT site_id, page_url, decision_time, 0, 0, CASE WHEN is_pair THEN 0 ELSE 1 END, CASE WHEN is_pair THEN 0 ELSE bounce END,
       CASE WHEN is_pair THEN 1 ELSE 0 END, CASE WHEN is_pair THEN bounce ELSE 0 END
FROM session_decisions
UNION ALL
SELECT site_id, page_url, window_time, 0, 0, 0, 0, -1, -bounce
FROM {{ when_parted('entry_pairs', 'decision_time') }};

CREATE TEMPORARY VIEW session_news_sums AS
SELECT site_id, page_url, window_time AS slice_time, {{ slide_number('window_start') }} AS slide_number,
       SUM(CAST(entry AS BIGINT)) AS entries, SUM(CAST(begun AS BIGINT)) AS begun, SUM(CAST(decided AS BIGINT)) AS decided,
       SUM(CAST(bounced AS BIGINT)) AS bounces, SUM(CAST(decision_change AS BIGINT)) AS decision_change,
       SUM(CAST(bounce_change AS BIGINT)) AS bounce_change, PROCTIME() AS slide_order
FROM TUMBLE(TABLE session_news, DESCRIPTOR(news_time), {{ slide() }})
GROUP BY site_id, page_url, window_start, window_end, window_time;

CREATE TEMPORARY VIEW session_news_totals AS
SELECT site_id, page_url, slice_time, slide_number, entries, begun, decided, bounces,
       SUM(decision_change) OVER so_far AS decision_pairs, SUM(bounce_change) OVER so_far AS bounce_pairs
FROM session_news_sums
WINDOW so_far AS (PARTITION BY site_id, page_url ORDER BY slide_order);

CREATE TEMPORARY TABLE provisional_bounce_rates (
  site_id STRING, window_start STRING, window_end STRING, page_url STRING,
  entries BIGINT, bounces BIGINT, undecided BIGINT, provisional_bounce_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, page_url) NOT ENFORCED
) {{ sink('provisional-bounce-rates') }};

INSERT INTO provisional_bounce_rates
SELECT site_id, {{ window_bounds() }}, page_url, entries, bounces, undecided,
       CASE WHEN entries > undecided THEN CAST(bounces AS DOUBLE) / (entries - undecided) END
FROM (
  SELECT site_id, window_start, window_end, page_url, SUM(entries) AS entries,
         SUM(bounces) + {{ newest('bounce_pairs') }} AS bounces,
         SUM(begun) - SUM(decided) - {{ newest('decision_pairs') }} AS undecided
  FROM HOP(TABLE session_news_totals, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, page_url, window_start, window_end
)
WHERE entries > 0{{ and_emitted('bounces') }};
