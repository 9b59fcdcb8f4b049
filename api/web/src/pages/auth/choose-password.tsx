import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { call, client, isProblem } from '@/api/client';
import { signedIn } from '@/api/session';
import { Button } from '@/components/ui/button';
import { Field, FieldError } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Notice } from '@/components/ui/notice';
import { PasswordInput } from '@/components/ui/password';
import { fieldWords, wordsFor } from '@/lib/errors';
import { useFragment } from '@/lib/fragment';
import { useTexts } from '@/texts';
import { CodeInput } from './code-input';
import { AuthFrame } from './frame';

/** Whoever was invited chooses a password. */
export function InvitationPage() {
  return <ChoosePassword kind="invitation" token={useFragment()} />;
}

/** Whoever's password was reset chooses another one. */
export function NewPasswordPage() {
  return <ChoosePassword kind="reset" token={useFragment()} />;
}

type ChooseProps = { kind: 'invitation' | 'reset'; token: string };

/** Each link begins from the start. */
function ChoosePassword({ kind, token }: ChooseProps) {
  return <Choose key={token} kind={kind} token={token} />;
}

function Choose({ kind, token }: ChooseProps) {
  const texts = useTexts();
  const { auth } = texts;
  const { title, text, submit } = auth[kind];
  const navigate = useNavigate();
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  // An authenticator app stays with the account when its password is reset.
  const [second, setSecond] = useState(false);
  const accept = useMutation({
    mutationFn: () => {
      const body = { token, password, ...(second ? { code: code.replace(/\s/g, '') } : {}) };
      return call(client.POST('/api/auth/invitations/accept', { body }));
    },
    onSuccess: async ({ user }) => {
      signedIn(user);
      await navigate({ to: '/instances' });
    },
    onError: (error) => {
      if (isProblem(error, 'second_factor_required')) setSecond(true);
    },
  });
  const { error } = accept;
  const unknown = isProblem(error, 'invalid_credentials');
  const wrongPassword = fieldWords(error, 'password', texts);
  const wrongCode = isProblem(error, 'invalid_code') ? auth.code.failed : undefined;
  const asked = isProblem(error, 'second_factor_required');
  const other = error && !asked && !wrongPassword && !wrongCode ? wordsFor(error, texts) : undefined;

  if (!token || unknown) {
    return (
      <AuthFrame title={title}>
        <Notice tone="warn" title={token ? auth.link.unknown : auth.link.missing}>
          {token ? auth.link.unknownText : auth.link.missingText}
        </Notice>
        <Button asChild variant="outline" size="lg" className="mt-5 w-full">
          <Link to="/sign-in">{auth.setup.goToSignIn}</Link>
        </Button>
      </AuthFrame>
    );
  }
  return (
    <AuthFrame title={title} text={text}>
      <Form className="space-y-4" sending={accept} onSend={accept.mutate}>
        <Field label={auth.newPassword} help={auth.passwordHelp} error={wrongPassword}>
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
        {second ? (
          <Field label={auth.code.label} help={auth.link.code} error={wrongCode}>
            {(control) => <CodeInput control={control} value={code} onChange={setCode} />}
          </Field>
        ) : null}
        {other ? <FieldError>{other}</FieldError> : null}
        <Button type="submit" size="lg" className="w-full" busy={accept.isPending}>
          {submit}
        </Button>
      </Form>
    </AuthFrame>
  );
}
