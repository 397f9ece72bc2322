{#- Pieces the metric files share. -#}

{#- A window boundary as the topics write times: RFC 3339, UTC, milliseconds. -#}
{% macro rfc3339(column) %}DATE_FORMAT({{ column }}, 'yyyy-MM-dd''T''HH:mm:ss.SSS') || 'Z'{% endmacro %}

{#- The same for a number of milliseconds since the epoch, and that number for a time. -#}
{% macro rfc3339_of(ms) %}{{ rfc3339('TO_TIMESTAMP_LTZ(' ~ ms ~ ', 3)') }}{% endmacro %}
{% macro epoch_ms(time) -%}
COALESCE(CAST(TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', {{ time }}) AS BIGINT) * 1000 + EXTRACT(MILLISECOND FROM {{ time }}), 0)
{%- endmacro %}

{#- A window's boundaries as a result row has them. -#}
{% macro window_bounds() %}{{ rfc3339('window_start') }}, {{ rfc3339('window_end') }}{% endmacro %}

{#- After a replay, the windows that are written, and the condition that a row of that time in ms is. (That a count is asked, too,
    keeps the planner from asking the question before it aggregates: it would copy each row into every window for that. Beside another
    condition it has to be another count than that asks for.) -#}
{% macro emit_from(count) %}{% if emit_from_ms is not none %}WHERE (window_start >= TIMESTAMP '{{ emit_from_time }}' OR {{ count }} < 0){% endif %}{% endmacro %}
{% macro and_emitted(count) %}{% if emit_from_ms is not none %} AND (window_start >= TIMESTAMP '{{ emit_from_time }}' OR {{ count }} < 0){% endif %}{% endmacro %}
{% macro is_emitted(ms, count='') %}{% if emit_from_ms is none %}TRUE{% elif count %}({{ ms }} >= {{ emit_from_ms }} OR {{ count }} < 0){% else %}{{ ms }} >= {{ emit_from_ms }}{% endif %}{% endmacro %}

{#- Where the rows of a result topic go. Rows wait `linger_ms` for others to travel with, where there are many; every batch is a
    request that the broker works on, and at a window's end all topics have some. -#}
{% macro sink(topic, linger_ms=5, batch_bytes=65536) -%}
WITH (
  'connector' = 'upsert-kafka',
  'topic' = '{{ topic_prefix }}{{ topic }}',
  {{ kafka_sink }},
  'properties.linger.ms' = '{{ linger_ms }}', 'properties.batch.size' = '{{ batch_bytes }}',
  'key.format' = 'json', 'value.format' = 'json', 'value.json.encode.decimal-as-plain-number' = 'true'
)
{%- endmacro %}

{#- A ratio; NULL where the denominator is 0. -#}
{% macro ratio(part, whole) %}CASE WHEN {{ whole }} > 0 THEN CAST({{ part }} AS DOUBLE) / {{ whole }} END{% endmacro %}

{#- The number of the slide an event of that time is in, counted since the epoch. -#}
{% macro slice_of(ms) %}{{ ms }} / {{ slide_ms }}{% endmacro %}

{#- The distance of an event to one before it: the slides between them, {{ slices }} where there is none within a window. -#}
{% macro distance_from(previous_ts) -%}
COALESCE(CASE WHEN {{ slice_of('ts') }} - {{ slice_of(previous_ts) }} < {{ slices }} THEN {{ slice_of('ts') }} - {{ slice_of(previous_ts) }} END, {{ slices }})
{%- endmacro %}

{#- Events by type, as rows of one slide count them, and their sums over the slides of a window. -#}
{% macro event_counts() -%}
COUNT(event_type) AS event_count,
       COUNT(*) FILTER (WHERE event_type = 'page_view') AS view_count,
       COUNT(*) FILTER (WHERE event_type = 'click') AS click_count,
       COUNT(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart_count,
       COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchase_count
{%- endmacro %}
{% macro sums_of_counts() -%}
SUM(view_count) AS view_count, SUM(click_count) AS click_count,
         SUM(add_to_cart_count) AS add_to_cart_count, SUM(purchase_count) AS purchase_count
{%- endmacro %}
{#- The same of the events that count as human. -#}
{% macro human_event_counts() -%}
COUNT(*) FILTER (WHERE event_type = 'page_view' AND is_human) AS human_view_count,
       COUNT(*) FILTER (WHERE event_type = 'click' AND is_human) AS human_click_count,
       COUNT(*) FILTER (WHERE event_type = 'add_to_cart' AND is_human) AS human_add_to_cart_count,
       COUNT(*) FILTER (WHERE event_type = 'purchase' AND is_human) AS human_purchase_count
{%- endmacro %}
{% macro sums_of_human_counts() -%}
SUM(human_view_count) AS human_view_count, SUM(human_click_count) AS human_click_count,
         SUM(human_add_to_cart_count) AS human_add_to_cart_count, SUM(human_purchase_count) AS human_purchase_count
{%- endmacro %}

{#- The number of the slide a time attribute is in, counted since the epoch. -#}
{% macro slide_number(time) %}CAST(TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', CAST({{ time }} AS TIMESTAMP(3))) / {{ slide_s }} AS BIGINT){% endmacro %}

{#- Unique users without sets of users: see page_metrics.sql. An event is an appearance of its user if it is the first in its slide, and makes a pair if
    there was another appearance within a window before it. -#}
{% macro is_appearance(distance) %}CASE WHEN {{ distance }} > 0 THEN 1 ELSE 0 END{% endmacro %}
{% macro is_pair(distance) %}CASE WHEN {{ distance }} > 0 AND {{ distance }} < {{ slices }} THEN 1 ELSE 0 END{% endmacro %}

{#- Of rows with a `previous_slide` within a window before them: the same rows once more, at the later `window_time` in which a window no longer
    holds the previous slide. Of all windows that hold the row it is the one that begins with the next slide. -#}
{% macro when_parted(table, time) -%}
HOP(TABLE {{ table }}, DESCRIPTOR({{ time }}), {{ slide() }}, {{ size() }})
WHERE {{ slide_number('window_start') }} = previous_slide + 1
{%- endmacro %}

{#- The newest value in a window of a number that changes from slide to slide: as the lower 31 bits of a number that grows with the slide. -#}
{% macro newest(number) %}MOD(MAX(slide_number * 2147483648 + {{ number }}), 2147483648){% endmacro %}

{#- Sums in a sliding window for keys that are many: of columns `keys` and a weight, as column `name`. `slide_number` is the number of
    the row's slide since the epoch.

    A HOP adds up {{ slices }} sums for every key when a window ends. A CUMULATE only adds the newest to what it has, but its windows begin
    every other window: in the second half of such a block, the sliding window is all since the block began but for the
    slides before the window, and how much they had is one of {{ slices }} counters. Two blocks, half a block apart, take turns. -#}
{% macro sliding_sum(table, time, keys, name, weight) -%}
{% for offset in [0, 1] -%}
SELECT {{ keys }}, CAST(window_end AS TIMESTAMP(3)) - {{ size() }} AS window_start, window_end, window_time, {{ name }}
FROM (
  SELECT {{ keys }}, window_end, window_time,
         -- NULL in the first half of the block (RAND() >= 0 is always true: once for the condition and the row)
         CASE WHEN RAND() >= 0 THEN total - ARRAY[{% for c in range(1, slices + 1) %}before_{{ c }}{% if not loop.last %}, {% endif %}{% endfor %}][
           CAST(TIMESTAMPDIFF(SECOND, block_start, window_end) / {{ slide_s }} - {{ slices }} AS INT)] END AS {{ name }}
  FROM (
    SELECT {{ keys }}, window_start AS block_start, window_end, window_time, SUM({{ weight }}) AS total,
           {% for c in range(1, slices + 1) -%}
           SUM(CASE WHEN MOD(slide_number + {{ offset * slices }}, {{ 2 * slices }}) < {{ c }} THEN {{ weight }} ELSE 0 END) AS before_{{ c }}
           {%- if not loop.last %},
           {% endif %}
           {%- endfor %}
    FROM CUMULATE(TABLE {{ table }}, DESCRIPTOR({{ time }}), {{ slide() }}, {{ slides(2 * slices) }}, {{ slides(offset * slices) }})
    GROUP BY {{ keys }}, window_start, window_end, window_time
  )
)
WHERE {{ name }} > 0
{%- if not loop.last %}
UNION ALL
{% endif %}
{%- endfor %}
{%- endmacro %}

{#- The time of the event that is the user's k-th before this one; NULL if there is none. -#}
{% macro ts_before(k) %}ring[CAST(MOD(n + {{ ring - k }}, {{ ring }}) AS INT) + 1]{% endmacro %}

{#- A number rounded half up, as text. -#}
{% macro rounded(number) %}CAST(CAST(FLOOR({{ number }} + 0.5E0) AS BIGINT) AS STRING){% endmacro %}

{#- The session gap. -#}
{% macro session_gap() %}INTERVAL '{{ session_gap_ms // 1000 }}.{{ '%03d' | format(session_gap_ms % 1000) }}' SECOND(6, 3){% endmacro %}

{#- One slide, and a whole window, as arguments of TUMBLE and HOP. -#}
{% macro slide() %}INTERVAL '{{ slide_s }}' SECOND(6){% endmacro %}
{% macro size() %}INTERVAL '{{ window_s }}' SECOND(6){% endmacro %}
{% macro slides(n) %}INTERVAL '{{ n * slide_s }}' SECOND(6){% endmacro %}

{#- The time in a text that holds one. -#}
{% macro time_of(text) %}TRY_CAST(REPLACE({{ text }}, 'T', ' ') AS TIMESTAMP(3)){% endmacro %}

{#- The same for a text in the canonical form, at a place of another: several times cheaper than Java's parser of times. -#}
{% macro canonical_time(text, at) -%}
CAST(CAST(SUBSTRING({{ text }}, {{ at }}, 10) AS DATE) AS TIMESTAMP(3)) + INTERVAL '0.001' SECOND * (
      CAST(SUBSTRING({{ text }}, {{ at + 11 }}, 2) AS INT) * 3600000 + CAST(SUBSTRING({{ text }}, {{ at + 14 }}, 2) AS INT) * 60000
      + CAST(SUBSTRING({{ text }}, {{ at + 17 }}, 2) AS INT) * 1000 + CAST(SUBSTRING({{ text }}, {{ at + 20 }}, 3) AS INT))
{%- endmacro %}

{#- A time so far ahead of the arrival, as text. Of two times in one format the later is the greater text; and of one with
    fewer digits of fraction than the limit, too: of equal times it is the lesser text, and only a later time is greater. -#}
{% macro limit(ms) %}CAST(CAST(arrival AS TIMESTAMP(3)) + {{ ms | interval }} AS STRING){% endmacro %}
{% macro is_allowed(text) %}REPLACE({{ text }}, 'T', ' ') <= {{ limit(max_future_ms) }}{% endmacro %}

{#- The earlier of the time in a text and the arrival; NULL where the text holds no time, or one more than max_future
    ahead of the arrival. Written so that `text`, an expensive expression, stands there once. As the text may have fewer
    than three digits of fraction, it is compared with the last time allowed and a digit more. -#}
{% macro not_in_the_future(text) -%}
{% set bound = "CONCAT(" ~ limit(max_future_ms) ~ ", '0')" -%}
LEAST(TRY_CAST(REPLACE(LEAST(REPLACE({{ text }}, 'T', ' '), {{ bound }}), {{ bound }}, '') AS TIMESTAMP(3)), CAST(arrival AS TIMESTAMP(3)))
{%- endmacro %}
