// The script of the first load, compressed, has to stay below this: the sign-in, and the list of instances with what is around it.
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const LIMIT_KB = 170;
const FIRST = {
  'sign-in': ['src/main.tsx', 'src/pages/auth/sign-in.tsx'],
  instances: ['src/main.tsx', 'src/components/layout.tsx', 'src/pages/instances/list.tsx'],
};

const { output } = await build({ logLevel: 'silent', build: { write: false } });
const chunks = output.filter(({ type }) => type === 'chunk');
const sizes = new Map(chunks.map(({ fileName, code }) => [fileName, gzipSync(code).length / 1000]));

let over = false;
for (const [page, modules] of Object.entries(FIRST)) {
  const files = new Set(
    modules.map((module) => {
      const chunk = chunks.find(({ moduleIds }) => moduleIds.some((id) => id.endsWith(`/${module}`)));
      if (!chunk) throw new Error(`${module} is in no chunk`);
      return chunk.fileName;
    }),
  );
  // What is imported at once comes along; `import()` is loaded when it is needed.
  for (const file of files)
    for (const other of chunks.find(({ fileName }) => fileName === file).imports) files.add(other);
  const total = [...files].reduce((sum, file) => sum + sizes.get(file), 0);
  const largest = [...files].sort((one, other) => sizes.get(other) - sizes.get(one)).slice(0, 5);
  const told = largest.map((file) => `${sizes.get(file).toFixed(1)} ${file.replace(/^assets\//, '')}`).join(', ');
  process.stdout.write(`${page}: ${total.toFixed(1)} of ${LIMIT_KB} kB in ${files.size} files; ${told}\n`);
  over ||= total > LIMIT_KB;
}
if (over) process.exit(1);
