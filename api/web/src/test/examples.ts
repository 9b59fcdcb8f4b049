// Things as the server sends them, for tests.
import type { Instance, Job } from '@/api/instances';

export function aJob(with_: Partial<Job> = {}): Job {
  return {
    id: '01a205dc-574d-756f-90c6-376013e03ba0',
    kind: 'start',
    status: 'running',
    progress: 10,
    attempt: 1,
    cancelRequested: false,
    createdAt: '2026-11-25T12:00:00Z',
    runAt: '2026-11-25T12:00:00Z',
    ...with_,
  };
}

export function anInstance(with_: Partial<Instance> = {}): Instance {
  return {
    id: 'l82461og577v',
    ownerId: '01a205dc-574d-756f-90c6-376013e03ba1',
    name: 'first',
    status: 'running',
    desiredState: 'running',
    channel: 'none',
    aiProvider: 'none',
    memoryMb: 2048,
    cpuMillis: 1000,
    env: [],
    pendingChanges: [],
    openclawVersion: '2026.9.6',
    latestVersion: '2026.9.6',
    updateAvailable: false,
    vulnerable: false,
    port: 12345,
    createdAt: '2026-11-25T12:00:00Z',
    updatedAt: '2026-11-25T12:00:00Z',
    statusChangedAt: '2026-11-25T12:00:00Z',
    ...with_,
  };
}
