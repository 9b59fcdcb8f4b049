import { render } from '@testing-library/react';
import type { ComponentProps, ReactElement } from 'react';
import { describe, expect, it } from 'vitest';
import { Steps } from '@/components/job-card';
import { StatusBadge } from '@/components/status';
import { BuildStatus } from '@/pages/admin/images/page';
import { Steps as StoryOfSteps } from '@/pages/admin/jobs/steps';
import { JobStatus } from '@/pages/admin/parts/job-status';
import { TextsProvider } from '@/texts';
import { en } from '@/texts/en';
import { zh } from '@/texts/zh';
import { wordFor } from './word';

const LANGUAGES = [
  { language: 'en', texts: en },
  { language: 'zh', texts: zh },
] as const;

/** What only a newer API says, as a page of today is given it. */
const newer = 'paused' as never;

function said(language: (typeof LANGUAGES)[number], element: ReactElement) {
  return render(<TextsProvider initial={{ ...language }}>{element}</TextsProvider>).container.textContent;
}

it('finds no word of an object’s own', () => {
  expect(wordFor({ known: 'Known' }, 'known', '?')).toBe('Known');
  expect(wordFor<string>({}, 'constructor', '?')).toBe('?');
});

describe.each(LANGUAGES)('a word of a newer version in $language', (language) => {
  const { common, jobs } = language.texts;
  const instance = (more: object) =>
    ({ status: newer, ...more }) as unknown as ComponentProps<typeof StatusBadge>['instance'];
  const step = { name: 'route', status: newer, durationMs: null, startedAt: null } as never;

  it('is said to be unknown as a status', () => {
    expect(said(language, <StatusBadge instance={instance({})} />)).toBe(common.unknown);
    expect(said(language, <JobStatus status={newer} />)).toBe(common.unknown);
    const build = { status: newer } as unknown as ComponentProps<typeof BuildStatus>['build'];
    expect(said(language, <BuildStatus build={build} />)).toBe(common.unknown);
    expect(said(language, <Steps steps={[step]} />)).toContain(common.unknown);
    expect(said(language, <StoryOfSteps steps={[step]} />)).toContain(common.unknown);
  });

  it('is said to be of a newer version as a kind of job', () => {
    expect(said(language, <StatusBadge instance={instance({ currentJob: { kind: newer } })} />)).toBe(jobs.newer);
  });
});
