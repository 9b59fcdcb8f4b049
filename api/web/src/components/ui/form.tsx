import type { ComponentProps } from 'react';

type FormProps = Omit<ComponentProps<'form'>, 'onChange' | 'onSubmit'> & {
  /** What it is sent by. */
  sending: { isError: boolean; reset: () => void };
  onSend: () => void;
};

/** A form. What was refused is said until something in it changes: by then it is about something else. */
export function Form({ sending, onSend, ...rest }: FormProps) {
  return (
    <form
      {...rest}
      onChange={() => {
        if (sending.isError) sending.reset();
      }}
      onSubmit={(event) => {
        event.preventDefault();
        onSend();
      }}
    />
  );
}
