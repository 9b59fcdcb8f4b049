import { useState } from 'react';
import type { Instance } from '@/api/instances';
import { Field } from '@/components/ui/field';
import { Select } from '@/components/ui/select';
import { useTexts } from '@/texts';
import { Section } from './settings-section';
import { DEFAULT, sleepChoice, sleepOptions } from './sleep';

/** After how long without use it falls asleep. It applies at once, without a new container. */
export function SleepSettings({ instance }: { instance: Instance }) {
  const { settings: words } = useTexts().instance;
  const [choice, setChoice] = useState(sleepChoice(instance));
  return (
    <Section
      title={words.sleep}
      text={words.sleepText}
      instance={instance}
      changed={choice !== sleepChoice(instance)}
      body={() => ({ sleepMinutes: choice === DEFAULT ? null : Number(choice) })}
    >
      {(error) => (
        <Field label={words.sleep} help={words.sleepHelp} error={error('sleepMinutes')}>
          {(control) => (
            <Select
              control={control}
              value={choice}
              onChange={setChoice}
              options={sleepOptions(instance, words)}
              className="sm:w-64"
            />
          )}
        </Field>
      )}
    </Section>
  );
}
