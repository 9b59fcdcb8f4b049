import { Switch as Radix } from 'radix-ui';
import { type ReactNode, useId } from 'react';

type SwitchProps = {
  checked: boolean;
  onChange: (checked: boolean) => void;
  label: ReactNode;
  text?: ReactNode;
  disabled?: boolean;
};

/** Yes or no, with what it is about beside it. */
export function Switch({ checked, onChange, label, text, disabled }: SwitchProps) {
  const id = useId();
  return (
    <div className="flex items-start gap-3">
      <Radix.Root
        id={id}
        checked={checked}
        onCheckedChange={onChange}
        {...(disabled ? { disabled } : {})}
        className="mt-0.5 h-5 w-9 shrink-0 rounded-full bg-line-strong p-0.5 transition-colors data-[state=checked]:bg-good disabled:opacity-50"
      >
        <Radix.Thumb className="block size-4 rounded-full bg-white shadow transition-transform data-[state=checked]:translate-x-4" />
      </Radix.Root>
      <label htmlFor={id} className="min-w-0">
        <span className="block font-medium">{label}</span>
        {text ? <span className="block text-[0.8125rem] text-muted">{text}</span> : null}
      </label>
    </div>
  );
}
