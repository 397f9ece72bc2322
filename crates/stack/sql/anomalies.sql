-- Anomalies of every kind: traffic_anomalies.sql, bots.sql and unusual_users.sql find them.
CREATE TEMPORARY TABLE anomalies (
  site_id STRING, kind STRING, rule STRING, subject STRING, detected_at STRING, window_start STRING, window_end STRING,
  observed DOUBLE, expected DOUBLE, score DOUBLE, reason STRING,
  PRIMARY KEY (site_id, kind, subject, detected_at) NOT ENFORCED
) {{ sink('anomalies') }};

INSERT INTO anomalies
SELECT * FROM traffic_anomalies
UNION ALL
SELECT * FROM bots
UNION ALL
SELECT * FROM unusual_users;
