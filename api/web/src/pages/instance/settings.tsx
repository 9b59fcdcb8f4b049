import { type ReactNode, useState } from 'react';
import { type EditInstance, type Instance, useEdit, useInstance } from '@/api/instances';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Field, FieldError } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { Switch } from '@/components/ui/switch';
import { fieldWords, isAtFields, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { type Channel, ChannelFields, LimitFields, type Provider, ProviderFields } from '../instances/credentials';
import { DeleteDialog } from './delete-dialog';
import { EnvSettings } from './env-settings';
import { useInstanceId } from './use-id';

/** What can be changed of an instance, each part by itself. */
export function Settings() {
  const instance = useInstance(useInstanceId()).data;
  if (!instance) return null;
  // What was typed stays while the instance is asked for anew; another instance is another form.
  return (
    <div key={instance.id} className="mx-auto max-w-2xl space-y-5">
      <NameSettings instance={instance} />
      <ChannelSettings instance={instance} />
      <ProviderSettings instance={instance} />
      <LimitSettings instance={instance} />
      <EnvSettings instance={instance} />
      <Danger instance={instance} />
    </div>
  );
}

type SectionProps = {
  title: string;
  text?: ReactNode;
  /** Something differs from what there is. */
  changed: boolean;
  /** It takes a new container. */
  restarts?: boolean;
  instance: Instance;
  body: () => EditInstance;
  onSaved?: () => void;
  children: (error: (field: string) => string | undefined) => ReactNode;
};

/** A part of the settings with its own button. */
export function Section({ title, text, changed, restarts, instance, body, onSaved, children }: SectionProps) {
  const texts = useTexts();
  const words = texts.instance.settings;
  const edit = useEdit(instance.id);
  const [now, setNow] = useState(true);
  const send = () => {
    const running = instance.status === 'running';
    edit.mutate(restarts && running && now ? { ...body(), applyNow: true } : body(), {
      onSuccess: ({ job }) => {
        toast.success(job ? words.savedNow : restarts && running ? words.savedLater : words.saved);
        onSaved?.();
      },
    });
  };
  return (
    <Card>
      <Form sending={edit} onSend={send} noValidate>
        <CardHead title={title} text={text} />
        <CardBody className="space-y-4">
          {children((field) => fieldWords(edit.error, field, texts))}
          {edit.error && !isAtFields(edit.error) ? <FieldError>{wordsFor(edit.error, texts)}</FieldError> : null}
        </CardBody>
        <div className="flex flex-wrap items-center justify-between gap-3 rounded-b-xl border-t bg-sunken/60 px-5 py-3">
          {restarts && instance.status === 'running' ? (
            <Switch checked={now} onChange={setNow} label={words.applyNow} text={words.applyNowText} />
          ) : (
            <span />
          )}
          <Button type="submit" size="sm" disabled={!changed} busy={edit.isPending}>
            {texts.common.save}
          </Button>
        </div>
      </Form>
    </Card>
  );
}

function NameSettings({ instance }: { instance: Instance }) {
  const { instance: words, create } = useTexts();
  const [name, setName] = useState(instance.name);
  return (
    <Section
      title={words.settings.general}
      text={words.settings.generalText}
      instance={instance}
      changed={Boolean(name.trim()) && name.trim() !== instance.name}
      body={() => ({ name: name.trim() })}
    >
      {(error) => (
        <Field label={create.name} error={error('name')}>
          {(control) => (
            <Input {...control} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} />
          )}
        </Field>
      )}
    </Section>
  );
}

function ChannelSettings({ instance }: { instance: Instance }) {
  const { settings: words } = useTexts().instance;
  const { create } = useTexts();
  const [channel, setChannel] = useState<Channel>(instance.channel);
  const [token, setToken] = useState('');
  const other = channel !== instance.channel;
  return (
    <Section
      title={words.channel}
      text={words.channelText}
      instance={instance}
      restarts
      changed={(other && (channel === 'none' || Boolean(token.trim()))) || Boolean(token.trim())}
      body={() => ({ ...(other ? { channel } : {}), ...(token.trim() ? { botToken: token.trim() } : {}) })}
      onSaved={() => setToken('')}
    >
      {(error) => (
        <ChannelFields
          channel={channel}
          token={token}
          error={
            error('botToken') ??
            (other && channel !== 'none' && token && !token.trim() ? create.required.botToken(channel) : undefined)
          }
          onChannel={(next) => {
            setChannel(next);
            setToken('');
          }}
          onToken={setToken}
          keep={other ? undefined : words.keepToken}
        />
      )}
    </Section>
  );
}

function ProviderSettings({ instance }: { instance: Instance }) {
  const { create, instance: all } = useTexts();
  const [provider, setProvider] = useState<Provider>(instance.aiProvider);
  const [key, setKey] = useState('');
  const other = provider !== instance.aiProvider;
  return (
    <Section
      title={all.settings.provider}
      text={create.providerText}
      instance={instance}
      restarts
      changed={(other && provider === 'none') || Boolean(key.trim())}
      body={() => ({ ...(other ? { aiProvider: provider } : {}), ...(key.trim() ? { apiKey: key.trim() } : {}) })}
      onSaved={() => setKey('')}
    >
      {(error) => (
        <ProviderFields
          provider={provider}
          apiKey={key}
          error={error('apiKey')}
          onProvider={(next) => {
            setProvider(next);
            setKey('');
          }}
          onKey={setKey}
          keep={other ? undefined : all.settings.keepKey}
        />
      )}
    </Section>
  );
}

function LimitSettings({ instance }: { instance: Instance }) {
  const { settings: words } = useTexts().instance;
  const [memoryMb, setMemory] = useState(instance.memoryMb);
  const [cpuMillis, setCpu] = useState(instance.cpuMillis);
  return (
    <Section
      title={words.limits}
      instance={instance}
      restarts
      changed={memoryMb !== instance.memoryMb || cpuMillis !== instance.cpuMillis}
      body={() => ({ memoryMb, cpuMillis })}
    >
      {(error) => (
        <LimitFields
          memoryMb={memoryMb}
          cpuMillis={cpuMillis}
          onMemory={setMemory}
          onCpu={setCpu}
          errors={{ memoryMb: error('memoryMb'), cpuMillis: error('cpuMillis') }}
        />
      )}
    </Section>
  );
}

function Danger({ instance }: { instance: Instance }) {
  const { settings: words, actions } = useTexts().instance;
  const [open, setOpen] = useState(false);
  return (
    <Card className="border-bad/40">
      <CardHead
        title={words.danger}
        text={words.dangerText}
        className="pb-4"
        action={
          <Button variant="dangerOutline" onClick={() => setOpen(true)}>
            {actions.delete}
          </Button>
        }
      />
      <DeleteDialog instance={instance} open={open} onClose={() => setOpen(false)} />
    </Card>
  );
}
