-- What each user did before each event, and whether the user is a labelled bot by then: docs/metrics.md has the rules.
--
-- All of it is a chain of OVERs with the same key, so a row passes through without a detour. A rule over the last n events asks
-- for the time of the event n - 1 before; what all of them have in common is asked of numbers: `n` counts a user's events, and
-- a page has been the same for 12 events if it last changed at event n - 11 or before.
CREATE TEMPORARY VIEW user_history AS
SELECT *, COUNT(*) OVER history AS n, LAG(ts) OVER history AS previous_ts, LAG(page_url) OVER history AS previous_page,
       LAG(ts, {{ fast_events - 1 }}) OVER history AS fast_since,
       LAG(ts, {{ metronome_events - 1 }}) OVER history AS metronome_since,
       LAG(ts, {{ repeated_events - 1 }}) OVER history AS repeated_since,
       LAG(ts, {{ crawl_events - 1 }}) OVER history AS crawl_since
FROM sorted_events
WINDOW history AS (PARTITION BY site_id, user_id ORDER BY sorted_order);

-- `squares` adds up the squares of the gaps between events. A gap longer than a window counts as one: none such is among gaps that
-- together take at most a window. (Where the sum leaves 64 bits it begins anew, and its differences are still right.)
CREATE TEMPORARY VIEW user_runs AS
SELECT *,
       SUM(COALESCE(LEAST(ts - previous_ts, {{ window_ms }}) * LEAST(ts - previous_ts, {{ window_ms }}), 0)) OVER history AS squares,
       MAX(CASE WHEN page_url = previous_page THEN 0 ELSE n END) OVER history AS last_page_change,
       MAX(CASE WHEN event_type = 'page_view' THEN 0 ELSE n END) OVER history AS last_other_event
FROM user_history
WINDOW history AS (PARTITION BY site_id, user_id ORDER BY sorted_order);

-- `spread` is how far apart the last {{ metronome_events - 1 }} gaps are: {{ metronome_events - 1 }}·Q − S², Q being the sum of their squares and S their sum.
CREATE TEMPORARY VIEW user_gaps AS
SELECT *,
       {{ metronome_events - 1 }} * (squares - LAG(squares, {{ metronome_events - 1 }}) OVER history)
       - (ts - metronome_since) * (ts - metronome_since) AS spread
FROM user_runs
WINDOW history AS (PARTITION BY site_id, user_id ORDER BY sorted_order);

-- The first rule that flags the event. (100·spread < S² is written as spread <= (S² − 1) / 100, which 64 bits hold.)
CREATE TEMPORARY VIEW flagged_events AS
SELECT *,
       CASE WHEN is_declared_bot THEN 'declared'
            WHEN ts - fast_since < {{ fast_ms }} THEN 'fast'
            WHEN ts - metronome_since <= {{ window_ms }} AND ts > metronome_since
                 AND spread <= ((ts - metronome_since) * (ts - metronome_since) - 1) / 100 THEN 'metronome'
            WHEN ts - repeated_since < {{ repeated_ms }} AND n - last_page_change >= {{ repeated_events - 1 }} THEN 'repeated'
            WHEN ts - crawl_since <= {{ window_ms }} AND n - last_other_event >= {{ crawl_events }} THEN 'crawl' END AS rule
FROM user_gaps;

CREATE TEMPORARY VIEW labelled_events AS
SELECT *, MAX(CASE WHEN rule IS NOT NULL THEN ts END) OVER history AS flagged_at
FROM flagged_events
WINDOW history AS (PARTITION BY site_id, user_id ORDER BY sorted_order);

-- `human_distance` is the distance (see page_metrics.sql) to the user's previous event that counts as human, and -1 for an event
-- that does not. A label lasts a full window: the event before it is out of sight when the label ends.
CREATE TEMPORARY VIEW user_events AS
SELECT site_id, event_type, user_id, session_id, page_url, product_id, revenue, event_time, ts, sorted_order,
       rule, spread, is_bot,
       CASE rule WHEN 'fast' THEN fast_since WHEN 'metronome' THEN metronome_since WHEN 'repeated' THEN repeated_since
                 WHEN 'crawl' THEN crawl_since ELSE ts END AS rule_since,
       distance,
       CASE WHEN is_bot THEN -1
            WHEN previous_ts < flagged_at + {{ window_ms }} THEN {{ slices }} ELSE distance END AS human_distance
FROM (
  SELECT *, COALESCE(ts < flagged_at + {{ window_ms }}, FALSE) AS is_bot, {{ distance_from('previous_ts') }} AS distance
  FROM labelled_events
);
