import type { Schemas } from '@/api/contract';

/** An instance of which only the files are left. */
export type Recoverable = Schemas['RecoverableInstance'];
