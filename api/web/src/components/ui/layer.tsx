import { createContext, useContext, useLayoutEffect, useState } from 'react';

/** What is in front of the page, and holds whatever opens from inside of it. */
const Front = createContext<HTMLElement | null>(null);

export const Layer = Front.Provider;

/**
 * Where menus and lists open: in the dialog that they belong to, or else in the page's main part. At the end of the document they
 * would be outside of every landmark.
 */
export function useLayer(): HTMLElement | null {
  const front = useContext(Front);
  const [main, setMain] = useState<HTMLElement | null>(null);
  useLayoutEffect(() => setMain(document.getElementById('content')), []);
  return front ?? main;
}
