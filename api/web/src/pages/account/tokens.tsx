import { useMutation, useQuery } from '@tanstack/react-query';
import { Plus } from 'lucide-react';
import { useId, useState } from 'react';
import { tokensQuery } from '@/api/auth';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { queryClient } from '@/api/query-client';
import { LoadFailed, PageLoading } from '@/components/state';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Card, CardHead } from '@/components/ui/card';
import { CopyButton } from '@/components/ui/copy';
import { Dialog } from '@/components/ui/dialog';
import { Field, FieldError } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { Select } from '@/components/ui/select';
import { fieldWords, wordsFor } from '@/lib/errors';
import { useFormat, useNow } from '@/lib/format';
import { useTexts } from '@/texts';

const SCOPES = ['read', 'operate', 'admin'] as const satisfies Schemas['TokenScope'][];
const DAYS = ['30', '90', '365'] as const;

/** Tokens for programs. */
export function Tokens() {
  const { tokens: words } = useTexts().account;
  const tokens = useQuery(tokensQuery);
  const [creating, setCreating] = useState(false);
  return (
    <Card>
      <CardHead
        title={words.title}
        text={words.text}
        className="pb-3"
        action={
          <Button size="sm" variant="outline" onClick={() => setCreating(true)}>
            <Plus aria-hidden />
            {words.create}
          </Button>
        }
      />
      {tokens.isError && !tokens.data ? (
        <LoadFailed error={tokens.error} onRetry={() => void tokens.refetch()} />
      ) : !tokens.data ? (
        <PageLoading />
      ) : tokens.data.items.length ? (
        <ul className="divide-y border-t">
          {tokens.data.items.map((token) => (
            <Row key={token.id} token={token} />
          ))}
        </ul>
      ) : (
        <p className="px-5 pb-5 text-muted">{words.none}</p>
      )}
      {creating ? <Create onClose={() => setCreating(false)} /> : null}
    </Card>
  );
}

function Row({ token }: { token: Schemas['TokenView'] }) {
  const texts = useTexts();
  const { tokens: words } = texts.account;
  const format = useFormat();
  const now = useNow();
  const [asking, setAsking] = useState(false);
  const revoke = useMutation({
    mutationFn: () => call(client.DELETE('/api/tokens/{id}', { params: { path: { id: token.id } } })),
    onSuccess: () => toast.success(words.revoked(token.name)),
    onError: (error) => toast.error(texts.errors.toast(words.revoke), wordsFor(error, texts)),
    onSettled: () => queryClient.invalidateQueries({ queryKey: tokensQuery.queryKey }),
  });
  const used = token.lastUsedAt ? words.used(format.relative(token.lastUsedAt, now)) : words.neverUsed;
  const expires = token.expiresAt ? words.expiresAt(format.relative(token.expiresAt, now)) : words.neverExpires;
  return (
    <li className="flex items-center gap-4 px-5 py-3">
      <div className="min-w-0 flex-1">
        <p className="truncate font-medium">{token.name}</p>
        <p className="truncate text-[0.8125rem] text-muted">{`${words.scopes[token.scope]} · ${used} · ${expires}`}</p>
      </div>
      <Button size="sm" variant="dangerOutline" onClick={() => setAsking(true)}>
        {words.revoke}
      </Button>
      <Dialog
        open={asking}
        onOpenChange={setAsking}
        title={words.revokeTitle(token.name)}
        text={words.revokeText}
        actions={
          <>
            <Button variant="ghost" onClick={() => setAsking(false)}>
              {texts.common.cancel}
            </Button>
            <Button variant="danger" busy={revoke.isPending} onClick={() => revoke.mutate()}>
              {words.revoke}
            </Button>
          </>
        }
      />
    </li>
  );
}

/** Makes a token, and shows it the only time it can be seen. */
function Create({ onClose }: { onClose: () => void }) {
  const texts = useTexts();
  const { tokens: words } = texts.account;
  const [name, setName] = useState('');
  const [scope, setScope] = useState<Schemas['TokenScope']>('operate');
  const [days, setDays] = useState<(typeof DAYS)[number]>('90');
  const form = useId();
  const create = useMutation({
    mutationFn: () =>
      call(client.POST('/api/tokens', { body: { name: name.trim(), scope, expiresInDays: Number(days) } })),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: tokensQuery.queryKey }),
    gcTime: 0,
  });
  const made = create.data;
  if (made) {
    return (
      <Dialog
        open
        onOpenChange={onClose}
        title={words.shownOnce}
        text={words.shownOnceText}
        firm
        actions={<Button onClick={onClose}>{words.done}</Button>}
      >
        <div className="flex items-center gap-1 rounded-lg border bg-sunken py-1 pr-1 pl-3">
          <code className="min-w-0 flex-1 font-mono text-xs break-all">{made.token}</code>
          <CopyButton value={made.token} what={words.token} />
        </div>
      </Dialog>
    );
  }
  const named = fieldWords(create.error, 'name', texts);
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={words.create}
      text={words.text}
      actions={
        <>
          <Button variant="ghost" onClick={onClose}>
            {texts.common.cancel}
          </Button>
          <Button type="submit" form={form} disabled={!name.trim()} busy={create.isPending}>
            {words.submit}
          </Button>
        </>
      }
    >
      <Form id={form} className="space-y-4" sending={create} onSend={create.mutate}>
        <Field label={words.name} error={named}>
          {(control) => (
            <Input
              {...control}
              autoFocus
              placeholder={words.namePlaceholder}
              autoComplete="off"
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label={words.scope}>
          {(control) => (
            <Select
              control={control}
              value={scope}
              onChange={setScope}
              options={SCOPES.map((value) => ({ value, label: words.scopes[value] }))}
            />
          )}
        </Field>
        <Field label={words.expires}>
          {(control) => (
            <Select
              control={control}
              value={days}
              onChange={setDays}
              options={DAYS.map((value) => ({ value, label: words.days(Number(value)) }))}
            />
          )}
        </Field>
        {create.error && !named ? <FieldError>{wordsFor(create.error, texts)}</FieldError> : null}
      </Form>
    </Dialog>
  );
}
