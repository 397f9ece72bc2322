-- What each user did before each event, and whether the user is a labelled bot by then: docs/metrics.md has the rules.
--
-- All of it is a chain of OVERs with the same key, so a row passes through without a detour. `n` counts a user's events, and the
-- times of the last {{ ring }} stand in a ring of as many places, event n in place n modulo {{ ring }}: a LAG for each rule would keep a list
-- each. What all of the last events have in common is asked of numbers: a page has been the same for 12 events if it last
-- changed at event n - 11 or before.
CREATE TEMPORARY VIEW counted_events AS
SELECT *, COUNT(*) OVER history AS n, LAG(page_url) OVER history AS previous_page, LAG(ts) OVER history AS previous_ts
FROM sorted_events
WINDOW history AS (PARTITION BY site_id, user_id ORDER BY sorted_order);

CREATE TEMPORARY VIEW user_history AS
SELECT site_id, event_type, user_id, session_id, page_url, product_id, revenue, is_declared_bot, event_time, ts, sorted_order, n,
       previous_ts,
       -- Of most events no rule asks for the ring: its user has had too few. (RAND() >= 0 is always true and keeps the planner
       -- from making a ring in each place that uses it.)
       CASE WHEN RAND() >= 0 AND (n >= {{ [fast_events, metronome_events, crawl_events] | min }} OR n - last_page_change >= {{ repeated_events - 1 }}) THEN ARRAY[{% for i in range(ring) %}ts_{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}] END AS ring,
       last_page_change, last_other_event{% for i in range(ring) %}, ts_{{ i }}{% endfor %}
FROM (
  SELECT *,
         {% for i in range(ring) -%}
         MAX(CASE WHEN MOD(n, {{ ring }}) = {{ i }} THEN ts END) OVER history AS ts_{{ i }},
         {% endfor -%}
         MAX(CASE WHEN page_url = previous_page THEN 0 ELSE n END) OVER history AS last_page_change,
         MAX(CASE WHEN event_type = 'page_view' THEN 0 ELSE n END) OVER history AS last_other_event
  FROM counted_events
  WINDOW history AS (PARTITION BY site_id, user_id ORDER BY sorted_order)
);

-- The times of the events before this one that a rule asks for, out of the ring.
CREATE TEMPORARY VIEW user_runs AS
SELECT site_id, event_type, user_id, session_id, page_url, product_id, revenue, is_declared_bot, event_time, ts, sorted_order, n,
       previous_ts, last_other_event, last_page_change,
       {{ ts_before(fast_events - 1) }} AS fast_since, CASE WHEN RAND() >= 0 THEN {{ ts_before(metronome_events - 1) }} END AS metronome_since,
       {{ ts_before(repeated_events - 1) }} AS repeated_since, {{ ts_before(crawl_events - 1) }} AS crawl_since
       {%- for i in range(ring) %}, ts_{{ i }}{% endfor %}
FROM user_history;

-- `spread` is how far apart the last {{ metronome_events - 1 }} gaps are: {{ metronome_events - 1 }}·Q − S², Q being the sum of their squares and S their sum.
-- A gap lies between two places of the ring that are next to each other. Where the second place is not the later one, it is the
-- end of the ring; and where events of one time could be told apart only by their number, the gap is none.
CREATE TEMPORARY VIEW user_gaps AS
SELECT site_id, event_type, user_id, session_id, page_url, product_id, revenue, is_declared_bot, event_time, ts, sorted_order, n,
       previous_ts, last_other_event, last_page_change, fast_since, metronome_since, repeated_since, crawl_since,
       CASE WHEN RAND() >= 0 AND ts - metronome_since <= {{ window_ms }} THEN
         {{ metronome_events - 1 }} * ({% for i in range(ring) %}{% set before = 'ts_' ~ (i - 1) % ring %}{% set after = 'ts_' ~ i -%}
           CASE WHEN {{ before }} >= metronome_since AND {{ after }} > {{ before }} THEN ({{ after }} - {{ before }}) * ({{ after }} - {{ before }}) ELSE 0 END
           {%- if not loop.last %} + {% endif %}{% endfor %})
         - (ts - metronome_since) * (ts - metronome_since) END AS spread
FROM user_runs;

-- The first rule that flags the event. (100·spread < S² is written as spread <= (S² − 1) / 100, which 64 bits hold.)
CREATE TEMPORARY VIEW flagged_events AS
SELECT *,
       CASE WHEN is_declared_bot THEN 'declared'
            WHEN ts - fast_since < {{ fast_ms }} THEN 'fast'
            WHEN ts > metronome_since AND spread <= ((ts - metronome_since) * (ts - metronome_since) - 1) / 100 THEN 'metronome'
            WHEN ts - repeated_since < {{ repeated_ms }} AND n - last_page_change >= {{ repeated_events - 1 }} THEN 'repeated'
            WHEN ts - crawl_since <= {{ window_ms }} AND n - last_other_event >= {{ crawl_events }} THEN 'crawl' END AS rule
FROM user_gaps;

CREATE TEMPORARY VIEW labelled_events AS
SELECT *, MAX(CASE WHEN rule IS NOT NULL THEN ts END) OVER (PARTITION BY site_id, user_id ORDER BY sorted_order) AS flagged_at
FROM flagged_events;

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
