-- Top pages: the ten pages with the most views per site and window, ties in the order of the page's name.
CREATE TEMPORARY TABLE top_pages (
  site_id STRING, window_start STRING, window_end STRING, `rank` BIGINT, page_url STRING,
  view_count BIGINT, unique_users BIGINT, click_through_rate DOUBLE, human_view_count BIGINT, human_unique_users BIGINT,
  PRIMARY KEY (site_id, window_end, `rank`) NOT ENFORCED
) {{ sink('top-pages') }};

INSERT INTO top_pages
SELECT site_id, {{ window_bounds() }}, page_rank, page_url,
       view_count, unique_users, click_through_rate, human_view_count, human_unique_users
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site_id, window_start, window_end ORDER BY view_count DESC, page_url) AS page_rank
  FROM page_windows
  WHERE view_count > 0
)
WHERE page_rank <= 10;
