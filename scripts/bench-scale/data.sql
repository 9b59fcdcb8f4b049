-- An installation after a year: for scripts/bench scale, and with few rows for the test of the plans. `:jobs`, `:instances`,
-- `:users` and `:minutes` (of usage) are replaced by numbers. Needs an empty migrated database and a superuser: triggers and
-- foreign keys are off while it loads, and indexes are made at the end. Afterwards, the tables have to be vacuumed.
--
-- Few people and few instances have most of the jobs. Jobs of deleted instances are kept. Some thousand jobs are open.

SET session_replication_role = replica;
SET maintenance_work_mem = '1GB';
SELECT setseed(0.5);

-- Indexes that belong to no constraint, to be made again at the end.
CREATE TEMP TABLE dropped AS
SELECT indexrelid::regclass::text AS name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS definition
FROM pg_index
WHERE indrelid IN ('jobs'::regclass, 'job_events'::regclass, 'audit'::regclass, 'instance_usage'::regclass)
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid);
DO $$
DECLARE
    made text;
BEGIN
    FOR made IN SELECT name FROM dropped LOOP
        EXECUTE 'DROP INDEX ' || made;
    END LOOP;
END
$$;
-- The points come in the order of time, which is not the key's.
ALTER TABLE instance_usage DROP CONSTRAINT instance_usage_pkey;

-- Ids as the programs make them (UUIDv7), the same in every run.
CREATE FUNCTION pg_temp.id_at(at timestamptz, salt text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(salt), 1, 3)
        || '8' || substr(md5(salt), 4, 15))::uuid
$$;
CREATE FUNCTION pg_temp.instance(n integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'i' || substr(md5('instance ' || n), 1, 11)
$$;

CREATE TEMP TABLE people AS
SELECT n - 1 AS n, pg_temp.id_at(now() - make_interval(hours => 8760 * (:users + 1 - n) / (:users + 1)), 'user ' || n) AS id
FROM generate_series(1, :users) n;
INSERT INTO users (id, email, name, password_hash, role, created_at)
SELECT id, 'user' || n || '@example.test', 'User ' || n, '', CASE WHEN n < 3 THEN 'admin' ELSE 'user' END, now() - interval '1 year'
FROM people;

-- Half as many again as there are now have been deleted.
CREATE TEMP TABLE gateways AS
SELECT born.n - 1 AS n, pg_temp.instance(born.n) AS id, people.id AS owner_id, born.n <= :instances AS exists
FROM (SELECT n, floor(:users * power(random(), 3))::integer AS owner FROM generate_series(1, :instances * 3 / 2) n) AS born
JOIN people ON people.n = born.owner;
CREATE UNIQUE INDEX ON gateways (n) INCLUDE (id, owner_id, exists);

-- Of each hundred, seventy-nine are running, nineteen stopped, one in error and one is being started.
INSERT INTO instances (id, owner_id, name, desired_state, status, error_code, error_message, gateway_token_sealed, memory_mb,
  cpu_millis, container_id, image_id, openclaw_version, created_at, disk_bytes, disk_measured_at)
SELECT id, owner_id, 'Number ' || n, CASE WHEN n % 5 = 0 THEN 'stopped' ELSE 'running' END,
  CASE WHEN n % 100 = 1 THEN 'error' WHEN n % 100 = 2 THEN 'starting' WHEN n % 5 = 0 THEN 'stopped' ELSE 'running' END,
  CASE WHEN n % 100 = 1 THEN 'gateway_exited' END, CASE WHEN n % 100 = 1 THEN 'The gateway ended with exit code 1.' END,
  repeat('x', 120), 2048, 1000, md5('container ' || n) || md5(n::text), 'sha256:' || n % 4, '2026.9.' || n % 4,
  now() - make_interval(mins => n * 50), 300000000, now() - make_interval(secs => n % 600)
FROM gateways WHERE exists;
INSERT INTO ports (port, instance_id) SELECT 20000 + n, id FROM gateways WHERE exists;

-- Finished jobs, in order of arrival over a year.
CREATE TEMP TABLE work AS
SELECT n, now() - (:jobs - n + 1) * (interval '1 year' / :jobs) AS at, random() AS kind, random() AS outcome,
  floor(:instances * 3 / 2 * power(random(), 1.5))::integer AS gateway, random() AS luck
FROM generate_series(1, :jobs) n;
INSERT INTO jobs (id, kind, queue, instance_id, owner_id, requested_by, payload, status, attempt, failures, run_at, progress, step,
  error_code, error_message, request_id, created_at, started_at, finished_at)
SELECT pg_temp.id_at(at, 'job ' || work.n), what.kind, what.queue, CASE WHEN what.queue = 'lifecycle' THEN gateways.id END,
  CASE WHEN what.queue = 'lifecycle' THEN owner_id END, CASE WHEN luck < 0.7 THEN owner_id END,
  CASE WHEN what.kind = 'stop' THEN '{"desiredBefore": "running"}' ELSE '{}' END::jsonb, how.status,
  1 + (luck < 0.02)::integer, (luck < 0.02)::integer, at, 100, 'wait_ready',
  CASE WHEN how.status = 'failed' THEN (ARRAY['gateway_exited', 'gateway_timeout', 'image_missing', 'docker_unreachable'])[1 + work.n % 4] END,
  CASE WHEN how.status = 'failed' THEN 'The gateway did not answer within 60 s on port ' || 20000 + work.n % 10000
    || '. Its last output: listen EADDRINUSE ' || md5(work.n::text) END,
  CASE WHEN luck < 0.7 THEN md5('request ' || work.n) END, at, at + interval '1 second' * luck,
  at + interval '1 second' * (luck + 12)
FROM work JOIN gateways ON gateways.n = gateway,
  LATERAL (SELECT CASE WHEN work.kind < 0.36 THEN 'start' WHEN work.kind < 0.57 THEN 'stop' WHEN work.kind < 0.78 THEN 'restart'
      WHEN work.kind < 0.88 THEN 'update' WHEN work.kind < 0.93 THEN 'recreate' WHEN work.kind < 0.96 THEN 'provision'
      WHEN work.kind < 0.98 THEN 'delete' WHEN work.kind < 0.998 THEN 'noop' WHEN work.kind < 0.9999 THEN 'rebuild_image'
      ELSE 'update_all' END AS kind) AS kinds,
  LATERAL (SELECT kinds.kind, CASE kinds.kind WHEN 'rebuild_image' THEN 'builds' WHEN 'update_all' THEN 'rollouts' ELSE 'lifecycle' END
    AS queue) AS what,
  LATERAL (SELECT CASE WHEN outcome < 0.96 THEN 'succeeded' WHEN outcome < 0.985 THEN 'failed' ELSE 'cancelled' END AS status) AS how
ORDER BY work.n;
DROP TABLE work;

-- One update in fifty waited for a build.
UPDATE jobs SET depends_on = (SELECT id FROM jobs build WHERE build.kind = 'rebuild_image' ORDER BY seq LIMIT 1)
WHERE kind = 'update' AND seq % 50 = 0 AND seq > :jobs * 0.9;

-- Open jobs: four thousand that wait, some of them for their next attempt or a build, and sixty-four that run.
INSERT INTO jobs (id, kind, queue, instance_id, owner_id, requested_by, status, attempt, run_at, leased_by, lease_until, turn,
  depends_on, created_at, started_at)
SELECT pg_temp.id_at(now(), 'open ' || n), 'start', 'lifecycle', id, owner_id, owner_id, CASE WHEN n < 64 THEN 'running' ELSE 'queued' END,
  (n < 64)::integer, CASE WHEN n % 20 = 7 THEN now() + interval '1 hour' ELSE now() END,
  CASE WHEN n < 64 THEN 'bench-' || n % 4 END, CASE WHEN n < 64 THEN now() + interval '1 day' END,
  row_number() OVER (PARTITION BY owner_id ORDER BY n),
  CASE WHEN n % 20 = 9 THEN (SELECT id FROM jobs done WHERE done.kind = 'rebuild_image' ORDER BY seq LIMIT 1) END,
  now(), CASE WHEN n < 64 THEN now() END
FROM gateways WHERE n % 2 = 0 AND n < 8128 AND exists
ORDER BY n;

-- About five events for two jobs.
INSERT INTO job_events (job_id, attempt, kind, step, message, progress, duration_ms, created_at)
SELECT jobs.id, CASE WHEN event = 1 THEN 0 ELSE 1 END, (ARRAY['accepted', 'claimed', 'step_started', 'finished'])[event],
  CASE WHEN event = 3 THEN 'wait_ready' END,
  (ARRAY['Accepted', 'Taken by bench-1', 'Waiting until the gateway answers', 'Done'])[event],
  CASE WHEN event = 3 THEN 60 END, NULL, created_at + interval '1 second' * event
FROM jobs CROSS JOIN generate_series(1, 4) event
WHERE (event <> 2 OR seq % 2 = 0) AND (event <> 3 OR seq % 10 = 0) AND (event = 1 OR status <> 'queued') AND (event <> 4 OR finished_at IS NOT NULL)
ORDER BY jobs.seq, event;

-- An entry of the audit log for every third job.
INSERT INTO audit (at, actor_id, actor, action, target_kind, target_id, owner_id, detail, request_id, client_ip)
SELECT created_at, requested_by, 'someone@example.test', 'instance.' || kind, 'instance', coalesce(instance_id, id::text), owner_id,
  jsonb_build_object('jobId', id), request_id, '192.0.2.7'
FROM jobs WHERE seq % 3 = 0 ORDER BY seq;

-- Twenty changes of each instance, the last three days' kept.
INSERT INTO snapshots (id, instance_id, job_id, reason, status, was_running, from_image, from_settings, to_image, to_settings, files,
  bytes, method, expires_at, created_at)
SELECT gen_random_uuid(), id, gen_random_uuid(), 'update',
  CASE WHEN nth = 1 AND n % 500 = 0 THEN 'changing' WHEN nth % 7 = 0 THEN 'rolled_back' ELSE 'kept' END, true, 'sha256:' || n % 4,
  '{"memoryMb": 2048, "cpuMillis": 1000}', 'sha256:' || nth % 4, '{"memoryMb": 2048, "cpuMillis": 1000}', 120, 300000000, 'reflink',
  now() - make_interval(days => nth * 15 - 18 + n % 15), now() - make_interval(days => nth * 15 - 15 + n % 15)
FROM gateways CROSS JOIN generate_series(1, 20) nth WHERE exists;

-- Usage: a point a minute of each running instance.
INSERT INTO instance_usage (instance_id, at, cpu_ns, memory_bytes, memory_limit_bytes, network_rx_bytes, network_tx_bytes,
  disk_bytes, pids)
SELECT id, date_trunc('minute', now()) - make_interval(mins => minute), (1500 - minute) * 2000000000::bigint, 440000000, 2147483648,
  (1500 - minute) * 40000, (1500 - minute) * 25000, 310000000, 34
FROM generate_series(0, :minutes - 1) minute CROSS JOIN instances WHERE status = 'running';

INSERT INTO images (id, job_id, source, version, revision, status, image_id, current_since, log, created_at, tags)
SELECT pg_temp.id_at(created_at, 'image ' || seq), id, 'release', '2026.9.' || seq % 4, '2026.9.' || seq % 4,
  CASE WHEN status = 'succeeded' THEN 'ready' ELSE 'failed' END, 'sha256:' || seq % 4, finished_at, repeat('Step of the build\n', 500),
  created_at, '{}'
FROM jobs WHERE kind = 'rebuild_image' AND seq > :jobs * 0.5;
UPDATE images SET removed_at = now() WHERE created_at < now() - interval '7 days';

INSERT INTO rollout_members (job_id, instance_id, wave, update_job_id, status, ran)
SELECT rollout.id, gateways.id, gateways.n % 3, gen_random_uuid(), CASE WHEN gateways.n % 50 = 0 THEN 'failed' ELSE 'updated' END, true
FROM (SELECT id FROM jobs WHERE kind = 'update_all' ORDER BY seq DESC LIMIT 40) rollout CROSS JOIN gateways WHERE exists;

INSERT INTO sessions (id, user_id, token_hash, user_agent, created_at, last_seen_at, expires_at)
SELECT gen_random_uuid(), id, sha256(convert_to('session ' || n || nth, 'UTF8')), 'Mozilla/5.0', now() - interval '2 days',
  now() - make_interval(mins => n % 1400), now() + interval '5 days'
FROM people CROSS JOIN generate_series(1, 3) nth;
INSERT INTO api_tokens (id, user_id, name, token_hash, last_used_at)
SELECT gen_random_uuid(), id, 'script', sha256(convert_to('token ' || n, 'UTF8')), now() - interval '1 hour' FROM people WHERE n % 2 = 0;
INSERT INTO terminals (id, user_id, instance_id, worker, started_at, ended_at, end_reason)
SELECT gen_random_uuid(), owner_id, id, 'bench-1', now() - make_interval(hours => nth), CASE WHEN nth > 1 OR n % 100 > 0 THEN now() - make_interval(hours => nth - 1) END,
  CASE WHEN nth > 1 OR n % 100 > 0 THEN 'closed' END
FROM gateways CROSS JOIN generate_series(1, 20) nth WHERE exists;
INSERT INTO recoverable_instances (id, state, owner_id, owner_email, name, reason, manifest, since, expires_at)
SELECT id, 'deleted', owner_id, 'someone@example.test', 'Number ' || n, 'Deleted by its owner', '{"imageId": "sha256:1"}',
  now() - make_interval(hours => n % 160), now() + make_interval(hours => 168 - n % 160)
FROM gateways WHERE NOT exists AND n % 5 = 0;
INSERT INTO workers (id, host, pid, version, queues, concurrency, running, heartbeat_at, address)
SELECT 'bench-' || n, 'bench', n, '0', '{lifecycle,builds,rollouts}', 16, 16, now() + interval '1 day', '127.0.0.1:9'
FROM generate_series(0, 3) n;

ALTER TABLE instance_usage ADD CONSTRAINT instance_usage_pkey PRIMARY KEY (instance_id, at);
DO $$
DECLARE
    made text;
BEGIN
    FOR made IN SELECT definition FROM dropped LOOP
        EXECUTE made;
    END LOOP;
END
$$;
DROP TABLE dropped, people, gateways;
RESET session_replication_role;
ANALYZE;
