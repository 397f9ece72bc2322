-- Product metrics: the page metrics by product, over the events that have one. page_metrics.sql explains them.
CREATE TEMPORARY VIEW product_slices AS
SELECT site_id, product_id, distance, window_time AS slice_time, {{ phase_of('window_start') }} AS phase,
       {{ event_counts() }}
FROM TUMBLE(TABLE product_events, DESCRIPTOR(event_time), {{ slide() }})
GROUP BY site_id, product_id, distance, window_start, window_end, window_time;

CREATE TEMPORARY VIEW product_windows AS
SELECT site_id, window_start, window_end, product_id, view_count, click_count, add_to_cart_count, purchase_count,
       {{ pick('unique_users') }} AS unique_users,
       {{ ratio('click_count', 'view_count') }} AS click_through_rate
FROM (
  SELECT site_id, window_start, window_end, product_id,
         {{ sums_of_counts() }},
         {{ count_first('unique_users', weight='event_count') }}
  FROM HOP(TABLE product_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
  GROUP BY site_id, product_id, window_start, window_end
)
{{ emit_from('view_count') }};

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
