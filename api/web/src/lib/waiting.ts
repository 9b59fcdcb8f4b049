import type { Schemas } from '@/api/contract';
import type { Texts } from '@/texts';

type Waiting = Pick<Schemas['JobDetails'], 'dependsOn' | 'queue' | 'runAt' | 'startedAt'>;

/** What a job waits for, in a sentence. `when` says a time. */
export function waitWords(job: Waiting, words: Texts['jobs'], when: (iso: string) => string): string {
  if (!job.queue) return words.statuses.queued;
  switch (job.queue.waitsFor) {
    case 'job':
      return job.dependsOn && !job.startedAt ? words.waitsForBuild : words.waitsFor.job;
    case 'time':
      return words.retryAt(when(job.runAt));
    case 'turn':
      return words.place(job.queue.position);
    default:
      return words.waitsFor[job.queue.waitsFor];
  }
}
