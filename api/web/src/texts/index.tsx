// Every word that people read, in one place for each language. Chinese is typed by English: what is missing in it, or has
// no place any more, does not compile.
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import { keep, recall } from '@/lib/storage';
import { en } from './en';

/** The shape of a language's texts: English says it, sentences may take names and numbers. */
export type Texts = typeof en;

export const LANGUAGES = [
  { value: 'en', label: 'English' },
  { value: 'zh', label: '简体中文' },
] as const;
export type Language = (typeof LANGUAGES)[number]['value'];

type Spoken = { language: Language; texts: Texts; speak: (language: Language) => void };

const Context = createContext<Spoken>({ language: 'en', texts: en, speak: () => {} });

/** The language that was chosen, or else the browser's. */
export function preferredLanguage(): Language {
  const kept = recall('language');
  if (kept === 'en' || kept === 'zh') return kept;
  return navigator.languages?.some((tag) => tag.toLowerCase().startsWith('zh')) ? 'zh' : 'en';
}

/** Texts of a language; only English comes with the first load. */
export async function loadTexts(language: Language): Promise<Texts> {
  return language === 'zh' ? (await import('./zh')).zh : en;
}

export function TextsProvider({
  initial,
  children,
}: {
  initial: { language: Language; texts: Texts };
  children: ReactNode;
}) {
  const [spoken, setSpoken] = useState(initial);
  useEffect(() => {
    document.documentElement.lang = spoken.language === 'zh' ? 'zh-CN' : 'en';
  }, [spoken]);
  const value = useMemo(
    () => ({
      ...spoken,
      speak: (language: Language) => {
        keep('language', language);
        loadTexts(language).then(
          (texts) => setSpoken({ language, texts }),
          () => {},
        );
      },
    }),
    [spoken],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

/** The texts of the language that is spoken. */
export function useTexts(): Texts {
  return useContext(Context).texts;
}

/** The language itself, and how to speak another. */
export function useLanguage(): Spoken {
  return useContext(Context);
}
