// graphile-worker: `preload N` adds N jobs to its tables, `work` runs them and prints on SIGTERM how many it completed
// and when, `left` prints how many are left. With BENCH_FAST, it fetches jobs in batches and completes them in batches, as
// in its makers' own benchmark.
import { makeWorkerUtils, run, WorkerPreset } from 'graphile-worker';
import pg from 'pg';

const [command, count] = process.argv.slice(2);
const connectionString = process.env.BENCH_DATABASE_URL;
const fast = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
const worker = process.env.BENCH_FAST ? fast : { concurrentJobs: 16 };

if (command === 'preload') {
  const utils = await makeWorkerUtils({ connectionString });
  await utils.migrate();
  const client = new pg.Client({ connectionString });
  await client.connect();
  // In pieces: the time of one statement grows with the square of its jobs.
  for (let added = 0; added < Number(count); added += 1000) {
    await client.query(
      "SELECT graphile_worker.add_job('noop', json_build_object('n', n)) FROM generate_series(1, $1::int) AS n",
      [Math.min(1000, Number(count) - added)],
    );
  }
  await client.query('VACUUM ANALYZE');
  await client.end();
  await utils.release();
} else if (command === 'work') {
  let done = 0;
  let first = 0;
  let last = 0;
  const noop = async () => {
    last = Date.now();
    first ||= last;
    done += 1;
  };
  const preset = { extends: [WorkerPreset], worker: { connectionString, ...worker } };
  const runner = await run({ preset, noHandleSignals: true, taskList: { noop } });
  process.on('SIGTERM', async () => {
    console.log(JSON.stringify({ done, first, last }));
    await runner.stop();
    process.exit(0);
  });
} else if (command === 'left') {
  const client = new pg.Client({ connectionString });
  await client.connect();
  const { rows } = await client.query('SELECT count(*) AS left FROM graphile_worker._private_jobs');
  console.log(rows[0].left);
  await client.end();
}
