import { Maximize2, Minimize2 } from 'lucide-react';
import { type ReactNode, useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { useMe } from '@/api/session';
import { toast } from '@/components/toasts';
import { cn } from '@/lib/cn';
import { useTexts } from '@/texts';
import { FindBar } from './find-bar';
import { PhoneKeys } from './phone-keys';
import { EndQuestion, PasteQuestion } from './questions';
import { Screen } from './screen';
import { StartScreen } from './start-screen';
import { StatusBar } from './status-bar';
import { TabBar } from './tab-bar';
import { OpenMenu, ToolButton, Tools } from './tools';
import { useResume } from './use-resume';
import { type Tab, type Workspace, workspaceOf } from './workspace';

type TerminalPanelProps = {
  instanceId: string;
  /** What stands here while none can be opened. Those that are open stay, to be read. */
  closed: ReactNode;
  /** The instance runs. If it does not, it sleeps, and to open a terminal wakes it. */
  awake: boolean;
};

/** Terminals inside of an instance. */
export function TerminalPanel({ instanceId, ...rest }: TerminalPanelProps) {
  const me = useMe();
  return me ? <Panel key={instanceId} workspace={workspaceOf(me.id, instanceId)} {...rest} /> : null;
}

type PanelProps = Omit<TerminalPanelProps, 'instanceId'> & { workspace: Workspace };

function Panel({ workspace, closed, awake }: PanelProps) {
  const { terminal } = useTexts();
  const { tabs, active } = useSyncExternalStore(workspace.subscribe, workspace.view);
  const [large, setLarge] = useState(false);
  const [finding, setFinding] = useState(false);
  const [closing, setClosing] = useState<Tab | null>(null);
  const leave = useRef<HTMLButtonElement>(null);
  const tab = tabs.find((one) => one.key === active) ?? null;

  useEffect(() => {
    workspace.host = {
      label: (number, command) => terminal.screenLabel(command ?? terminal.name(number)),
      onLeave: () => leave.current?.focus(),
      onClipboard: (ok) => (ok ? toast.success(terminal.copied) : toast.error(terminal.copyFailed)),
    };
  }, [workspace, terminal]);

  const elsewhere = useResume(workspace);

  const close = useCallback(
    (one: Tab) => {
      if (one.session.view().state.is === 'ended') workspace.close(one.key);
      else setClosing(one);
    },
    [workspace],
  );

  if (closed && !tab) return closed;
  return (
    <section
      aria-label={terminal.title}
      className={cn(
        'flex flex-col overflow-hidden bg-term text-term-ink',
        large ? 'fixed inset-0 z-40' : 'h-[min(72dvh,46rem)] min-h-96 rounded-xl border border-term-line',
      )}
    >
      <div className="flex items-center gap-1 border-b border-term-line bg-term-bar px-1.5 py-1">
        <TabBar tabs={tabs} active={active} onSelect={(key) => workspace.select(key)} onClose={close} />
        {tab ? <OpenMenu onOpen={(command) => workspace.open(command)} onOpened={() => workspace.focus()} /> : null}
        <span className="ml-auto" />
        {tab ? (
          <Tools key={tab.key} tab={tab} onFind={() => setFinding((was) => !was)} onClose={() => close(tab)} />
        ) : null}
        <ToolButton ref={leave} label={large ? terminal.smaller : terminal.larger} onClick={() => setLarge(!large)}>
          {large ? <Minimize2 aria-hidden /> : <Maximize2 aria-hidden />}
        </ToolButton>
      </div>
      {tab ? (
        <>
          <div className="relative flex min-h-0 flex-1 flex-col">
            {finding ? (
              <FindBar
                key={`find-${tab.key}`}
                session={tab.session}
                onClose={() => {
                  setFinding(false);
                  tab.session.focus();
                }}
              />
            ) : null}
            <Screen key={`screen-${tab.key}`} session={tab.session} onFind={() => setFinding(true)} />
          </div>
          <PhoneKeys session={tab.session} />
          <StatusBar
            key={`status-${tab.key}`}
            tab={tab}
            awake={awake}
            onAgain={(command) => {
              workspace.open(command);
              workspace.close(tab.key);
            }}
            onClose={() => close(tab)}
          />
          <PasteQuestion session={tab.session} />
        </>
      ) : (
        <StartScreen awake={awake} elsewhere={elsewhere} onOpen={(command, id) => workspace.open(command, id)} />
      )}
      <EndQuestion
        tab={closing}
        onCancel={() => setClosing(null)}
        onEnd={(one) => {
          setClosing(null);
          workspace.close(one.key);
        }}
        onEnded={() => workspace.focus()}
      />
    </section>
  );
}
