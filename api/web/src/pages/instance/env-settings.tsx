import { Plus, Trash2 } from 'lucide-react';
import { useId, useState } from 'react';
import type { Instance } from '@/api/instances';
import { Button } from '@/components/ui/button';
import { FieldError } from '@/components/ui/field';
import { Input } from '@/components/ui/input';
import { PasswordInput } from '@/components/ui/password';
import { randomKey } from '@/lib/random';
import { useTexts } from '@/texts';
import { Section } from './settings-section';

type Variable = { key: string; name: string; value: string };

/** As the server wants it. */
const NAME = /^[A-Z_][A-Z0-9_]{0,63}$/;
const isWrong = (name: string) => name !== '' && !NAME.test(name);

/** Variables for the tools inside. Their values are never shown again. */
export function EnvSettings({ instance }: { instance: Instance }) {
  const { settings: words } = useTexts().instance;
  const [added, setAdded] = useState<Variable[]>([]);
  const [removed, setRemoved] = useState<string[]>([]);
  const change = (key: string, part: Partial<Variable>) =>
    setAdded((all) => all.map((one) => (one.key === key ? { ...one, ...part } : one)));
  const complete = added.every((one) => NAME.test(one.name) && one.value !== '');
  const hint = useId();
  return (
    <Section
      title={words.env}
      text={words.envText}
      instance={instance}
      restarts
      changed={complete && (added.length > 0 || removed.length > 0)}
      body={() => ({
        env: Object.fromEntries([
          ...removed.map((name) => [name, null] as const),
          ...added.map(({ name, value }) => [name, value] as const),
        ]),
      })}
      onSaved={() => {
        setAdded([]);
        setRemoved([]);
      }}
    >
      {(error) => (
        <>
          {instance.env.length || added.length ? null : <p className="text-muted">{words.envNone}</p>}
          {instance.pendingChanges.includes('env') ? <p className="text-muted">{words.envWaits}</p> : null}
          <ul className="space-y-2">
            {instance.env
              .filter((name) => !removed.includes(name))
              .map((name) => (
                <li key={name} className="flex items-center gap-2">
                  <code className="min-w-0 flex-1 truncate font-mono text-[0.8125rem]">{name}</code>
                  <span className="text-[0.8125rem] text-muted">{words.envSet}</span>
                  <Button
                    variant="ghost"
                    size="iconSm"
                    aria-label={words.envRemove(name)}
                    onClick={() => setRemoved([...removed, name])}
                  >
                    <Trash2 aria-hidden />
                  </Button>
                </li>
              ))}
            {added.map((one) => (
              <li key={one.key} className="flex items-start gap-2">
                <Input
                  aria-label={words.envName}
                  placeholder={words.envName}
                  autoComplete="off"
                  spellCheck={false}
                  aria-invalid={isWrong(one.name) ? true : undefined}
                  aria-describedby={isWrong(one.name) ? hint : undefined}
                  className="font-mono"
                  value={one.name}
                  onChange={(event) => change(one.key, { name: event.target.value })}
                />
                <div className="w-full">
                  <PasswordInput
                    aria-label={words.envValue}
                    placeholder={words.envValue}
                    autoComplete="off"
                    className="font-mono"
                    value={one.value}
                    onChange={(event) => change(one.key, { value: event.target.value })}
                  />
                </div>
                <Button
                  variant="ghost"
                  size="icon"
                  aria-label={words.envRemove(one.name || words.envName)}
                  onClick={() => setAdded(added.filter((other) => other.key !== one.key))}
                >
                  <Trash2 aria-hidden />
                </Button>
              </li>
            ))}
          </ul>
          {added.some((one) => isWrong(one.name)) ? <FieldError id={hint}>{words.envHint}</FieldError> : null}
          {error('env') ? <FieldError>{error('env')}</FieldError> : null}
          <Button
            variant="outline"
            size="sm"
            onClick={() => setAdded([...added, { key: randomKey(), name: '', value: '' }])}
          >
            <Plus aria-hidden />
            {words.envAdd}
          </Button>
        </>
      )}
    </Section>
  );
}
