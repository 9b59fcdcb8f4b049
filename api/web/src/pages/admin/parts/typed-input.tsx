import { useEffect, useEffectEvent, useState } from 'react';
import { SearchInput } from '@/components/ui/search-input';

/** While somebody types, the list waits so long. */
const REST_MS = 350;

type TypedInputProps = {
  label: string;
  value: string;
  onRest: (value: string) => void;
  className?: string;
  icon?: boolean;
};

/** A text that counts once one stops typing. */
export function TypedInput({ value, onRest, icon = false, ...rest }: TypedInputProps) {
  const [text, setText] = useState(value);
  // What else was chosen meanwhile is not to be lost.
  const tell = useEffectEvent(() => {
    if (text.trim() !== value) onRest(text.trim());
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is typed starts the wait anew
  useEffect(() => {
    const timer = setTimeout(tell, REST_MS);
    return () => clearTimeout(timer);
  }, [text]);
  // The address has changed otherwise: by going back, or by clearing.
  useEffect(() => setText((was) => (was.trim() === value ? was : value)), [value]);
  return <SearchInput maxLength={200} value={text} onChange={setText} icon={icon} {...rest} />;
}
