-- Events in event time order, each with the distance to its user's previous event; page_metrics.sql explains `distance`.
--
-- The one place that sorts. An OVER in event time holds rows back until the watermark has passed them, and lets them go
-- in order. All rows of a user come through here one after the other, so whoever needs the order of one user's rows
-- further down (the page's and the product's distance) has it already.
{{ distance_view('user_events', ['site_id', 'user_id'], 'site_id, user_id, session_id, event_type, page_url, product_id, revenue', distance='user_distance') }}
