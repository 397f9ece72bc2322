-- Page engagement: how long people stayed on a page.
--
-- A median of all stays would have to keep them. Instead each falls into one of {{ stay_bounds | length }} classes, and the counters say how many
-- stays are not longer than the bound of a class: the median is that of the first class that holds half of them. Two counters share a
-- number, one of them above 32 bits.
CREATE TEMPORARY VIEW stays AS
SELECT site_id, page_1 AS page_url, stay_ms, event_time,
       CASE {% for bound in stay_bounds %}WHEN stay_ms <= {{ bound }} THEN {{ loop.index0 }} {% endfor %}END AS stay_class
FROM page_trails
WHERE stay_ms < {{ session_gap_ms }};

CREATE TEMPORARY VIEW stay_slices AS
SELECT site_id, page_url, stay_class, window_time AS slice_time, COUNT(*) AS stay_count, SUM(stay_ms) AS stay_ms
FROM TUMBLE(TABLE stays, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, page_url, stay_class, window_start, window_end, window_time;

CREATE TEMPORARY TABLE page_engagement (
  site_id STRING, window_start STRING, window_end STRING, page_url STRING,
  stay_count BIGINT, mean_stay_ms DOUBLE, median_stay_ms BIGINT,
  PRIMARY KEY (site_id, window_end, page_url) NOT ENFORCED
) {{ sink('page-engagement') }};

INSERT INTO page_engagement
SELECT site_id, {{ window_bounds() }}, page_url, stay_count, CAST(stay_ms AS DOUBLE) / stay_count,
       CASE {% for bound in stay_bounds %}{% set n = loop.index0 -%}
       WHEN 2 * ({% if n % 2 == 0 %}MOD(within_{{ n // 2 }}, 4294967296){% else %}within_{{ n // 2 }} / 4294967296{% endif %}) >= stay_count THEN {{ bound }} {% endfor %}END
FROM (
  SELECT site_id, window_start, window_end, page_url, SUM(stay_count) AS stay_count, SUM(stay_ms) AS stay_ms,
         {% for n in range(0, stay_bounds | length, 2) -%}
         SUM(CASE WHEN stay_class <= {{ n }} THEN stay_count * 4294967297 WHEN stay_class <= {{ n + 1 }} THEN stay_count * 4294967296 ELSE 0 END) AS within_{{ n // 2 }}
         {%- if not loop.last %},
         {% endif %}{% endfor %}
  FROM HOP(TABLE stay_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, page_url, window_start, window_end
)
{{ emit_from('stay_count') }};
