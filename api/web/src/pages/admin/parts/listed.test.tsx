import { render } from '@testing-library/react';
import { expect, it } from 'vitest';
import { TextsProvider } from '@/texts';
import { en } from '@/texts/en';
import { Listed } from './listed';

/** What a list shows when nothing was found. */
function shown(hasNextPage: boolean) {
  const query = {
    data: { pages: [{ items: [] as string[] }] },
    isError: false,
    isPending: false,
    hasNextPage,
    isFetchingNextPage: false,
    fetchNextPage: () => undefined,
  } as never;
  const list = (
    <Listed<string> query={query} label="Things" head={null} empty="There is none">
      {(item) => <tr key={item} />}
    </Listed>
  );
  return render(<TextsProvider initial={{ language: 'en', texts: en }}>{list}</TextsProvider>).container;
}

it('says that there is none only when everything was searched', () => {
  expect(shown(false).textContent).toBe('There is none');
  const rest = shown(true);
  expect(rest.textContent).not.toContain('There is none');
  expect(rest.querySelector('button')?.textContent).toBe(en.common.loadMore);
});
