-- Traffic anomalies: slides with far more or far fewer events than the {{ baseline_slides }} before them, on a page or on the whole site.
--
-- A window of {{ baseline_slides + 1 }} slides sums up the counts and their squares; the last slide is one of them and taken off again. Which one
-- that is is not known while summing: `newest` keeps the slide with the greatest number, and its count in the lower 31 bits.
CREATE TEMPORARY VIEW subject_counts AS
SELECT site_id, page_url AS subject, slice_time AS count_time, event_count FROM page_slices WHERE page_url <> site_id
UNION ALL
SELECT site_id, site_id, slice_time, event_count FROM page_slices;

CREATE TEMPORARY VIEW subject_slices AS
SELECT site_id, subject, slice_time, event_count, {{ slice_of(epoch_ms('CAST(slice_time AS TIMESTAMP(3))')) }} AS slice
FROM (
  SELECT site_id, subject, window_time AS slice_time, SUM(event_count) AS event_count
  FROM TUMBLE(TABLE subject_counts, DESCRIPTOR(count_time), {{ slide() }})
  GROUP BY site_id, subject, window_start, window_end, window_time
);

CREATE TEMPORARY VIEW subject_windows AS
SELECT site_id, subject, window_end, window_time, SUM(event_count) AS all_events, SUM(event_count * event_count) AS all_squares,
       MAX(slice * 2147483648 + event_count) AS newest, MIN(slice) AS oldest
FROM HOP(TABLE subject_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ slides(baseline_slides + 1) }})
GROUP BY site_id, subject, window_start, window_end, window_time;

-- The baseline begins with the site's first slide, for a page that had no events then had none indeed.
CREATE TEMPORARY VIEW baselines AS
SELECT site_id, subject, window_end, x, mean,
       GREATEST(SQRT(GREATEST((all_squares - x * x) / CAST(n AS DOUBLE) - mean * mean, 0E0)), SQRT({{ excess_variance }} * mean), 1E0) AS deviation
FROM (
  SELECT *, (all_events - x) / CAST(n AS DOUBLE) AS mean
  FROM (
    SELECT *, CASE WHEN newest / 2147483648 = last_slice THEN MOD(newest, 2147483648) ELSE 0 END AS x, last_slice - first_slice AS n
    FROM (
      SELECT *, {{ slice_of(epoch_ms('window_end')) }} - 1 AS last_slice,
             MIN(oldest) OVER (PARTITION BY site_id ORDER BY window_time RANGE BETWEEN INTERVAL '0' SECOND PRECEDING AND CURRENT ROW) AS first_slice
      FROM subject_windows
    )
  )
  WHERE n >= {{ baseline_min_slides }}
);

CREATE TEMPORARY VIEW traffic_anomalies AS
SELECT site_id, CASE WHEN z > 0 THEN 'traffic_spike' ELSE 'traffic_drop' END AS kind, 'z_score' AS rule, subject,
       {{ rfc3339('window_end') }} AS detected_at, {{ rfc3339_of(epoch_ms('window_end') ~ ' - ' ~ slide_ms) }} AS window_start, {{ rfc3339('window_end') }} AS window_end,
       CAST(x AS DOUBLE) AS observed, mean AS expected, z AS score,
       CAST(x AS STRING) || ' events in {{ slide_s }} s, usually ' || {{ rounded('mean') }} || U&' \00B1 ' || {{ rounded('deviation') }} AS reason
FROM (SELECT *, (x - mean) / deviation AS z FROM baselines)
WHERE (z >= {{ spike_z }} AND x >= {{ spike_ratio }} * mean AND x >= {{ spike_events }} OR z <= -{{ drop_z }} AND x <= {{ drop_ratio }} * mean)
  AND {{ is_emitted(epoch_ms('window_end')) }};
