-- An hour of jobs on instances that are gone by now, two of three of them Ann's, each with a short story.
WITH hour AS (
    SELECT n, (ARRAY['restart', 'stop', 'start', 'update', 'recreate', 'provision', 'delete'])[1 + n % 7] AS kind,
           CASE WHEN n % 19 = 0 THEN 'failed' WHEN n % 29 = 0 THEN 'cancelled' ELSE 'succeeded' END AS status,
           CASE WHEN n % 3 = 0 THEN 'bob@test.example' ELSE 'ann@test.example' END AS email,
           now() - make_interval(secs => 3000 - n * 40 - (n * n) % 37) AS at,
           make_interval(secs => 0.2 + (n * 7 % 10) / 10.0) AS waited, make_interval(secs => 2 + n * 13 % 17) AS ran
      FROM generate_series(1, 72) n
), made AS (
    INSERT INTO jobs (id, kind, queue, instance_id, owner_id, requested_by, status, attempt, progress, error_code, error_message,
                      created_at, started_at, finished_at)
    SELECT gen_random_uuid(), kind, 'lifecycle', 'h' || left(md5(n::text), 11), users.id, users.id, status, 1, 100,
           CASE WHEN status = 'failed' THEN 'gateway_not_ready' END,
           CASE WHEN status = 'failed' THEN 'The gateway did not answer within 120 s.' END,
           at, at + waited, at + waited + ran
      FROM hour JOIN users USING (email) ORDER BY n
 RETURNING id, status, created_at, started_at, finished_at
)
INSERT INTO job_events (job_id, attempt, kind, message, created_at)
SELECT id, attempt, event, message, at
  FROM made CROSS JOIN LATERAL (VALUES
       (1, 0, 'accepted', 'Accepted', created_at),
       (2, 1, 'claimed', 'Taken by machine-2-4711-5f0c', started_at),
       (3, 1, 'finished', initcap(status), finished_at)) story (nth, attempt, event, message, at)
 ORDER BY created_at, nth
