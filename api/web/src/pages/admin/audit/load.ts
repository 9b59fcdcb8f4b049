import { call, client } from '@/api/client';
import type { serverFilter } from './filter';

const PAGE = 100;

/** A page of the audit log, newest first; the list and the export read it alike. */
export const loadAudit = (filter: ReturnType<typeof serverFilter>, cursor: string | undefined, signal: AbortSignal) =>
  call(
    client.GET('/api/admin/audit', {
      signal,
      params: { query: { ...filter, limit: PAGE, ...(cursor ? { cursor } : {}) } },
    }),
  );
