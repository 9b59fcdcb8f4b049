import { type ReactNode, useEffect } from 'react';
import { useTexts } from '@/texts';

type PageProps = {
  title: string;
  text?: ReactNode;
  heading?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  narrow?: boolean;
};

/** A page below the layout: its heading, its name in the browser's tab, and what is on it. */
export function Page({ title, text, heading, actions, children, narrow }: PageProps) {
  const { common } = useTexts();
  useEffect(() => {
    document.title = `${title} · ${common.product}`;
  }, [title, common.product]);
  return (
    <div className={narrow ? 'mx-auto w-full max-w-2xl' : 'mx-auto w-full max-w-6xl'}>
      <div className="mb-6 flex flex-wrap items-center justify-between gap-x-6 gap-y-4">
        <div className="min-w-0">
          {heading ?? <h1 className="text-xl font-semibold tracking-tight">{title}</h1>}
          {text ? <p className="mt-1 text-muted">{text}</p> : null}
        </div>
        {actions ? <div className="flex flex-wrap items-center gap-2">{actions}</div> : null}
      </div>
      {children}
    </div>
  );
}
