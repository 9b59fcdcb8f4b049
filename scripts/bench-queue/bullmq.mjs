// BullMQ: `preload N` adds N jobs to the queue, `work` runs them and prints on SIGTERM how many it completed and when,
// `left` prints how many are left.
import { Queue, Worker } from 'bullmq';
import IORedis from 'ioredis';

const [command, count] = process.argv.slice(2);
const connection = new IORedis(process.env.BENCH_REDIS_URL, { maxRetriesPerRequest: null });
const name = process.env.BENCH_QUEUE;

if (command === 'preload') {
  const queue = new Queue(name, { connection });
  for (let left = Number(count); left > 0; left -= 1000) {
    const jobs = Array.from({ length: Math.min(left, 1000) }, () => ({ name: 'noop', data: {} }));
    await queue.addBulk(jobs);
  }
  await queue.close();
  connection.disconnect();
} else if (command === 'work') {
  const worker = new Worker(name, async () => {}, { connection, concurrency: 64 });
  let done = 0;
  let first = 0;
  let last = 0;
  worker.on('completed', () => {
    last = Date.now();
    first ||= last;
    done += 1;
  });
  process.on('SIGTERM', async () => {
    console.log(JSON.stringify({ done, first, last }));
    await worker.close();
    process.exit(0);
  });
} else if (command === 'left') {
  const queue = new Queue(name, { connection });
  const counts = await queue.getJobCounts('waiting', 'active');
  console.log(counts.waiting + counts.active);
  await queue.close();
  connection.disconnect();
}
