import { type ComponentProps, useLayoutEffect } from 'react';

type FormProps = Omit<ComponentProps<'form'>, 'onChange' | 'onSubmit'> & {
  /** What it is sent by. */
  sending: { isError: boolean; reset: () => void };
  onSend: () => void;
};

/** A form. What was refused is said until something in it changes, or it is opened anew: by then it is about something else. */
export function Form({ sending, onSend, ...rest }: FormProps) {
  const forget = () => {
    if (sending.isError) sending.reset();
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: only what was refused before the form was there
  useLayoutEffect(forget, []);
  return (
    <form
      {...rest}
      onChange={forget}
      onSubmit={(event) => {
        event.preventDefault();
        onSend();
      }}
    />
  );
}
