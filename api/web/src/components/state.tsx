// What a page shows while it loads, when it cannot, and when it has failed altogether.
import { Link, useRouter } from '@tanstack/react-router';
import { CircleAlert, Compass, RotateCw } from 'lucide-react';
import { ApiError } from '@/api/client';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { Spinner } from '@/components/ui/spinner';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';

/** A page that is on its way. */
export function PageLoading() {
  const { common } = useTexts();
  return (
    <div role="status" className="grid min-h-64 place-items-center text-muted">
      <Spinner className="size-6" />
      <span className="sr-only">{common.loading}</span>
    </div>
  );
}

/** A part of a page that could not be loaded. */
export function LoadFailed({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const texts = useTexts();
  const request = error instanceof ApiError ? error.requestId : undefined;
  return (
    <div role="alert">
      <Empty
        icon={CircleAlert}
        title={texts.common.failed.title}
        text={
          <>
            {wordsFor(error, texts)}
            {request ? (
              <span className="mt-2 block font-mono text-xs">{texts.common.failed.request(request)}</span>
            ) : null}
          </>
        }
        action={
          <Button variant="outline" onClick={onRetry}>
            <RotateCw aria-hidden />
            {texts.common.retry}
          </Button>
        }
      />
    </div>
  );
}

/** What stands in place of a page whose code has failed. */
export function PageCrashed({ error }: { error: unknown }) {
  const texts = useTexts();
  const router = useRouter();
  if (error instanceof ApiError) return <LoadFailed error={error} onRetry={() => void router.invalidate()} />;
  return (
    <Card className="mx-auto mt-10 max-w-lg" role="alert">
      <Empty
        icon={CircleAlert}
        title={texts.common.crashed.title}
        text={texts.common.crashed.text}
        action={<Button onClick={() => location.reload()}>{texts.common.crashed.reload}</Button>}
      />
    </Card>
  );
}

export function PageNotFound() {
  const { notFound } = useTexts().common;
  return (
    <main id="content" className="mx-auto max-w-lg px-4 py-16">
      <h1 className="sr-only">{notFound.title}</h1>
      <Card>
        <Empty
          icon={Compass}
          title={notFound.title}
          text={notFound.text}
          action={
            <Button asChild>
              <Link to="/instances">{notFound.home}</Link>
            </Button>
          }
        />
      </Card>
    </main>
  );
}
