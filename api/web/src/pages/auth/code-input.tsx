import type { FieldControl } from '@/components/ui/field';
import { Input } from '@/components/ui/input';

type CodeInputProps = { control: FieldControl; value: string; onChange: (value: string) => void };

/** A code of an authenticator app, or a recovery code. It appears when it is asked for, and is what comes next. */
export function CodeInput({ control, value, onChange }: CodeInputProps) {
  return (
    <Input
      {...control}
      autoFocus
      required
      name="code"
      autoComplete="one-time-code"
      className="font-mono tracking-widest"
      value={value}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}
