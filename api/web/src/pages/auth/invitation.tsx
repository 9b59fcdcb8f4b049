import { useMutation } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { call, client } from '@/api/client';
import { signedIn } from '@/api/session';
import { Button } from '@/components/ui/button';
import { Field } from '@/components/ui/field';
import { Notice } from '@/components/ui/notice';
import { PasswordInput } from '@/components/ui/password';
import { fieldWords, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { AuthFrame } from './frame';
import { takeFragment } from './setup';

/** Whoever was invited chooses a password. The token of the invitation comes after the `#`. */
export function InvitationPage() {
  const texts = useTexts();
  const { auth } = texts;
  const navigate = useNavigate();
  const [token] = useState(takeFragment);
  const [password, setPassword] = useState('');
  const accept = useMutation({
    mutationFn: () => call(client.POST('/api/auth/invitations/accept', { body: { token, password } })),
    onSuccess: async ({ user }) => {
      signedIn(user);
      await navigate({ to: '/instances' });
    },
  });
  const failed = accept.error
    ? (fieldWords(accept.error, 'password', texts) ?? wordsFor(accept.error, texts))
    : undefined;
  return (
    <AuthFrame title={auth.invitation.title} text={auth.invitation.text}>
      {token ? (
        <form
          className="space-y-4"
          onSubmit={(event: FormEvent) => {
            event.preventDefault();
            accept.mutate();
          }}
        >
          <Field label={auth.newPassword} help={auth.passwordHelp} error={failed}>
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
          <Button type="submit" size="lg" className="w-full" busy={accept.isPending}>
            {auth.invitation.submit}
          </Button>
        </form>
      ) : (
        <Notice tone="warn" title={auth.invitation.missing} />
      )}
    </AuthFrame>
  );
}
