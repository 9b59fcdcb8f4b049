-- Data for scripts/bench ui: instances in every state that a list shows, with their usage in the last hour. They belong
-- to the only account in this database. psql's variable `instances` is their number.

-- The newest image and a minimum version: some instances can be updated, and a few must be.
INSERT INTO images (id, job_id, source, version, revision, status, image_id, current_since)
VALUES (gen_random_uuid(), gen_random_uuid(), 'release', '2026.9.6', '2026.9.6', 'ready', 'sha256:9', now());
UPDATE version_policy SET minimum_version = '2026.8.0';

-- Of each twenty, thirteen are running, five stopped, one in error, and one is being updated.
INSERT INTO instances (id, owner_id, name, desired_state, status, error_code, error_message, gateway_token_sealed, memory_mb,
  cpu_millis, image_id, openclaw_version, created_at)
SELECT
  'b' || substr(md5('instance ' || n), 1, 11),
  users.id,
  (ARRAY['Family', 'Support', 'Sales', 'Garden', 'Research', 'Night shift', 'Newsletter', 'Travel', 'School', 'Warehouse',
    'Billing', 'Studio'])[1 + n % 12]
    || ' ' || (ARRAY['assistant', 'bot', 'helper', 'concierge', 'desk', 'scribe', 'sandbox'])[1 + n % 7] || ' ' || n,
  CASE WHEN kind BETWEEN 2 AND 6 THEN 'stopped' ELSE 'running' END,
  CASE WHEN kind = 0 THEN 'error' WHEN kind = 1 THEN 'updating' WHEN kind <= 6 THEN 'stopped' ELSE 'running' END,
  CASE WHEN kind = 0 THEN 'gateway_exited' END,
  CASE WHEN kind = 0 THEN 'The gateway ended with exit code 1. Its logs say why; then start the instance again.' END,
  '',
  CASE WHEN n % 5 = 0 THEN 4096 ELSE 2048 END,
  1000,
  CASE WHEN n % 3 = 0 THEN 'sha256:8' ELSE 'sha256:9' END,
  CASE WHEN n % 51 = 0 THEN '2026.7.2' WHEN n % 3 = 0 THEN '2026.8.1' ELSE '2026.9.6' END,
  now() - make_interval(mins => n)
FROM users, generate_series(1, :instances) n, LATERAL (SELECT n * 7 % 20 AS kind) AS kinds;

INSERT INTO jobs (id, kind, queue, instance_id, owner_id, requested_by, status, attempt, leased_by, lease_until, progress, step,
  started_at)
SELECT gen_random_uuid(), 'update', 'lifecycle', id, owner_id, owner_id, 'running', 1, 'bench', now() + interval '1 day', 40,
  'wait_ready', now()
FROM instances WHERE status = 'updating';

-- One point per minute: for the last hour, and for the quarter of an hour of the benchmark.
INSERT INTO instance_usage (instance_id, at, cpu_ns, memory_bytes, memory_limit_bytes, network_rx_bytes, network_tx_bytes,
  disk_bytes, pids)
SELECT id, date_trunc('minute', now()) + make_interval(mins => minute), (minute + 70) * 2e9 + sin(minute / 3.0) * 3e9,
  (420 + 60 * sin(minute / 9.0 + hashtext(id) % 10)) * 1024 * 1024, memory_mb * 1048576::bigint, (minute + 70) * 40000,
  (minute + 70) * 25000, 310000000, 34
FROM instances, generate_series(-61, 15) minute WHERE status = 'running';

ANALYZE;
