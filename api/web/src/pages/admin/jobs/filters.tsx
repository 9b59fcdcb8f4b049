import { X } from 'lucide-react';
import type { ComponentProps } from 'react';
import { Select } from '@/components/ui/select';
import { cn } from '@/lib/cn';
import { useTexts } from '@/texts';
import { TypedInput } from '../parts/typed-input';
import { useAdminTexts } from '../texts';
import { type JobsSearch, KINDS, STATUSES } from './search';

type FiltersProps = { search: JobsSearch; onChange: (search: JobsSearch) => void };

/** Which jobs to show. The address says the same, so that it can be passed on. */
export function Filters({ search, onChange }: FiltersProps) {
  const texts = useTexts();
  const { jobs } = useAdminTexts();
  const { status = [], kind, ...rest } = search;
  const change = (part: Partial<Record<keyof JobsSearch, unknown>>) => {
    const next = Object.entries({ ...search, ...part }).filter(([, value]) => value !== '' && value !== undefined);
    onChange(Object.fromEntries(next) as JobsSearch);
  };
  const toggle = (one: (typeof STATUSES)[number]) => {
    const next = STATUSES.filter((other) => status.includes(other) !== (other === one));
    change({ status: next.length > 0 ? next : undefined });
  };
  return (
    <div className="mb-4 space-y-3">
      <div className="flex flex-wrap gap-2">
        <TypedInput
          label={jobs.search}
          value={rest.q ?? ''}
          onRest={(q) => change({ q })}
          className="min-w-52 flex-1"
          icon
        />
        <TypedInput
          label={jobs.ownerFilter}
          value={rest.owner ?? ''}
          onRest={(owner) => change({ owner })}
          className="min-w-44 flex-1 sm:max-w-64"
        />
        <Select
          aria-label={jobs.kindFilter}
          value={kind ?? 'all'}
          onChange={(value) => change({ kind: value === 'all' ? undefined : value })}
          options={[
            { value: 'all', label: jobs.allKinds },
            ...KINDS.map((one) => ({ value: one, label: texts.jobs.kinds[one] })),
          ]}
          className="w-44"
        />
      </div>
      <div className="flex flex-wrap gap-1.5">
        <fieldset className="contents">
          <legend className="sr-only">{jobs.statusFilter}</legend>
          {STATUSES.map((one) => (
            <Pill key={one} on={status.includes(one)} aria-pressed={status.includes(one)} onClick={() => toggle(one)}>
              {texts.jobs.statuses[one]}
            </Pill>
          ))}
        </fieldset>
        {rest.instance ? (
          <Pill on onClick={() => change({ instance: undefined })}>
            {jobs.ofInstance(rest.instance)}
            <X aria-hidden className="size-3.5" />
            <span className="sr-only">{jobs.ofAllInstances}</span>
          </Pill>
        ) : null}
      </div>
    </div>
  );
}

function Pill({ on, ...rest }: ComponentProps<'button'> & { on: boolean }) {
  return (
    <button
      type="button"
      className={cn(
        'inline-flex items-center gap-1.5 rounded-full border px-3 py-1 text-[0.8125rem] transition-colors',
        on ? 'border-ink bg-ink text-canvas' : 'border-line-strong bg-surface text-ink hover:bg-sunken',
      )}
      {...rest}
    />
  );
}
