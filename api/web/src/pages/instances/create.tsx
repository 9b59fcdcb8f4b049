import { Link, useNavigate } from '@tanstack/react-router';
import { ChevronRight } from 'lucide-react';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { useCreate } from '@/api/instances';
import { Page } from '@/components/page';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Field, FieldError } from '@/components/ui/field';
import { Input } from '@/components/ui/input';
import { fieldWords, wordsFor } from '@/lib/errors';
import { randomKey } from '@/lib/random';
import { useTexts } from '@/texts';
import { ChannelFields, LimitFields, ProviderFields } from './credentials';
import { type Draft, EMPTY, mistakes, toBody } from './draft';

export function CreateInstancePage() {
  const texts = useTexts();
  const { create: words, common } = texts;
  const navigate = useNavigate();
  const [draft, setDraft] = useState<Draft>(EMPTY);
  // Mistakes are shown once somebody has tried, and go as they are mended.
  const [tried, setTried] = useState(false);
  // One key for one form: a second click, or one after a lost answer, makes no second instance.
  const key = useRef(randomKey());
  const create = useCreate();
  const found = tried ? mistakes(draft, words) : {};
  const error = (field: keyof Draft) => found[field] ?? fieldWords(create.error, field, texts);
  const change = (part: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...part }));
    if (create.error) {
      create.reset();
      // What was refused is another request by now.
      key.current = randomKey();
    }
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(mistakes(draft, words)).length) {
      const form = event.currentTarget;
      requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid]')?.focus());
      return;
    }
    create.mutate(
      { body: toBody(draft), key: key.current },
      {
        onSuccess: ({ instance }) => {
          toast.success(words.started(instance.name));
          void navigate({ to: '/instances/$id', params: { id: instance.id } });
        },
      },
    );
  };
  const limitsWrong = Boolean(error('memoryMb') ?? error('cpuMillis'));
  const named = limitsWrong || (['name', 'botToken', 'apiKey'] as const).some(error);
  const other = create.error && !named ? wordsFor(create.error, texts) : undefined;
  const advanced = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    // What is wrong must not be folded away. Whoever reads it may fold it again.
    if (limitsWrong && advanced.current) advanced.current.open = true;
  }, [limitsWrong]);

  return (
    <Page title={words.title} text={words.text} narrow>
      <form onSubmit={submit} noValidate className="space-y-4">
        <Card>
          <CardBody>
            <Field label={words.name} help={words.nameHelp} error={error('name')}>
              {(control) => (
                <Input
                  {...control}
                  autoFocus
                  required
                  autoComplete="off"
                  placeholder={words.namePlaceholder}
                  value={draft.name}
                  onChange={(event) => change({ name: event.target.value })}
                />
              )}
            </Field>
          </CardBody>
        </Card>
        <Card>
          <CardHead title={words.channel} text={words.channelText} />
          <CardBody className="space-y-4">
            <ChannelFields
              channel={draft.channel}
              token={draft.botToken}
              error={error('botToken')}
              onChannel={(channel) => change({ channel, botToken: '' })}
              onToken={(botToken) => change({ botToken })}
            />
          </CardBody>
        </Card>
        <Card>
          <CardHead title={words.provider} text={words.providerText} />
          <CardBody className="space-y-4">
            <ProviderFields
              provider={draft.aiProvider}
              apiKey={draft.apiKey}
              error={error('apiKey')}
              onProvider={(aiProvider) => change({ aiProvider, apiKey: '' })}
              onKey={(apiKey) => change({ apiKey })}
            />
          </CardBody>
        </Card>
        <Card>
          <details ref={advanced} className="group">
            <summary className="flex cursor-pointer list-none items-center gap-2 rounded-xl px-5 py-4 font-semibold tracking-tight [&::-webkit-details-marker]:hidden">
              <ChevronRight aria-hidden className="size-4 text-muted transition-transform group-open:rotate-90" />
              {words.advanced}
            </summary>
            <CardBody className="pt-0">
              <LimitFields
                memoryMb={draft.memoryMb}
                cpuMillis={draft.cpuMillis}
                onMemory={(memoryMb) => change({ memoryMb })}
                onCpu={(cpuMillis) => change({ cpuMillis })}
                errors={{ memoryMb: error('memoryMb'), cpuMillis: error('cpuMillis') }}
              />
            </CardBody>
          </details>
        </Card>
        {other ? <FieldError>{other}</FieldError> : null}
        <div className="flex justify-end gap-2 pt-1">
          <Button asChild variant="ghost">
            <Link to="/instances">{common.cancel}</Link>
          </Button>
          <Button type="submit" busy={create.isPending}>
            {words.submit}
          </Button>
        </div>
      </form>
    </Page>
  );
}
