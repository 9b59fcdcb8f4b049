// The script of the first load, compressed, has to stay below this: what index.html names, and what that imports at once.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMIT_KB = 170;

const dist = new URL('../dist/', import.meta.url);
const html = readFileSync(new URL('index.html', dist), 'utf8');
const files = new Set([...html.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map((match) => match[1]));
for (const file of files) {
  const code = readFileSync(new URL(file, dist), 'utf8');
  // `import … from "./other.js"` comes along; `import("./other.js")` is loaded when it is needed.
  for (const [, name] of code.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) files.add(`assets/${name}`);
}
let total = 0;
for (const file of files) {
  const size = gzipSync(readFileSync(new URL(file, dist))).length / 1000;
  total += size;
  process.stdout.write(`${size.toFixed(1).padStart(8)} kB  ${file}\n`);
}
process.stdout.write(`${total.toFixed(1).padStart(8)} kB  in all, of ${LIMIT_KB} kB\n`);
if (total > LIMIT_KB) process.exit(1);
