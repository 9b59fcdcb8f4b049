import type { Schemas } from '@/api/contract';

type Member = Schemas['NamedMember'];

/** A wave, and whom it is about. */
export type Wave = { wave: number; members: Member[]; over: boolean };

/** The instances of a rollout by their waves, first wave first. */
export function waves(members: Member[]): Wave[] {
  const byWave = new Map<number, Member[]>();
  for (const member of members) byWave.set(member.wave, [...(byWave.get(member.wave) ?? []), member]);
  return [...byWave]
    .sort(([one], [other]) => one - other)
    .map(([wave, members]) => ({
      wave,
      members,
      over: members.every(({ status }) => status !== 'waiting' && status !== 'updating'),
    }));
}
