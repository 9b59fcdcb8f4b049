import { useState } from 'react';
import { keep, recall } from './storage';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

/** The chosen theme and how to choose another. `public/theme.js` is what applies it. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState<Theme>(() => {
    const kept = recall('theme');
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  });
  return [
    theme,
    (next) => {
      keep('theme', next === 'system' ? null : next);
      dispatchEvent(new Event('clawdeploy:theme'));
      setTheme(next);
    },
  ];
}
