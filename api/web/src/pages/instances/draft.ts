import type { CreateInstance } from '@/api/instances';
import type { Texts } from '@/texts';
import type { Channel, Provider } from './credentials';

/** What is typed into the form for a new instance. */
export type Draft = {
  name: string;
  channel: Channel;
  botToken: string;
  aiProvider: Provider;
  apiKey: string;
  memoryMb: number;
  cpuMillis: number;
};

export const EMPTY: Draft = {
  name: '',
  channel: 'none',
  botToken: '',
  aiProvider: 'none',
  apiKey: '',
  memoryMb: 2048,
  cpuMillis: 1000,
};

const LONGEST_NAME = 64;

/** What is wrong with a draft, by field: what the server would say as well, before it is asked. */
export function mistakes(draft: Draft, words: Texts['create']): Partial<Record<keyof Draft, string>> {
  const found: Partial<Record<keyof Draft, string>> = {};
  const name = draft.name.trim();
  if (!name) found.name = words.required.name;
  else if ([...name].length > LONGEST_NAME) found.name = words.required.nameLong;
  if (draft.channel !== 'none' && !draft.botToken.trim()) {
    found.botToken = words.required.botToken(words.channels[draft.channel]);
  }
  if (draft.aiProvider !== 'none' && !draft.apiKey.trim()) {
    found.apiKey = words.required.apiKey(words.providers[draft.aiProvider]);
  }
  return found;
}

/** The draft as it is sent: what was skipped is not in it. */
export function toBody(draft: Draft): CreateInstance {
  return {
    name: draft.name.trim(),
    ...(draft.channel === 'none' ? {} : { channel: draft.channel, botToken: draft.botToken.trim() }),
    ...(draft.aiProvider === 'none' ? {} : { aiProvider: draft.aiProvider, apiKey: draft.apiKey.trim() }),
    memoryMb: draft.memoryMb,
    cpuMillis: draft.cpuMillis,
  };
}
