import { useEffect, useState } from 'react';

/** What stands after the `#`, which then goes from the address bar and the history. */
export function takeFragment(): string {
  const fragment = location.hash.slice(1);
  if (fragment) history.replaceState(history.state, '', location.pathname + location.search);
  try {
    return decodeURIComponent(fragment);
  } catch {
    // A link that was cut off in the middle of a sign: whoever takes it says that it is not good.
    return fragment;
  }
}

/** The one-time token of a link. Another link that is opened in the same tab loads no page, and brings another token. */
export function useFragment(): string {
  const [fragment, setFragment] = useState(takeFragment);
  useEffect(() => {
    const look = () => setFragment((before) => takeFragment() || before);
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, []);
  return fragment;
}
