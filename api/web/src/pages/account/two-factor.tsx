import { useMutation } from '@tanstack/react-query';
import { Download } from 'lucide-react';
import { useId, useState } from 'react';
import { call, client } from '@/api/client';
import type { Totp } from '@/api/contract';
import { queryClient } from '@/api/query-client';
import { meQuery, useMe } from '@/api/session';
import { toast } from '@/components/toasts';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { CopyButton } from '@/components/ui/copy';
import { Dialog } from '@/components/ui/dialog';
import { Field } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { PasswordInput } from '@/components/ui/password';
import { download } from '@/lib/download';
import { fieldWords, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { QrCode } from './qr-code';

/** A code from an authenticator app besides the password: set up, switched off. */
export function TwoFactor() {
  const texts = useTexts();
  const { totp: words } = texts.account;
  const me = useMe();
  const on = Boolean(me && 'totpConfirmedAt' in me && me.totpConfirmedAt);
  const [secret, setSecret] = useState<Totp | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const [disabling, setDisabling] = useState(false);
  const begin = useMutation({
    mutationFn: () => call(client.POST('/api/me/totp')),
    onSuccess: setSecret,
    onError: (error) => toast.error(texts.errors.toast(words.setUp), wordsFor(error, texts)),
    gcTime: 0,
  });
  return (
    <Card>
      <CardHead
        title={
          <span className="flex items-center gap-2">
            {words.title}
            <Badge tone={on ? 'good' : 'neutral'}>{on ? words.on : words.off}</Badge>
          </span>
        }
        text={words.text}
        className="pb-4"
        action={
          on ? (
            <Button size="sm" variant="dangerOutline" onClick={() => setDisabling(true)}>
              {words.disable}
            </Button>
          ) : secret ? null : (
            <Button size="sm" busy={begin.isPending} onClick={() => begin.mutate()}>
              {words.setUp}
            </Button>
          )
        }
      />
      {secret && !on ? (
        <Confirm
          secret={secret}
          onCancel={() => setSecret(null)}
          onDone={(recovery) => {
            setSecret(null);
            setCodes(recovery);
          }}
        />
      ) : null}
      <RecoveryCodes codes={codes} onClose={() => setCodes(null)} />
      <Disable open={disabling} onClose={() => setDisabling(false)} />
    </Card>
  );
}

type ConfirmProps = { secret: Totp; onCancel: () => void; onDone: (codes: string[]) => void };

function Confirm({ secret, onCancel, onDone }: ConfirmProps) {
  const texts = useTexts();
  const { totp: words } = texts.account;
  const [code, setCode] = useState('');
  const confirm = useMutation({
    mutationFn: () => call(client.POST('/api/me/totp/confirm', { body: { code: code.replace(/\s/g, '') } })),
    onSuccess: ({ recoveryCodes }) => {
      toast.success(words.done);
      onDone(recoveryCodes);
      void queryClient.invalidateQueries({ queryKey: meQuery.queryKey });
    },
    gcTime: 0,
  });
  const { error } = confirm;
  const failed = error
    ? (fieldWords(error, 'code', texts, { wrong: words.wrong }) ?? wordsFor(error, texts))
    : undefined;
  return (
    <CardBody className="flex flex-wrap items-start gap-6 border-t">
      <QrCode text={secret.otpauthUrl} label={words.qr} />
      <Form className="min-w-56 flex-1 space-y-4" sending={confirm} onSend={confirm.mutate}>
        <p className="text-muted">{words.scan}</p>
        <div className="flex items-center gap-1 rounded-lg border bg-sunken/60 py-1 pr-1 pl-3">
          <code className="min-w-0 flex-1 overflow-x-auto font-mono text-xs">{secret.secret}</code>
          <CopyButton value={secret.secret} what={words.key} />
        </div>
        <Field label={words.code} error={failed}>
          {(control) => (
            <Input
              {...control}
              required
              inputMode="numeric"
              autoComplete="one-time-code"
              className="font-mono tracking-widest"
              value={code}
              onChange={(event) => setCode(event.target.value)}
            />
          )}
        </Field>
        <div className="flex gap-2">
          <Button type="submit" size="sm" busy={confirm.isPending}>
            {words.confirm}
          </Button>
          <Button size="sm" variant="ghost" onClick={onCancel}>
            {texts.common.cancel}
          </Button>
        </div>
      </Form>
    </CardBody>
  );
}

function RecoveryCodes({ codes, onClose }: { codes: string[] | null; onClose: () => void }) {
  const { totp: words } = useTexts().account;
  const text = (codes ?? []).join('\n');
  return (
    <Dialog
      open={Boolean(codes)}
      onOpenChange={onClose}
      title={words.codes}
      text={words.codesText}
      wide
      firm
      actions={
        <>
          <Button variant="outline" onClick={() => download('clawdeploy-recovery-codes.txt', `${text}\n`)}>
            <Download aria-hidden />
            {words.download}
          </Button>
          <Button onClick={onClose}>{words.codesSaved}</Button>
        </>
      }
    >
      <div className="flex items-start gap-2 rounded-lg border bg-sunken p-3">
        <ul className="grid flex-1 gap-x-6 sm:grid-cols-2 gap-y-1 font-mono text-sm">
          {codes?.map((code) => (
            <li key={code}>{code}</li>
          ))}
        </ul>
        <CopyButton value={text} what={words.codes} />
      </div>
    </Dialog>
  );
}

function Disable({ open, onClose }: { open: boolean; onClose: () => void }) {
  const texts = useTexts();
  const { totp: words } = texts.account;
  const [password, setPassword] = useState('');
  const form = useId();
  const disable = useMutation({
    mutationFn: () => call(client.DELETE('/api/me/totp', { body: { password } })),
    onSuccess: () => {
      toast.success(words.disabled);
      void queryClient.invalidateQueries({ queryKey: meQuery.queryKey });
      close();
    },
  });
  const { error } = disable;
  const failed = error
    ? (fieldWords(error, 'password', texts, { wrong: texts.account.password.wrong }) ?? wordsFor(error, texts))
    : undefined;
  function close() {
    setPassword('');
    onClose();
  }
  return (
    <Dialog
      open={open}
      onOpenChange={close}
      title={words.disableTitle}
      text={words.disableText}
      actions={
        <>
          <Button variant="ghost" onClick={close}>
            {texts.common.cancel}
          </Button>
          <Button type="submit" form={form} variant="danger" disabled={!password} busy={disable.isPending}>
            {words.disable}
          </Button>
        </>
      }
    >
      <Form id={form} sending={disable} onSend={disable.mutate}>
        <Field label={texts.auth.password} error={failed}>
          {(control) => (
            <PasswordInput
              {...control}
              required
              autoComplete="current-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
      </Form>
    </Dialog>
  );
}
