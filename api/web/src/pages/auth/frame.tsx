import { Languages } from 'lucide-react';
import { type ReactNode, useEffect } from 'react';
import { Logo } from '@/components/logo';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { useLanguage, useTexts } from '@/texts';

/** What is around the pages before one is signed in. */
export function AuthFrame({ title, text, children }: { title: string; text?: ReactNode; children: ReactNode }) {
  const { common, auth } = useTexts();
  const { language, speak } = useLanguage();
  useEffect(() => {
    document.title = `${title} · ${common.product}`;
  }, [title, common.product]);
  return (
    <main id="content" className="flex min-h-dvh flex-col items-center justify-center gap-6 px-4 py-10">
      <div className="flex flex-col items-center gap-3 text-center">
        <Logo className="size-11" />
        <div>
          <p className="text-lg font-semibold tracking-tight">{common.product}</p>
          <p className="text-muted">{auth.tagline}</p>
        </div>
      </div>
      <Card className="w-full max-w-sm p-6">
        <h1 className="text-base font-semibold tracking-tight">{title}</h1>
        {text ? <p className="mt-1 text-muted">{text}</p> : null}
        <div className="mt-5">{children}</div>
      </Card>
      <Button
        variant="ghost"
        size="sm"
        lang={language === 'zh' ? 'en' : 'zh-CN'}
        onClick={() => speak(language === 'zh' ? 'en' : 'zh')}
      >
        <Languages aria-hidden />
        {language === 'zh' ? 'English' : '简体中文'}
      </Button>
    </main>
  );
}
