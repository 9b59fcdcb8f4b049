import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { asApiError, listTerminals, type TerminalView } from './api';
import type { Workspace } from './workspace';

export type Elsewhere = {
  terminals: readonly TerminalView[];
  loading: boolean;
  error: unknown;
  retry(): void;
};

/** Brings back the terminals that were here before the page was loaded; gives those that are open in some other place. */
export function useResume(workspace: Workspace): Elsewhere {
  const query = useQuery({
    queryKey: ['instances', workspace.instanceId, 'terminals'],
    queryFn: ({ signal }) =>
      listTerminals(workspace.instanceId, signal).catch((error: unknown) => {
        throw asApiError(error);
      }),
    staleTime: 0,
  });
  const resumed = useRef(false);
  const { data } = query;
  useEffect(() => {
    if (!data || resumed.current) return;
    resumed.current = true;
    if (workspace.view().tabs.length > 0) return;
    const remembered = workspace.remembered();
    for (const { id, command } of data) {
      if (remembered.includes(id)) workspace.open(command, id);
    }
  }, [data, workspace]);
  const here = new Set(workspace.view().tabs.map((tab) => tab.session.terminalId));
  return {
    terminals: (data ?? []).filter((one) => !here.has(one.id) && !workspace.isClosed(one.id)),
    loading: query.isPending,
    error: query.error,
    retry: () => void query.refetch(),
  };
}
