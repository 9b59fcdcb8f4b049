import { ClipboardCopy, ClipboardPaste, Ellipsis, Plus, Search, SquareTerminal } from 'lucide-react';
import { DropdownMenu } from 'radix-ui';
import { type ComponentProps, useSyncExternalStore } from 'react';
import { toast } from '@/components/toasts';
import { Menu, MenuItem, MenuLabel, MenuSeparator } from '@/components/ui/menu';
import { cn } from '@/lib/cn';
import { useTexts } from '@/texts';
import { COMMANDS, type Command } from './api';
import { useHandOver } from './use-hand-over';
import type { Tab } from './workspace';

type ToolButtonProps = ComponentProps<'button'> & { label: string };

/** A button on the terminal's bar. */
export function ToolButton({ label, className, children, ...rest }: ToolButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={cn(
        'grid size-8 shrink-0 place-items-center rounded-md text-term-muted transition-colors hover:bg-white/10 hover:text-term-ink [&_svg]:size-4',
        className,
      )}
      {...rest}
    >
      {children}
    </button>
  );
}

type OpenMenuProps = {
  onOpen: (command: Command | null) => void;
  /** Gives the focus to the terminal that was opened. */
  onOpened: () => boolean;
};

/** Opens another terminal, or one with a command in it. */
export function OpenMenu({ onOpen, onOpened }: OpenMenuProps) {
  const { terminal } = useTexts();
  const { choose, closed } = useHandOver(onOpened);
  const open = (command: Command | null) => {
    choose();
    onOpen(command);
  };
  return (
    <Menu
      align="start"
      onClosed={closed}
      trigger={
        <ToolButton label={terminal.open}>
          <Plus aria-hidden />
        </ToolButton>
      }
    >
      <MenuItem onSelect={() => open(null)}>
        <SquareTerminal aria-hidden />
        {terminal.shell}
      </MenuItem>
      <MenuSeparator />
      <MenuLabel>{terminal.commandsLabel}</MenuLabel>
      {COMMANDS.map((command) => (
        <MenuItem key={command} onSelect={() => open(command)} className="font-mono text-[0.8125rem]">
          {command}
        </MenuItem>
      ))}
    </Menu>
  );
}

type ToolsProps = { tab: Tab; onFind: () => void; onClose: () => void };

/** What one does with the terminal that is shown. */
export function Tools({ tab: { session }, onFind, onClose }: ToolsProps) {
  const { terminal } = useTexts();
  const { clipboard, spoken, state } = useSyncExternalStore(session.subscribe, session.view);
  const copy = () => {
    if (!session.copy()) toast.error(terminal.nothingSelected);
    session.focus();
  };
  const paste = async () => {
    try {
      session.paste(await navigator.clipboard.readText());
      session.focus();
    } catch {
      // Whether a page may read the clipboard is the browser's decision; the keys always work.
      toast.error(terminal.pasteFailed);
    }
  };
  return (
    <>
      <ToolButton label={terminal.find} onClick={onFind}>
        <Search aria-hidden />
      </ToolButton>
      <ToolButton label={terminal.copy} onClick={copy} className="max-sm:hidden">
        <ClipboardCopy aria-hidden />
      </ToolButton>
      <ToolButton label={terminal.paste} disabled={state.is !== 'open'} onClick={paste} className="max-sm:hidden">
        <ClipboardPaste aria-hidden />
      </ToolButton>
      <Menu
        onClosed={() => {
          session.focus();
          return true;
        }}
        trigger={
          <ToolButton label={terminal.more}>
            <Ellipsis aria-hidden />
          </ToolButton>
        }
      >
        <MenuItem onSelect={copy} className="sm:hidden">
          {terminal.copy}
        </MenuItem>
        <MenuItem onSelect={paste} className="sm:hidden">
          {terminal.paste}
        </MenuItem>
        <Check checked={clipboard} onChange={(on) => session.allowClipboard(on)} label={terminal.allowClipboard} />
        <Check checked={spoken} onChange={(on) => session.speak(on)} label={terminal.spoken} />
        <MenuSeparator />
        <MenuLabel className="max-w-64">{terminal.keysHint}</MenuLabel>
        <MenuSeparator />
        <MenuItem danger onSelect={onClose}>
          {terminal.end}
        </MenuItem>
      </Menu>
    </>
  );
}

type CheckProps = { checked: boolean; onChange: (checked: boolean) => void; label: string };

function Check({ checked, onChange, label }: CheckProps) {
  return (
    <DropdownMenu.CheckboxItem
      checked={checked}
      onCheckedChange={onChange}
      className="relative flex max-w-72 items-center rounded-md py-1.5 pr-2.5 pl-8 text-sm outline-none select-none data-[highlighted]:bg-ink/6"
    >
      <DropdownMenu.ItemIndicator className="absolute left-3">✓</DropdownMenu.ItemIndicator>
      {label}
    </DropdownMenu.CheckboxItem>
  );
}
