// Requests that wake an instance. The first is refused while it wakes, and made again once it is awake.
import { ApiError, call, client, isProblem } from './client';
import { type Job, refreshInstance } from './instances';

/** How long one waits for an instance to wake, in milliseconds. It takes seconds, or a minute on a busy server. */
export const PATIENCE_MS = 3 * 60_000;
const LOOK_MS = 1_000;

/**
 * Asks something of an instance that may be asleep, or falling asleep: to ask wakes it. Calls `onWaking` once if one has to wait.
 * Throws an `ApiError`: `wake_timeout`, `wake_cancelled`, or why it cannot be woken.
 */
export async function onceAwake<T>(id: string, ask: () => Promise<T>, onWaking?: () => void): Promise<T> {
  const until = Date.now() + PATIENCE_MS;
  let told = false;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isProblem(error, 'waking')) throw error;
      if (!told) onWaking?.();
      told = true;
      // The page shows the job that wakes it.
      refreshInstance(id);
      await jobOver(error.job?.id, until);
      refreshInstance(id);
    }
  }
}

/**
 * Waits until a job is over. Not by way of the query client: the tab that is opened hides this page, and a hidden page's queries
 * rest after a failure.
 */
async function jobOver(id: string | undefined, until: number): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (Date.now() > until) throw new ApiError(409, { code: 'wake_timeout' as never });
    // Without a job to look at, to ask again is how one looks.
    if (id === undefined) return;
    const job = await look(id);
    if (job && isDone(job)) return;
  }
}

/** The job as it is now; nothing, if the server does not answer at the moment. */
function look(id: string): Promise<Job | undefined> {
  return call(client.GET('/api/jobs/{id}', { params: { path: { id } } })).catch((error: unknown) => {
    if (error instanceof ApiError && error.transient) return undefined;
    throw error;
  });
}

/** Whether a job is over. Throws if it was to wake the instance and did not: to ask again would only begin another. */
function isDone(job: Job): boolean {
  if (job.status === 'succeeded') return true;
  if (job.status !== 'failed' && job.status !== 'cancelled') return false;
  // What comes before the job that wakes it, such as the one that lets it fall asleep: how that ended does not matter.
  if (job.kind !== 'start' && job.kind !== 'recreate') return true;
  if (job.status === 'cancelled') throw new ApiError(409, { code: 'wake_cancelled' as never });
  throw new ApiError(409, { code: job.error?.code as never, detail: job.error?.message ?? '' });
}
