import { useMutation, useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { authOptionsQuery } from '@/api/auth';
import { call, client, isProblem } from '@/api/client';
import { queryClient } from '@/api/query-client';
import { signedIn } from '@/api/session';
import { Button } from '@/components/ui/button';
import { Field, FieldError } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { PasswordInput } from '@/components/ui/password';
import { fieldWords, wordsFor } from '@/lib/errors';
import { useFragment } from '@/lib/fragment';
import { useTexts } from '@/texts';
import { AuthFrame } from './frame';

/** Makes the first administrator of an installation. */
export function SetupPage() {
  const texts = useTexts();
  const { auth } = texts;
  const navigate = useNavigate();
  const options = useQuery(authOptionsQuery);
  // The installer's link carries the token after the `#`; it leaves the address bar with the first render.
  const given = useFragment();
  const [token, setToken] = useState(given);
  useEffect(() => {
    if (given) setToken(given);
  }, [given]);
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const setup = useMutation({
    mutationFn: () => call(client.POST('/api/auth/setup', { body: { token: token.trim(), email, password } })),
    onSuccess: async ({ user }) => {
      signedIn(user);
      await navigate({ to: '/instances' });
    },
    onError: (error) => {
      // Somebody was quicker: then this page says so.
      if (isProblem(error, 'setup_done')) void queryClient.invalidateQueries({ queryKey: authOptionsQuery.queryKey });
    },
  });
  const error = (field: string) =>
    field === 'token' && isProblem(setup.error, 'invalid_credentials')
      ? auth.setup.wrongToken
      : fieldWords(setup.error, field, texts);
  const other = setup.error && !['token', 'email', 'password'].some(error) ? wordsFor(setup.error, texts) : undefined;

  if (options.data && !options.data.setupRequired) {
    return (
      <AuthFrame title={auth.setup.title} text={auth.setup.done}>
        <Button asChild size="lg" className="w-full">
          <Link to="/sign-in">{auth.setup.goToSignIn}</Link>
        </Button>
      </AuthFrame>
    );
  }
  return (
    <AuthFrame title={auth.setup.title} text={auth.setup.text}>
      <Form className="space-y-4" sending={setup} onSend={setup.mutate}>
        <Field label={auth.setup.token} error={error('token')}>
          {(control) => (
            <Input
              {...control}
              required
              autoComplete="off"
              spellCheck={false}
              className="font-mono"
              value={token}
              onChange={(event) => setToken(event.target.value)}
            />
          )}
        </Field>
        <Field label={auth.email} error={error('email')}>
          {(control) => (
            <Input
              {...control}
              type="email"
              required
              autoComplete="username"
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
          )}
        </Field>
        <Field label={auth.newPassword} help={auth.passwordHelp} error={error('password')}>
          {(control) => (
            <PasswordInput
              {...control}
              required
              autoComplete="new-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        {other ? <FieldError>{other}</FieldError> : null}
        <Button type="submit" size="lg" className="w-full" busy={setup.isPending}>
          {auth.setup.submit}
        </Button>
      </Form>
    </AuthFrame>
  );
}
