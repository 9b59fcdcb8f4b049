// The fields for a chat channel and a model provider, where an instance is created and where its settings are.
import { ExternalLink, MessageCircle, Send, SkipForward } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Schemas } from '@/api/contract';
import { Choice } from '@/components/ui/choice';
import { Field } from '@/components/ui/field';
import { PasswordInput } from '@/components/ui/password';
import { Select } from '@/components/ui/select';
import { cores, gigabytes } from '@/lib/format';
import { useTexts } from '@/texts';

export type Channel = Schemas['Channel'];
export type Provider = Schemas['AiProvider'];

export const CHANNELS = ['none', 'telegram', 'discord'] as const satisfies readonly Channel[];
export const PROVIDERS = ['none', 'anthropic', 'openai', 'gemini', 'openrouter'] as const satisfies readonly Provider[];

const ICONS = { none: <SkipForward />, telegram: <Send />, discord: <MessageCircle /> };
const CHANNEL_LINKS = { telegram: 'https://t.me/BotFather', discord: 'https://discord.com/developers/applications' };
const KEY_LINKS: Record<Exclude<Provider, 'none'>, string> = {
  anthropic: 'https://console.anthropic.com/settings/keys',
  openai: 'https://platform.openai.com/api-keys',
  gemini: 'https://aistudio.google.com/apikey',
  openrouter: 'https://openrouter.ai/settings/keys',
};

type ChannelFieldsProps = {
  channel: Channel;
  token: string;
  error: string | undefined;
  onChannel: (channel: Channel) => void;
  onToken: (token: string) => void;
  /** What an empty token means; left out: it is needed. */
  keep?: string | undefined;
};

export function ChannelFields({ channel, token, error, onChannel, onToken, keep }: ChannelFieldsProps) {
  const { create: words } = useTexts();
  const options = CHANNELS.map((value) => ({
    value,
    label: words.channels[value],
    text: words.channelHints[value],
    icon: ICONS[value],
  }));
  const help = channel === 'telegram' ? words.telegramHelp : words.discordHelp;
  return (
    <>
      <Choice label={words.channel} value={channel} onChange={onChannel} options={options} />
      {channel === 'none' ? null : (
        <SecretField
          label={words.botToken}
          value={token}
          onChange={onToken}
          error={error}
          help={
            <>
              {keep ? <p>{keep}</p> : null}
              <details className="group" open={!keep}>
                <summary className="cursor-pointer font-medium text-ink">{help.title}</summary>
                <ol className="mt-1.5 list-decimal space-y-1 pl-5">
                  {help.steps.map((step) => (
                    <li key={step}>{step}</li>
                  ))}
                </ol>
                <OutLink href={CHANNEL_LINKS[channel]}>{help.link}</OutLink>
              </details>
            </>
          }
        />
      )}
    </>
  );
}

type ProviderFieldsProps = {
  provider: Provider;
  apiKey: string;
  error: string | undefined;
  onProvider: (provider: Provider) => void;
  onKey: (key: string) => void;
  keep?: string | undefined;
};

export function ProviderFields({ provider, apiKey, error, onProvider, onKey, keep }: ProviderFieldsProps) {
  const { create: words } = useTexts();
  return (
    <>
      <Field label={words.provider}>
        {(control) => (
          <Select
            control={control}
            value={provider}
            onChange={onProvider}
            options={PROVIDERS.map((value) => ({ value, label: words.providers[value] }))}
          />
        )}
      </Field>
      {provider === 'none' ? null : (
        <SecretField
          label={words.apiKey}
          value={apiKey}
          onChange={onKey}
          error={error}
          help={
            <>
              {keep ? <p>{keep}</p> : null}
              <OutLink href={KEY_LINKS[provider]}>{words.apiKeyHelp(words.providers[provider])}</OutLink>
            </>
          }
        />
      )}
    </>
  );
}

type SecretFieldProps = {
  label: string;
  value: string;
  onChange: (value: string) => void;
  error: string | undefined;
  help: ReactNode;
};

/** What is only ever written: a browser neither fills it in nor keeps it. */
function SecretField({ value, onChange, ...about }: SecretFieldProps) {
  return (
    <Field {...about}>
      {(control) => (
        <PasswordInput
          {...control}
          autoComplete="off"
          className="font-mono"
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

function OutLink({ href, children }: { href: string; children: string }) {
  return (
    <a href={href} target="_blank" rel="noopener noreferrer" className="mt-1.5 inline-flex items-center gap-1 link">
      {children}
      <ExternalLink aria-hidden className="size-3.5" />
    </a>
  );
}

/** Limits that can be chosen: memory in MiB, CPU in thousandths of a core. */
const MEMORY = [1536, 2048, 3072, 4096, 6144, 8192];
const CPU = [500, 1000, 2000, 4000];

type LimitFieldsProps = {
  memoryMb: number;
  cpuMillis: number;
  onMemory: (memoryMb: number) => void;
  onCpu: (cpuMillis: number) => void;
  errors?: { memoryMb?: string | undefined; cpuMillis?: string | undefined };
};

export function LimitFields({ memoryMb, cpuMillis, onMemory, onCpu, errors }: LimitFieldsProps) {
  const { create: words } = useTexts();
  // One that was set over the API stays one of the choices.
  const memory = [...new Set([...MEMORY, memoryMb])].sort((a, b) => a - b);
  const cpu = [...new Set([...CPU, cpuMillis])].sort((a, b) => a - b);
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      <Field label={words.memory} help={words.memoryHelp} error={errors?.memoryMb}>
        {(control) => (
          <Select
            control={control}
            value={String(memoryMb)}
            onChange={(value) => onMemory(Number(value))}
            options={memory.map((mib) => ({ value: String(mib), label: words.gigabytes(gigabytes(mib)) }))}
          />
        )}
      </Field>
      <Field label={words.cpu} help={words.cpuHelp} error={errors?.cpuMillis}>
        {(control) => (
          <Select
            control={control}
            value={String(cpuMillis)}
            onChange={(value) => onCpu(Number(value))}
            options={cpu.map((millis) => ({ value: String(millis), label: words.cores(cores(millis)) }))}
          />
        )}
      </Field>
    </div>
  );
}
