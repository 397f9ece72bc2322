-- Trending pages: what is viewed clearly more often in the later half of the window than in the earlier.
--
-- The later half is a window of half the size that ends at the same time; what both say of a page meets in the slide of their
-- end. (With an odd number of slides a slide lies in both halves: of its views only the later ones are recent. The parts are
-- listed in job/template.rs.)
CREATE TEMPORARY VIEW page_trends AS
SELECT site_id, page_url, window_time AS trend_time, view_count, CAST(0 AS BIGINT) AS recent_views
FROM page_windows
{%- for part in recent_parts %}
UNION ALL
SELECT site_id, page_url, window_time, CAST(NULL AS BIGINT), SUM({{ part.views }})
FROM HOP(TABLE page_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ slides(part.slides) }})
GROUP BY site_id, page_url, window_start, window_end, window_time
{%- endfor %};

CREATE TEMPORARY TABLE trending_pages (
  site_id STRING, window_start STRING, window_end STRING, `rank` BIGINT, page_url STRING,
  recent_views BIGINT, prior_views BIGINT, growth DOUBLE, score DOUBLE,
  PRIMARY KEY (site_id, window_end, `rank`) NOT ENFORCED
) {{ sink('trending-pages') }};

INSERT INTO trending_pages
SELECT site_id, {{ rfc3339_of(epoch_ms('window_end') ~ ' - ' ~ window_ms) }}, {{ rfc3339('window_end') }}, page_rank, page_url, recent_views, prior_views,
       CAST(recent_views - prior_views AS DOUBLE) / GREATEST(prior_views, 1), score
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site_id, window_start, window_end ORDER BY score DESC, page_url) AS page_rank
  FROM (
    SELECT *, (recent_views - prior_views) / SQRT(CAST(recent_views + prior_views AS DOUBLE)) AS score
    FROM (
      SELECT site_id, page_url, window_start, window_end, SUM(recent_views) AS recent_views,
             SUM(view_count) - SUM(recent_views) AS prior_views
      FROM TUMBLE(TABLE page_trends, DESCRIPTOR(trend_time), {{ slide() }})
      GROUP BY site_id, page_url, window_start, window_end
    )
    WHERE recent_views >= {{ trending_views }} AND prior_views >= 0
  )
  WHERE score >= {{ trending_score }}
)
WHERE page_rank <= {{ trending_length }};
