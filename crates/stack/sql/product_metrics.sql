-- Product metrics: the page metrics by product, over the events that have one. page_metrics.sql explains them.
CREATE TEMPORARY VIEW product_returns AS
SELECT site_id, product_id, event_time, {{ slice_of('ts') }} - distance AS previous_slide
FROM product_events
WHERE distance > 0 AND distance < {{ slices }};

CREATE TEMPORARY VIEW product_changes AS
SELECT site_id, product_id, event_time AS change_time, event_type, {{ is_appearance('distance') }} AS appearance, {{ is_pair('distance') }} AS pair_change
FROM product_events
UNION ALL
SELECT site_id, product_id, window_time, CAST(NULL AS STRING), 0, -1
FROM {{ when_parted('product_returns', 'event_time') }};

CREATE TEMPORARY VIEW product_sums AS
SELECT site_id, product_id, window_time AS slice_time, {{ slide_number('window_start') }} AS slide_number,
       {{ event_counts() }},
       SUM(CAST(appearance AS BIGINT)) AS appearances, SUM(CAST(pair_change AS BIGINT)) AS pair_change, PROCTIME() AS slide_order
FROM TUMBLE(TABLE product_changes, DESCRIPTOR(change_time), {{ slide() }})
GROUP BY site_id, product_id, window_start, window_end, window_time;

CREATE TEMPORARY VIEW product_totals AS
SELECT *, SUM(pair_change) OVER (PARTITION BY site_id, product_id ORDER BY slide_order) AS pairs
FROM product_sums;

CREATE TEMPORARY VIEW product_windows AS
SELECT site_id, window_start, window_end, product_id, view_count, click_count, add_to_cart_count, purchase_count,
       unique_users,
       {{ ratio('click_count', 'view_count') }} AS click_through_rate
FROM (
  SELECT site_id, window_start, window_end, product_id, SUM(event_count) AS event_count,
         {{ sums_of_counts() }},
         SUM(appearances) - {{ newest('pairs') }} AS unique_users
  FROM HOP(TABLE product_totals, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, product_id, window_start, window_end
)
WHERE event_count > 0{{ and_emitted('view_count') }};

CREATE TEMPORARY TABLE product_metrics (
  site_id STRING, window_start STRING, window_end STRING, product_id STRING,
  view_count BIGINT, click_count BIGINT, add_to_cart_count BIGINT, purchase_count BIGINT,
  unique_users BIGINT, click_through_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, product_id) NOT ENFORCED
) {{ sink('product-metrics') }};

INSERT INTO product_metrics
SELECT site_id, {{ window_bounds() }}, product_id,
       view_count, click_count, add_to_cart_count, purchase_count, unique_users, click_through_rate
FROM product_windows;
