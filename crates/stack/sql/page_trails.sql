-- Page views with the three page views of the session id before them, as far as each was followed within the session gap.
CREATE TEMPORARY VIEW page_trails AS
SELECT site_id, event_time, ts, page_url, page_1, page_2, page_3, ts - ts_1 AS stay_ms,
       page_url <> page_1 AND ts - ts_1 < {{ session_gap_ms }} AS is_step,
       page_1 <> page_2 AND ts_1 - ts_2 < {{ session_gap_ms }} AS was_step,
       page_2 <> page_3 AND ts_2 - ts_3 < {{ session_gap_ms }} AS had_been_step
FROM (
  SELECT site_id, event_time, page_url, ts,
         {% for k in range(1, 4) -%}
         {% for ring in ['page', 'ts'] -%}
         CASE MOD(view_number, 4) {% for i in range(4) %}WHEN {{ i }} THEN {{ ring }}_{{ (i - k) % 4 }} {% endfor %}END AS {{ ring }}_{{ k }}{% if not (k == 3 and loop.last) %},
         {% endif %}{% endfor %}{% endfor %}
  FROM session_events
  WHERE event_type = 'page_view'
);
