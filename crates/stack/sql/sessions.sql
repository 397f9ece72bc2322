-- Sessions, each written once when it has closed.
--
-- A session is told by its id and its beginning, so what follows after exactly the gap is another one (Flink would let two windows
-- that touch be one). Its window ends with its last event plus the gap, and that is the row's event time from here on.
CREATE TEMPORARY VIEW visits AS
SELECT site_id || U&'\0001' || session_id || U&'\0001' || CAST(session_start AS STRING) AS visit,
       event_type, event_time, ts, page_url, session_start,
       CASE WHEN is_first THEN user_id END AS first_user, CASE WHEN is_first THEN page_url END AS first_page,
       -- the greatest of these texts is the last event's
       CAST(1000000000 + n AS STRING) || page_url AS numbered_page
FROM session_events;

CREATE TEMPORARY VIEW closed_sessions AS
SELECT SPLIT_INDEX(visit, U&'\0001', 0) AS site_id, SPLIT_INDEX(visit, U&'\0001', 1) AS session_id, user_id,
       session_start, session_end, session_end - session_start AS duration_ms,
       event_count, view_count, click_count, add_to_cart_count, purchase_count, distinct_pages,
       entry_page, SUBSTRING(last_page FROM 11) AS exit_page, event_count = 1 AND view_count = 1 AS bounced, closed_at
FROM (
  SELECT visit, window_time AS closed_at, MAX(first_user) AS user_id, MIN(session_start) AS session_start, MAX(ts) AS session_end,
         {{ event_counts() }},
         COUNT(DISTINCT page_url) AS distinct_pages, MAX(first_page) AS entry_page, MAX(numbered_page) AS last_page
  FROM SESSION(TABLE visits PARTITION BY visit, DESCRIPTOR(event_time), {{ session_gap() }})
  GROUP BY visit, window_start, window_end, window_time
)
{% if sessions_from_ms is not none -%}
-- of a session that was under way when reading began, the beginning is not known
WHERE session_start >= {{ sessions_from_ms }}
{%- endif %};

CREATE TEMPORARY TABLE sessions (
  site_id STRING, session_id STRING, user_id STRING, session_start STRING, session_end STRING, duration_ms BIGINT,
  event_count BIGINT, page_view_count BIGINT, click_count BIGINT, add_to_cart_count BIGINT, purchase_count BIGINT,
  distinct_pages BIGINT, entry_page STRING, exit_page STRING, bounced BOOLEAN, engagement_score DOUBLE,
  PRIMARY KEY (site_id, session_id, session_start) NOT ENFORCED
) {{ sink('sessions', linger_ms=20) }};

INSERT INTO sessions
SELECT site_id, session_id, user_id, {{ rfc3339_of('session_start') }}, {{ rfc3339_of('session_end') }}, duration_ms,
       event_count, view_count, click_count, add_to_cart_count, purchase_count, distinct_pages, entry_page, exit_page, bounced,
       100 * (1 - EXP(-(view_count + 2 * click_count + 5 * add_to_cart_count + 10 * purchase_count + duration_ms / 1E4) / 20))
FROM closed_sessions
WHERE {{ is_emitted('session_end + ' ~ (session_gap_ms - 1)) }};
