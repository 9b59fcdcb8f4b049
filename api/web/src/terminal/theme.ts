import type { ITheme } from '@xterm/xterm';

/** Colours of a terminal: dark in both themes of the page, as programs choose theirs for that. */
export const colours: ITheme = {
  background: '#101114',
  foreground: '#e6e6e9',
  cursor: '#f0764f',
  cursorAccent: '#101114',
  selectionBackground: '#4a6fa58c',
  black: '#26282e',
  red: '#f2777a',
  green: '#7fce8f',
  yellow: '#e9c46a',
  blue: '#82aaff',
  magenta: '#c99df0',
  cyan: '#6fd3d8',
  white: '#d5d6db',
  brightBlack: '#7d818c',
  brightRed: '#ff9b9d',
  brightGreen: '#a5e3b1',
  brightYellow: '#f5d990',
  brightBlue: '#a8c4ff',
  brightMagenta: '#dcbcf7',
  brightCyan: '#9ae6ea',
  brightWhite: '#ffffff',
};
