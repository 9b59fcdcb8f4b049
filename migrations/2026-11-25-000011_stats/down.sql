DROP TABLE instance_stats;
