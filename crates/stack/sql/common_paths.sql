-- Common paths: the ways over three or four pages that were taken most often.
--
-- A path is its pages joined by U+0001, which stands in no page and before every character that can: so paths are in order of their
-- pages. Every slide keeps its {{ paths_kept }} most frequent of each length.
CREATE TEMPORARY VIEW page_paths AS
SELECT site_id, 3 AS path_length, page_2 || U&'\0001' || page_1 || U&'\0001' || page_url AS path, event_time
FROM page_trails
WHERE is_step AND was_step
UNION ALL
SELECT site_id, 4, page_3 || U&'\0001' || page_2 || U&'\0001' || page_1 || U&'\0001' || page_url, event_time
FROM page_trails
WHERE is_step AND was_step AND had_been_step;

CREATE TEMPORARY VIEW path_slices AS
SELECT site_id, path_length, path, path_count, window_time AS slice_time
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site_id, path_length, window_start, window_end ORDER BY path_count DESC, path) AS path_rank
  FROM (
    SELECT site_id, path_length, path, window_start, window_end, window_time, COUNT(*) AS path_count
    FROM TUMBLE(TABLE page_paths, DESCRIPTOR(event_time), {{ slide() }})
    GROUP BY site_id, path_length, path, window_start, window_end, window_time
  )
)
WHERE path_rank <= {{ paths_kept }};

CREATE TEMPORARY TABLE common_paths (
  site_id STRING, window_start STRING, window_end STRING, `length` INT, `rank` BIGINT, pages ARRAY<STRING>, path_count BIGINT,
  PRIMARY KEY (site_id, window_end, `length`, `rank`) NOT ENFORCED
) {{ sink('common-paths') }};

INSERT INTO common_paths
SELECT site_id, {{ window_bounds() }}, path_length, path_rank, SPLIT(path, U&'\0001'), path_count
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site_id, path_length, window_start, window_end ORDER BY path_count DESC, path) AS path_rank
  FROM (
    SELECT site_id, path_length, path, window_start, window_end, SUM(path_count) AS path_count
    FROM HOP(TABLE path_slices, DESCRIPTOR(slice_time), {{ slide() }}, {{ size() }})
    GROUP BY site_id, path_length, path, window_start, window_end
  )
  {{ emit_from('path_count') }}
)
WHERE path_rank <= 10;
