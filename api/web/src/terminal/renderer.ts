/**
 * How a terminal is drawn: by WebGL where a graphics card does it, by the DOM otherwise.
 *
 * Without a card, browsers imitate one in software, and then WebGL is several times slower than the DOM. Browsers also keep only
 * a few contexts and take them from whoever is oldest, so one terminal has it at a time: the one that is looked at.
 */

import type { Terminal } from '@xterm/xterm';

export type RendererKind = 'webgl' | 'dom';

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render|virgl|vmware/i;

/** Whether the name of a renderer is that of an imitation. */
export function isSoftware(name: string): boolean {
  return SOFTWARE.test(name);
}

/** The name of the graphics card behind WebGL 2; null: there is no WebGL 2, or the browser does not say. */
function graphicsCard(): string | null {
  try {
    const gl = document.createElement('canvas').getContext('webgl2', { failIfMajorPerformanceCaveat: true });
    if (!gl) return null;
    const info = gl.getExtension('WEBGL_debug_renderer_info');
    const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : gl.getParameter(gl.RENDERER);
    gl.getExtension('WEBGL_lose_context')?.loseContext();
    return typeof name === 'string' ? name : null;
  } catch {
    return null;
  }
}

let usable: boolean | undefined;

/** Whether WebGL is worth it in this browser; asked once. */
function worthIt(): boolean {
  if (usable === undefined) {
    const name = graphicsCard();
    usable = name !== null && !isSoftware(name);
  }
  return usable;
}

let holder: { release(): void } | undefined;

/** Draws a terminal that is open with the best renderer there is, and tells whenever that changes. */
export async function chooseRenderer(terminal: Terminal, changed: (kind: RendererKind) => void): Promise<() => void> {
  changed('dom');
  if (!worthIt()) return () => {};
  const { WebglAddon } = await import('@xterm/addon-webgl');
  holder?.release();
  let addon: InstanceType<typeof WebglAddon> | undefined;
  const mine = {
    release() {
      // The terminal draws by the DOM from here on, so a lost context freezes nothing.
      addon?.dispose();
      if (addon) changed('dom');
      addon = undefined;
      if (holder === mine) holder = undefined;
    },
  };
  try {
    addon = new WebglAddon();
    addon.onContextLoss(() => mine.release());
    terminal.loadAddon(addon);
    holder = mine;
    changed('webgl');
  } catch {
    mine.release();
  }
  return () => mine.release();
}
