import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { sessionsQuery } from '@/api/auth';
import { call, client } from '@/api/client';
import { queryClient } from '@/api/query-client';
import { useMe } from '@/api/session';
import { Page } from '@/components/page';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Field, FieldError } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { PasswordInput } from '@/components/ui/password';
import { fieldWords, wordsFor } from '@/lib/errors';
import { useFormat } from '@/lib/format';
import { useTexts } from '@/texts';
import { Sessions } from './sessions';
import { Tokens } from './tokens';
import { TwoFactor } from './two-factor';

/** What belongs to a person: password, second factor, browsers, tokens. */
export function ProfilePage() {
  const { account: words } = useTexts();
  return (
    <Page title={words.title} narrow>
      <div className="space-y-5">
        <Who />
        <Password />
        <TwoFactor />
        <Sessions />
        <Tokens />
        <Activity />
      </div>
    </Page>
  );
}

function Activity() {
  const { activity: words } = useTexts().account;
  return (
    <Card>
      <CardHead title={words.title} text={words.text} />
      <CardBody>
        <Button asChild size="sm" variant="outline">
          <Link to="/profile/activity">{words.open}</Link>
        </Button>
      </CardBody>
    </Card>
  );
}

function Who() {
  const { account: words } = useTexts();
  const format = useFormat();
  const me = useMe();
  if (!me) return null;
  const rows = [
    [words.email, me.email],
    [words.role, words.roles[me.role]],
    [words.since, format.moment(me.createdAt)],
  ];
  return (
    <Card>
      <CardHead title={words.who} />
      <CardBody className="pt-2">
        <dl className="divide-y">
          {rows.map(([label, value]) => (
            <div key={label} className="flex justify-between gap-4 py-2">
              <dt className="text-muted">{label}</dt>
              <dd className="min-w-0 truncate">{value}</dd>
            </div>
          ))}
        </dl>
      </CardBody>
    </Card>
  );
}

function Password() {
  const texts = useTexts();
  const { password: words } = texts.account;
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const change = useMutation({
    mutationFn: () => call(client.POST('/api/me/password', { body: { current, new: next } })),
    onSuccess: () => {
      toast.success(words.done);
      setCurrent('');
      setNext('');
      // The others are over.
      void queryClient.invalidateQueries({ queryKey: sessionsQuery.queryKey });
    },
  });
  const error = (field: string) => fieldWords(change.error, field, texts, { wrong: words.wrong });
  const other = change.error && !error('current') && !error('new') ? wordsFor(change.error, texts) : undefined;
  return (
    <Card>
      <CardHead title={words.title} text={words.text} />
      <Form sending={change} onSend={change.mutate}>
        <CardBody className="space-y-4">
          <Field label={words.current} error={error('current')}>
            {(control) => (
              <PasswordInput
                {...control}
                required
                autoComplete="current-password"
                value={current}
                onChange={(event) => setCurrent(event.target.value)}
              />
            )}
          </Field>
          <Field label={words.new} help={texts.auth.passwordHelp} error={error('new')}>
            {(control) => (
              <PasswordInput
                {...control}
                required
                autoComplete="new-password"
                value={next}
                onChange={(event) => setNext(event.target.value)}
              />
            )}
          </Field>
          {other ? <FieldError>{other}</FieldError> : null}
          <Button type="submit" size="sm" disabled={!current || !next} busy={change.isPending}>
            {words.submit}
          </Button>
        </CardBody>
      </Form>
    </Card>
  );
}
