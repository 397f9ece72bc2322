-- Human top pages: the ten pages with the most views that are not of labelled bots, ties in the order of the page's name.
CREATE TEMPORARY TABLE human_top_pages (
  site_id STRING, window_start STRING, window_end STRING, `rank` BIGINT, page_url STRING,
  human_view_count BIGINT, human_unique_users BIGINT, human_click_through_rate DOUBLE,
  PRIMARY KEY (site_id, window_end, `rank`) NOT ENFORCED
) {{ sink('human-top-pages') }};

INSERT INTO human_top_pages
SELECT site_id, {{ window_bounds() }}, page_rank, page_url, human_view_count, human_unique_users, human_click_through_rate
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site_id, window_start, window_end ORDER BY human_view_count DESC, page_url) AS page_rank
  FROM page_windows
  WHERE human_view_count > 0
)
WHERE page_rank <= 10;
