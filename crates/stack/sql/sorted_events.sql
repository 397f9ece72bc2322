-- Events in the order of their event time, for the distances of the files that follow; page_metrics.sql explains those.
--
-- An OVER in event time holds rows back until the watermark has passed them and lets them go in order: it is Flink's
-- sort of a stream, here once per site. In sorted rows the highest slice so far is the row's own, so the aggregate
-- changes nothing. Every row of a site leaves the same task in order and every key below belongs to one site, so an
-- OVER in processing time, which needs neither timer nor buffer for its keys, then meets the rows of its key in event
-- time order, whatever the parallelism. (Named once more below: what is not named there would be sorted with the rest.)
CREATE TEMPORARY VIEW sorted_events AS
SELECT site_id, event_type, user_id, session_id, page_url, product_id, revenue, event_time,
       COALESCE(MAX(slice) OVER (PARTITION BY site_id ORDER BY event_time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), 0) AS slice,
       PROCTIME() AS sorted_order
FROM (SELECT site_id, event_type, user_id, session_id, page_url, product_id, revenue, event_time, slice FROM events);
