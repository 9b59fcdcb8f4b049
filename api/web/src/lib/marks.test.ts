import { expect, test } from 'vitest';
import { pieces } from './marks';

const marked = (text: string, sought: string) =>
  pieces(text, sought)
    .map((piece) => (piece.hit ? `<${piece.text}>` : piece.text))
    .join('');

test('what was looked for is marked wherever it stands', () => {
  expect(marked('Error: no error', 'error')).toBe('<Error>: no <error>');
  expect(marked('a.c abc', 'a.c')).toBe('<a.c> abc');
  expect(marked('aaa', 'aa')).toBe('<aa>a');
  expect(marked('x', '')).toBe('x');
  expect(marked('100 % (ok)', '% (')).toBe('100 <% (>ok)');
});
