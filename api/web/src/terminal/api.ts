// The requests beside a terminal's socket.
import { ApiError, patientFetch, problemOf } from '@/api/client';
import { onceAwake } from '@/api/waking';
import { RequestFailure, type TerminalApi } from './connection';
import type { Size } from './protocol';

/** What may run in a terminal instead of a shell. */
export const COMMANDS = ['openclaw configure', 'openclaw onboard', 'openclaw doctor', 'openclaw channels add'] as const;
export type Command = (typeof COMMANDS)[number];

/** A terminal that is open. */
export type TerminalView = { id: string; command: Command | null; startedAt: string };

/** The requests about the terminals of an instance; `command` is what runs in one that is opened. */
export function terminalApi(instanceId: string, command: Command | null): TerminalApi {
  return {
    open: ({ cols, rows }: Size) =>
      refused(
        onceAwake(instanceId, () =>
          ask('POST', instancePath(instanceId), { cols, rows, ...(command === null ? {} : { command }) }),
        ),
      ),
    ticket: (terminalId) => refused(ask('POST', `${terminalPath(terminalId)}/ticket`)),
    end: (terminalId) => refused(ask('DELETE', terminalPath(terminalId))),
  };
}

/** The terminals that one has open in an instance, oldest first. */
export async function listTerminals(instanceId: string, signal: AbortSignal): Promise<TerminalView[]> {
  const answer = ask<{ items: TerminalView[] }>('GET', instancePath(instanceId), undefined, signal);
  return (await refused(answer)).items;
}

function instancePath(id: string): string {
  return `/api/instances/${encodeURIComponent(id)}/terminals`;
}

function terminalPath(id: string): string {
  return `/api/terminals/${encodeURIComponent(id)}`;
}

async function ask<T>(method: string, path: string, body?: object, signal?: AbortSignal): Promise<T> {
  const response = await patientFetch(
    new Request(path, {
      method,
      headers: { accept: 'application/json', ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
      ...(signal ? { signal } : {}),
    }),
  );
  const answer: unknown = response.status === 204 ? undefined : await response.json().catch(() => undefined);
  if (response.ok) return answer as T;
  throw problemOf(response.status, answer);
}

/** What a request came to. A refusal becomes the kind that a connection knows. */
async function refused<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status === 0) throw error;
    throw new RequestFailure(error.status, error.code, error.message);
  }
}

/** A refusal as the rest of the page knows it. */
export function asApiError(error: unknown): unknown {
  if (!(error instanceof RequestFailure)) return error;
  return new ApiError(error.status, { code: error.code as never, detail: error.message });
}
