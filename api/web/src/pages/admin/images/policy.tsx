import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Field } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { Switch } from '@/components/ui/switch';
import { When } from '@/components/when';
import { fieldWords } from '@/lib/errors';
import { useTexts } from '@/texts';
import { Loaded } from '../parts/loaded';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';

/** Which versions are known to be vulnerable, and what follows. */
export function PolicyCard() {
  const { images } = useAdminTexts();
  const query = useQuery({
    queryKey: ['admin', 'version-policy'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/version-policy', { signal })),
  });
  return (
    <Card>
      <CardHead title={images.policyTitle} text={images.policyText} />
      <CardBody>
        <Loaded query={query} rows={2}>
          {(policy) => <PolicyForm key={policy.updatedAt} policy={policy} />}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function PolicyForm({ policy }: { policy: Schemas['VersionPolicy'] }) {
  const texts = useTexts();
  const { images } = useAdminTexts();
  const [minimum, setMinimum] = useState(policy.minimumVersion ?? '');
  const [refuse, setRefuse] = useState(policy.refuseStart);
  const save = useChange({
    run: () =>
      call(
        client.PUT('/api/admin/version-policy', {
          body: { minimumVersion: minimum.trim() || null, refuseStart: refuse },
        }),
      ),
    done: () => images.policySaved,
    failed: images.policyFailed,
  });
  const same = (minimum.trim() || null) === (policy.minimumVersion ?? null) && refuse === policy.refuseStart;
  return (
    <Form className="space-y-4" sending={save} onSend={save.mutate}>
      <Field
        label={images.minimum}
        aside={texts.common.optional}
        help={images.minimumHelp}
        error={fieldWords(save.error, 'minimumVersion', texts)}
        className="max-w-sm"
      >
        {(control) => (
          <Input
            {...control}
            value={minimum}
            maxLength={64}
            placeholder="2026.9.6"
            onChange={(event) => setMinimum(event.target.value)}
          />
        )}
      </Field>
      <Switch checked={refuse} onChange={setRefuse} label={images.refuse} text={images.refuseText} />
      <div className="flex flex-wrap items-center gap-3">
        <Button type="submit" size="sm" disabled={same} busy={save.isPending}>
          {texts.common.save}
        </Button>
        <span className="text-xs text-muted">
          {images.policyChanged} <When at={policy.updatedAt} />
        </span>
      </div>
    </Form>
  );
}
