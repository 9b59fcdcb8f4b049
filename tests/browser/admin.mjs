// The administration page by page, in an installation with a history (`tests/it/ui/admin.rs`).
import { images } from './admin/images.mjs';
import { allJobs } from './admin/jobs.mjs';
import { people } from './admin/people.mjs';
import { queues } from './admin/queues.mjs';
import { audit, reconciler } from './admin/records.mjs';
import { rollouts } from './admin/rollouts.mjs';
import { workers } from './admin/workers.mjs';
import { page, signIn, walk } from './walk.mjs';

async function enter() {
  await signIn();
  await page.getByText('Create your first instance').waitFor();
}

await walk([enter, queues, allJobs, images, people, rollouts, reconciler, audit, workers]);
