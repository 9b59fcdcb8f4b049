import type { Instance } from '@/api/instances';

/** What a list draws, however long it is. */
export type RowsProps = { instances: Instance[] };
