import { Download } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Menu, MenuItem } from '@/components/ui/menu';
import { download } from '@/lib/download';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { useAdminTexts } from '../texts';
import { csv } from './csv';
import { type Entry, goesOn, matches, serverFilter } from './filter';
import { loadAudit } from './load';
import type { AuditSearch } from './search';

type Format = 'csv' | 'json';

/** Most entries that one file gets: what is put together here is held in memory. */
const MOST = 50_000;

/** Downloads what the filters find, all of it and not only what is shown. */
export function Export({ search }: { search: AuditSearch }) {
  const texts = useTexts();
  const { audit } = useAdminTexts();
  const [seen, setSeen] = useState<number | null>(null);
  const stop = useRef<AbortController>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const save = async (format: Format) => {
    stop.current = new AbortController();
    setSeen(0);
    try {
      const { entries, cut } = await collect(search, stop.current.signal, setSeen);
      const text = format === 'csv' ? csv(entries) : JSON.stringify(entries, null, 2);
      file(`audit-${new Date().toISOString().slice(0, 10)}.${format}`, text, format);
      toast.success(audit.exported(entries.length), cut ? audit.exportCut(MOST) : undefined);
    } catch (error) {
      if (!stop.current.signal.aborted) toast.error(audit.exportFailed, wordsFor(error, texts));
    } finally {
      setSeen(null);
    }
  };
  if (seen !== null) {
    return (
      <Button variant="outline" onClick={() => stop.current?.abort()}>
        {audit.exporting(seen)}
      </Button>
    );
  }
  return (
    <Menu
      trigger={
        <Button variant="outline">
          <Download aria-hidden />
          {audit.export}
        </Button>
      }
    >
      <MenuItem onSelect={() => void save('csv')}>{audit.csv}</MenuItem>
      <MenuItem onSelect={() => void save('json')}>{audit.json}</MenuItem>
    </Menu>
  );
}

async function collect(search: AuditSearch, signal: AbortSignal, onSeen: (count: number) => void) {
  const now = Date.now();
  const filter = serverFilter(search, now);
  const entries: Entry[] = [];
  let cursor: string | undefined;
  for (let seen = 0; ; ) {
    const page = await loadAudit(filter, cursor, signal);
    entries.push(...page.items.filter((entry) => matches(entry, search, now)));
    seen += page.items.length;
    onSeen(seen);
    cursor = page.nextCursor ?? undefined;
    if (cursor === undefined || !goesOn(page.items.at(-1), search, now)) return { entries, cut: false };
    if (entries.length >= MOST) return { entries, cut: true };
  }
}

function file(name: string, text: string, format: Format): void {
  // With the mark spreadsheets know that it is UTF-8.
  if (format === 'csv') download(name, `\ufeff${text}`, 'text/csv;charset=utf-8');
  else download(name, text, 'application/json');
}
