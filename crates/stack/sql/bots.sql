-- Bots: a flag that finds its user unlabelled is an anomaly. user_events.sql has the rules.
CREATE TEMPORARY VIEW bots AS
SELECT site_id, 'bot' AS kind, rule, user_id AS subject,
       {{ rfc3339_of('ts') }} AS detected_at, {{ rfc3339_of('rule_since') }} AS window_start, {{ rfc3339_of('ts') }} AS window_end,
       observed, expected,
       CASE rule WHEN 'declared' THEN 1E0 WHEN 'metronome' THEN 0.1E0 / GREATEST(observed, 0.001E0) ELSE observed / expected END AS score,
       CASE rule WHEN 'declared' THEN 'its user agent names a bot'
                 WHEN 'fast' THEN '{{ fast_events }} events in ' || CAST(span AS STRING) || ' ms'
                 WHEN 'metronome' THEN '{{ metronome_events }} events evenly ' || {{ rounded('CAST(span AS DOUBLE) / ' ~ (metronome_events - 1)) }} || ' ms apart'
                 WHEN 'repeated' THEN '{{ repeated_events }} events on one page in ' || CAST(span AS STRING) || ' ms'
                 WHEN 'crawl' THEN '{{ crawl_events }} page views in a row and nothing else in ' || {{ rounded('span / 1E3') }} || ' s' END AS reason
FROM (
  SELECT *,
         CASE rule WHEN 'declared' THEN 1E0 WHEN 'fast' THEN {{ fast_events }}E0 WHEN 'metronome' THEN SQRT(CAST(GREATEST(spread, 0) AS DOUBLE)) / span
                   WHEN 'repeated' THEN {{ repeated_events }}E0 WHEN 'crawl' THEN {{ crawl_events }}E0 END AS observed,
         CASE rule WHEN 'declared' THEN 0E0 WHEN 'fast' THEN {{ fast_events }}E0 * span / {{ fast_ms }} WHEN 'metronome' THEN 0.1E0
                   WHEN 'repeated' THEN {{ repeated_events }}E0 * span / {{ repeated_ms }} WHEN 'crawl' THEN {{ crawl_events }}E0 * span / {{ window_ms }} END AS expected
  FROM (
    SELECT *, GREATEST(ts - rule_since, 1) AS span, LAG(ts) OVER (PARTITION BY site_id, user_id ORDER BY sorted_order) AS last_flag
    FROM user_events
    WHERE rule IS NOT NULL
  )
  WHERE (ts < last_flag + {{ window_ms }}) IS NOT TRUE AND {{ is_emitted('ts') }}
);
