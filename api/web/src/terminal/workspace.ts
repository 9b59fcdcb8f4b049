/**
 * The terminals that are open in this browser tab, instance by instance.
 *
 * They stay attached while one looks at other pages. Which ones they were is noted for as long as the browser tab is there, so
 * that loading the page again brings them back. The note is ids: to attach takes a ticket, and that a sign-in.
 */

import { type Command, terminalApi } from './api';
import { Session } from './session';

/** One terminal, and what runs in it. */
export type Tab = {
  key: number;
  /** Number among the terminals that were opened here, for its name. */
  number: number;
  command: Command | null;
  session: Session;
};

export type WorkspaceView = { tabs: readonly Tab[]; active: number | null };

/** What a workspace needs of the page. */
export type Host = {
  label(number: number, command: Command | null): string;
  onLeave(): void;
  onClipboard(ok: boolean): void;
};

export class Workspace {
  readonly instanceId: string;
  host: Host = { label: () => '', onLeave: () => {}, onClipboard: () => {} };
  #view: WorkspaceView = { tabs: [], active: null };
  #listeners = new Set<() => void>();
  #next = 1;
  #closed = new Set<string>();

  constructor(instanceId: string) {
    this.instanceId = instanceId;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  view = (): WorkspaceView => this.#view;

  /** Opens a terminal, or attaches to one that is there. */
  open(command: Command | null, terminalId?: string): Tab {
    const number = this.#next++;
    const session = new Session({
      api: terminalApi(this.instanceId, command),
      label: this.host.label(number, command),
      onLeave: () => this.host.onLeave(),
      onClipboard: (ok) => this.host.onClipboard(ok),
      ...(terminalId === undefined ? {} : { terminalId }),
    });
    const tab = { key: number, number, command, session };
    session.subscribe(() => this.#note());
    this.#change({ tabs: [...this.#view.tabs, tab], active: tab.key });
    this.#note();
    return tab;
  }

  select(key: number): void {
    this.#change({ ...this.#view, active: key });
  }

  /** Gives the focus to the terminal that is shown. False: there is none. */
  focus(): boolean {
    const shown = this.#view.tabs.find((tab) => tab.key === this.#view.active);
    shown?.session.focus();
    return shown !== undefined;
  }

  /** Ends a terminal and takes it away; the one beside it is shown next. */
  close(key: number): void {
    const at = this.#view.tabs.findIndex((tab) => tab.key === key);
    const tab = this.#view.tabs[at];
    if (!tab) return;
    const tabs = this.#view.tabs.filter((other) => other !== tab);
    const beside = tabs[Math.min(at, tabs.length - 1)]?.key ?? null;
    this.#change({ tabs, active: this.#view.active === key ? beside : this.#view.active });
    this.#note();
    const { terminalId } = tab.session;
    const { state } = tab.session.view();
    // It is somebody else's now, if only in another window of the same person.
    if (state.is === 'ended' && state.reason === 'elsewhere') tab.session.detach();
    else {
      if (terminalId !== null) this.#closed.add(terminalId);
      void tab.session.end();
    }
  }

  /** Whether a terminal was ended here; a list that was made before may still have it. */
  isClosed(terminalId: string): boolean {
    return this.#closed.has(terminalId);
  }

  /** The terminals that were shown here before the page was loaded. */
  remembered(): string[] {
    try {
      const ids: unknown = JSON.parse(sessionStorage.getItem(noteOf(this.instanceId)) ?? '[]');
      return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
    } catch {
      return [];
    }
  }

  detach(): void {
    for (const tab of this.#view.tabs) tab.session.detach();
    this.#change({ tabs: [], active: null });
  }

  #note(): void {
    const living = this.#view.tabs.filter((tab) => tab.session.view().state.is !== 'ended');
    const ids = living.map((tab) => tab.session.terminalId).filter((id) => id !== null);
    try {
      sessionStorage.setItem(noteOf(this.instanceId), JSON.stringify(ids));
    } catch {
      // Without storage they are found among the ones that are open elsewhere.
    }
  }

  #change(view: WorkspaceView): void {
    this.#view = view;
    for (const listener of this.#listeners) listener();
  }
}

function noteOf(instanceId: string): string {
  return `clawdeploy.terminals.${instanceId}`;
}

let person: string | undefined;
const workspaces = new Map<string, Workspace>();

/** The terminals that a person has open in an instance. What another person had open before goes. */
export function workspaceOf(userId: string, instanceId: string): Workspace {
  if (person !== userId) {
    for (const workspace of workspaces.values()) workspace.detach();
    workspaces.clear();
    person = userId;
  }
  let workspace = workspaces.get(instanceId);
  if (!workspace) {
    workspace = new Workspace(instanceId);
    workspaces.set(instanceId, workspace);
  }
  return workspace;
}
