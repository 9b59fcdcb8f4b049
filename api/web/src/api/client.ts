// The typed client. Every call goes through `call`, which turns whatever goes wrong into one kind of error.
import createClient from 'openapi-fetch';
import type { Paths, Schemas } from './contract';

/** What a call came to instead of an answer. */
export class ApiError extends Error {
  /** HTTP status; 0: there was no answer. */
  readonly status: number;
  /** Stable code of what went wrong; `offline` when there was no answer. */
  readonly code: string;
  readonly requestId: string | undefined;
  /** What is wrong with single fields of what was sent. */
  readonly fields: Schemas['FieldError'][];
  /** The job that is in the way. */
  readonly job: Schemas['JobView'] | undefined;

  constructor(status: number, problem: Partial<Schemas['Problem']> & { code?: string; detail?: string }) {
    super(problem.detail ?? '');
    this.name = 'ApiError';
    this.status = status;
    this.code = problem.code ?? (status === 0 ? 'offline' : 'unknown');
    this.requestId = problem.requestId;
    this.fields = problem.errors ?? [];
    this.job = problem.job ?? undefined;
  }

  /** What is wrong with one field, in words. */
  field(name: string): string | undefined {
    return this.fields.find((field) => field.field === name)?.message;
  }

  /** Asking again might help. */
  get transient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** How long an answer may take, in milliseconds: more than the slowest errand into a container. */
const PATIENCE_MS = 65_000;

/** `fetch` that gives up, and whose failures are an `ApiError`. */
export async function patientFetch(request: Request): Promise<Response> {
  try {
    return await fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE_MS)]) });
  } catch (error) {
    // Whoever asked has gone.
    if (request.signal.aborted) throw error;
    throw new ApiError(0, {});
  }
}

export const client = createClient<Paths>({
  baseUrl: globalThis.location?.origin ?? 'http://localhost',
  headers: { accept: 'application/json' },
  fetch: patientFetch,
});

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The answer's body, or an `ApiError`. */
export async function call<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) return data as T;
  throw problemOf(response.status, error);
}

/** An answer that is no success, as an error. */
export function problemOf(status: number, body: unknown): ApiError {
  return new ApiError(status, typeof body === 'object' && body ? (body as Partial<Schemas['Problem']>) : {});
}

/** Whether this is a refusal with that code. */
export function isProblem(error: unknown, code: string): error is ApiError {
  return error instanceof ApiError && error.code === code;
}
