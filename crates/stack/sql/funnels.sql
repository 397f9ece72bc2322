-- Funnels: of the sessions that closed within the window, how many viewed, put into the cart, and purchased.
CREATE TEMPORARY TABLE funnels (
  site_id STRING, window_start STRING, window_end STRING,
  sessions BIGINT, viewed BIGINT, carted BIGINT, purchased BIGINT,
  view_to_cart_rate DOUBLE, cart_to_purchase_rate DOUBLE, conversion_rate DOUBLE,
  PRIMARY KEY (site_id, window_end) NOT ENFORCED
) {{ sink('funnels') }};

INSERT INTO funnels
SELECT site_id, {{ window_bounds() }}, sessions, viewed, carted, purchased,
       {{ ratio('carted', 'viewed') }}, {{ ratio('purchased', 'carted') }}, {{ ratio('purchased', 'sessions') }}
FROM (
  SELECT site_id, window_start, window_end, COUNT(*) AS sessions,
         COUNT(*) FILTER (WHERE view_count > 0) AS viewed,
         COUNT(*) FILTER (WHERE view_count > 0 AND add_to_cart_count > 0) AS carted,
         COUNT(*) FILTER (WHERE view_count > 0 AND add_to_cart_count > 0 AND purchase_count > 0) AS purchased
  FROM HOP(TABLE closed_sessions, DESCRIPTOR(closed_at), {{ slide() }}, {{ size() }})
  GROUP BY site_id, window_start, window_end
)
{{ emit_from('sessions') }};
