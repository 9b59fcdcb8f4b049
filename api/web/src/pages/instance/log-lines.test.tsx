import { act, fireEvent, render, screen } from '@testing-library/react';
import { useState } from 'react';
import { expect, it } from 'vitest';
import { LogLines } from './log-lines';

const HEIGHT = 400;
const LINES = Array.from(
  { length: 100 },
  (_, nth) => ({ at: '2026-11-01T00:00:00Z', stream: 'stdout', text: `line ${nth}` }) as const,
);
const END = LINES.length * 20 - HEIGHT;

let following = true;
let switchOff = () => {};

function Log() {
  const [follows, setFollows] = useState(true);
  following = follows;
  switchOff = () => setFollows(false);
  return <LogLines lines={LINES} sought="" empty="" following={follows} onFollow={setFollows} />;
}

/** The log, which the browser has scrolled to the end for the page. */
function log() {
  render(<Log />);
  const box = screen.getByRole('region');
  // Nothing has a size here.
  Object.defineProperties(box, { clientHeight: { value: HEIGHT }, scrollHeight: { value: END + HEIGHT } });
  scrollTo(box, END);
  expect(following).toBe(true);
  return box;
}

function scrollTo(box: HTMLElement, top: number) {
  box.scrollTop = top;
  fireEvent.scroll(box);
}

it('lets go of whoever begins to scroll up, before anything has moved', () => {
  const box = log();
  fireEvent.wheel(box, { deltaY: -3 });
  expect(following).toBe(false);
  // A little way up is up, too.
  scrollTo(box, END - 5);
  expect(following).toBe(false);
});

it('lets go by keyboard as well', () => {
  const box = log();
  fireEvent.keyDown(box, { key: 'PageUp' });
  expect(following).toBe(false);
});

it('lets go when something else in the browser scrolls up', () => {
  const box = log();
  scrollTo(box, END - 300);
  expect(following).toBe(false);
});

it('follows again who has scrolled down to the end', () => {
  const box = log();
  fireEvent.wheel(box, { deltaY: -300 });
  scrollTo(box, END - 300);
  fireEvent.wheel(box, { deltaY: 200 });
  scrollTo(box, END - 100);
  expect(following).toBe(false);
  scrollTo(box, END - 10);
  expect(following).toBe(true);
});

it('stays where it was told to stay, though it is told of its own scrolling only then', () => {
  const box = log();
  scrollTo(box, END - 20);
  act(() => switchOff());
  scrollTo(box, END);
  expect(following).toBe(false);
});
