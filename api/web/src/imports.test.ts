import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

const SRC = import.meta.dirname;
const IMPORT = /^(?:import|export)\b[^;'"]*?['"]([^'"]+)['"]/gm;

const names = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
const files = names.filter((name) => /\.tsx?$/.test(name)).map((name) => join(SRC, name));

/** The files of ours that a file imports. What it loads later, by `import()`, may well lead back to it. */
function imported(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].flatMap(([, from = '']) => {
    const base = from.startsWith('@/') ? join(SRC, from.slice(2)) : join(dirname(file), from);
    if (!/^(@\/|\.)/.test(from)) return [];
    return ['', '.ts', '.tsx', '/index.ts', '/index.tsx']
      .map((end) => base + end)
      .filter((path) => files.includes(path));
  });
}

it('no file imports itself by way of others', () => {
  const circles: string[] = [];
  const done = new Set<string>();
  const follow = (file: string, way: string[]) => {
    if (way.includes(file)) {
      circles.push([...way.slice(way.indexOf(file)), file].map((one) => relative(SRC, one)).join(' > '));
    } else if (!done.has(file)) {
      for (const next of imported(file)) follow(next, [...way, file]);
      done.add(file);
    }
  };
  for (const file of files) follow(file, []);
  expect(circles).toEqual([]);
});
