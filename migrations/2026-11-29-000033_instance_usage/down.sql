DROP VIEW instance_stats;
ALTER TABLE instance_usage RENAME TO instance_stats;
ALTER INDEX instance_usage_pkey RENAME TO instance_stats_pkey;
ALTER INDEX instance_usage_at RENAME TO instance_stats_at;
