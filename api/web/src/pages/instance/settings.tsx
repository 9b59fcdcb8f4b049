import { useState } from 'react';
import { type Instance, useInstance } from '@/api/instances';
import { Button } from '@/components/ui/button';
import { Card, CardHead } from '@/components/ui/card';
import { Field } from '@/components/ui/field';
import { Input } from '@/components/ui/input';
import { useTexts } from '@/texts';
import { type Channel, ChannelFields, LimitFields, type Provider, ProviderFields } from '../instances/credentials';
import { DeleteDialog } from './delete-dialog';
import { EnvSettings } from './env-settings';
import { Section } from './settings-section';
import { SleepSettings } from './sleep-settings';
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
      <SleepSettings instance={instance} />
      <Danger instance={instance} />
    </div>
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
