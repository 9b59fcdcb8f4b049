import { useNavigate } from '@tanstack/react-router';
import { Hammer } from 'lucide-react';
import { useState } from 'react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Field } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { Notice } from '@/components/ui/notice';
import { Select } from '@/components/ui/select';
import { Switch } from '@/components/ui/switch';
import { fieldWords, isAtFields, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';

type Source = Schemas['ImageSource'] | 'default';

/** Builds an image: as the workers are set, or something else. */
export function BuildDialog() {
  const texts = useTexts();
  const { images } = useAdminTexts();
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const [source, setSource] = useState<Source>('default');
  const [version, setVersion] = useState('');
  const [reference, setReference] = useState('');
  const [force, setForce] = useState(false);
  const build = useChange({
    run: () =>
      call(
        client.POST('/api/admin/image/rebuild', {
          body: {
            ...(source === 'default' ? {} : { source }),
            ...(source === 'release' && version.trim() ? { version: version.trim() } : {}),
            ...((source === 'git' || source === 'registry') && reference.trim() ? { reference: reference.trim() } : {}),
            force,
          },
        }),
      ),
    failed: images.buildFailed,
    onDone: ({ job, joined }) => {
      setOpen(false);
      toast.success(joined ? images.joined : images.building);
      void navigate({ to: '/admin/jobs/$jobId', params: { jobId: job.id } });
    },
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>
        <Hammer aria-hidden />
        {images.build}
      </Button>
      <Dialog
        open={open}
        onOpenChange={setOpen}
        title={images.buildTitle}
        text={images.buildText}
        actions={
          <>
            <Button variant="outline" onClick={() => setOpen(false)}>
              {texts.common.cancel}
            </Button>
            <Button type="submit" form="build" busy={build.isPending}>
              {images.buildYes}
            </Button>
          </>
        }
      >
        <Form id="build" className="space-y-4" sending={build} onSend={build.mutate}>
          {build.error && !isAtFields(build.error) ? <Notice tone="bad" title={wordsFor(build.error, texts)} /> : null}
          <Field label={images.source}>
            {(control) => (
              <Select
                control={control}
                value={source}
                onChange={setSource}
                options={[
                  { value: 'default' as const, label: images.asSet },
                  { value: 'release' as const, label: images.sources.release },
                  { value: 'git' as const, label: images.sources.git },
                  { value: 'registry' as const, label: images.sources.registry },
                ]}
              />
            )}
          </Field>
          {source === 'release' ? (
            <Field
              label={images.version}
              aside={texts.common.optional}
              help={images.versionHelp}
              error={fieldWords(build.error, 'version', texts)}
            >
              {(control) => (
                <Input
                  {...control}
                  value={version}
                  maxLength={64}
                  placeholder="2026.9.6"
                  onChange={(event) => setVersion(event.target.value)}
                />
              )}
            </Field>
          ) : null}
          {source === 'git' || source === 'registry' ? (
            <Field
              label={images.reference}
              aside={texts.common.optional}
              help={source === 'git' ? images.gitHelp : images.registryHelp}
              error={fieldWords(build.error, 'reference', texts)}
            >
              {(control) => (
                <Input
                  {...control}
                  value={reference}
                  maxLength={255}
                  onChange={(event) => setReference(event.target.value)}
                />
              )}
            </Field>
          ) : null}
          <Switch checked={force} onChange={setForce} label={images.force} text={images.forceText} />
        </Form>
      </Dialog>
    </>
  );
}
