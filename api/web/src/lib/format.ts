// Times, sizes and spans in the reader's language.
import { useEffect, useMemo, useState } from 'react';
import { type Language, useLanguage } from '@/texts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Bytes. */
export const MIB = 1024 * 1024;

function locale(language: Language): string {
  return language === 'zh' ? 'zh-CN' : 'en';
}

/** How long ago, or until when, coarsely: "5 minutes ago", "in 2 days". */
export function relative(iso: string, now: number, language: Language): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  const format = new Intl.RelativeTimeFormat(locale(language), { numeric: 'auto' });
  const size = Math.abs(seconds);
  if (size < 45) return format.format(Math.round(seconds / 10) * 10 || 0, 'second');
  if (size < 45 * MINUTE) return format.format(Math.round(seconds / MINUTE), 'minute');
  if (size < 22 * HOUR) return format.format(Math.round(seconds / HOUR), 'hour');
  if (size < 26 * DAY) return format.format(Math.round(seconds / DAY), 'day');
  if (size < 320 * DAY) return format.format(Math.round(seconds / (30 * DAY)), 'month');
  return format.format(Math.round(seconds / (365 * DAY)), 'year');
}

/** A span in milliseconds: "40 ms", "3.2 s", "2 min 5 s". */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < MINUTE) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / MINUTE);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % MINUTE)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A number of bytes: "512 MB". Powers of 1024, as limits are set. */
export function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : Number(value.toFixed(1))} ${units[unit]}`;
}

/** A number of MiB in GiB, "1.25"; never more than it is, as it tells what is left too. */
export function gigabytes(mib: number): string {
  return String(Math.floor((mib / 1024) * 100) / 100);
}

/** A number of thousandths of a core: "1.5". */
export function cores(millis: number): string {
  return String(Number((millis / 1000).toFixed(2)));
}

export function moment(iso: string, language: Language): string {
  return new Intl.DateTimeFormat(locale(language), { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso));
}

/** Formats in the language that is spoken. */
export function useFormat() {
  const { language } = useLanguage();
  return useMemo(
    () => ({
      moment: (iso: string) => moment(iso, language),
      relative: (iso: string, now = Date.now()) => relative(iso, now, language),
      /** How long ago. What has just been is never to come, whatever this machine's clock says. */
      ago: (iso: string, now: number) => relative(iso, Math.max(now, Date.parse(iso)), language),
      clock: (iso: string) => new Intl.DateTimeFormat(locale(language), { timeStyle: 'medium' }).format(new Date(iso)),
      /** A time of day without seconds, with the day of the week if one asks for it. */
      hour: (iso: string, withDay: boolean) =>
        new Intl.DateTimeFormat(locale(language), {
          hour: 'numeric',
          minute: '2-digit',
          ...(withDay ? { weekday: 'short' } : {}),
        }).format(new Date(iso)),
      number: (value: number) => new Intl.NumberFormat(locale(language)).format(value),
    }),
    [language],
  );
}

/** The present, as often as `everyMs`: for times that tell how long ago. */
export function useNow(everyMs = 15_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
