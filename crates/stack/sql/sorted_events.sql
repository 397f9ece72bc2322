-- Events in order, by event time, then partition, then offset: what "previous", "next", "first" and "last" mean everywhere below.
--
-- The sort of a stream holds rows back until the watermark has passed them and lets them go in order. It is done once, in one
-- task. Every row leaves that task in order, so an OVER in processing time, which needs neither timer nor buffer for its keys,
-- meets the rows of its key in order, whatever the parallelism. A LAG in event time would not: SQL gives LAG no frame, and
-- Flink then adds all rows of one millisecond before it answers any.
CREATE TEMPORARY VIEW ordered_events AS
SELECT source_partition, source_offset, site_id, event_type, user_id, session_id, page_url, product_id, revenue, is_declared_bot,
       event_time, ts
FROM events
ORDER BY event_time, source_partition, source_offset;

CREATE TEMPORARY VIEW sorted_events AS
SELECT site_id, event_type, user_id, session_id, page_url, product_id, revenue, is_declared_bot, event_time, ts,
       PROCTIME() AS sorted_order
FROM ordered_events;
