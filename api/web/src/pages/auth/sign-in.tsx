import { useMutation, useQuery } from '@tanstack/react-query';
import { useRouter, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { authOptionsQuery } from '@/api/auth';
import { call, client, isProblem } from '@/api/client';
import { hasEnded, signedIn } from '@/api/session';
import { Button } from '@/components/ui/button';
import { Field } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { Notice } from '@/components/ui/notice';
import { PasswordInput } from '@/components/ui/password';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { CodeInput } from './code-input';
import { AuthFrame } from './frame';

type Credentials = { email: string; password: string; code?: string };

export function SignInPage() {
  const texts = useTexts();
  const { auth } = texts;
  const { to, error } = useSearch({ from: '/sign-in' });
  const router = useRouter();
  const options = useQuery(authOptionsQuery).data;
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [step, setStep] = useState<'password' | 'code'>('password');
  const signIn = useMutation({
    mutationFn: (body: Credentials) => call(client.POST('/api/auth/login', { body })),
    onSuccess: ({ user }) => {
      signedIn(user);
      // Not through the router's own links: where it leads is known only now.
      router.history.replace(to ?? '/instances');
    },
    onError: (error) => {
      if (isProblem(error, 'second_factor_required')) setStep('code');
    },
  });
  const send = () =>
    signIn.mutate(step === 'code' ? { email, password, code: code.replace(/\s/g, '') } : { email, password });
  const asked = isProblem(signIn.error, 'second_factor_required');
  const failed = signIn.error && !asked ? failure(signIn.error) : undefined;
  function failure(error: Error): string {
    if (isProblem(error, 'invalid_code')) return auth.code.failed;
    return isProblem(error, 'invalid_credentials') ? auth.signIn.failed : wordsFor(error, texts);
  }

  if (step === 'code') {
    return (
      <AuthFrame title={auth.code.title} text={auth.code.text}>
        <Form className="space-y-4" sending={signIn} onSend={send}>
          <Field label={auth.code.label} error={failed}>
            {(control) => <CodeInput control={control} value={code} onChange={setCode} />}
          </Field>
          <Button type="submit" size="lg" className="w-full" busy={signIn.isPending}>
            {auth.code.submit}
          </Button>
          <Button
            variant="ghost"
            className="w-full"
            onClick={() => {
              setStep('password');
              setPassword('');
              setCode('');
              signIn.reset();
            }}
          >
            {auth.code.back}
          </Button>
        </Form>
      </AuthFrame>
    );
  }

  return (
    <AuthFrame title={auth.signIn.title}>
      <Form className="space-y-4" sending={signIn} onSend={send}>
        {error ? (
          <Notice tone="warn" title={auth.signIn.oidcErrors[error]} />
        ) : hasEnded() ? (
          <Notice tone="busy" title={auth.signIn.ended}>
            {auth.signIn.endedText}
          </Notice>
        ) : null}
        <Field label={auth.email}>
          {(control) => (
            <Input
              {...control}
              type="email"
              name="email"
              autoComplete="username"
              required
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
          )}
        </Field>
        <Field label={auth.password} error={failed}>
          {(control) => (
            <PasswordInput
              {...control}
              name="password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        <Button type="submit" size="lg" className="w-full" busy={signIn.isPending}>
          {auth.signIn.submit}
        </Button>
        {options?.oidc ? (
          <>
            <div className="flex items-center gap-3 text-xs text-muted before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">
              {auth.signIn.or}
            </div>
            <Button asChild variant="outline" size="lg" className="w-full">
              <a href="/api/auth/oidc/start">{auth.signIn.oidc(options.oidc.name)}</a>
            </Button>
          </>
        ) : null}
        <p className="text-center text-xs text-muted">{auth.signIn.forgotten}</p>
      </Form>
    </AuthFrame>
  );
}
