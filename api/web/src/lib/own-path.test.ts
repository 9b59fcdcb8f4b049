import { expect, test } from 'vitest';
import { isOwnPath } from '@/lib/own-path';

test('after signing in one is led nowhere but to a page of ours', () => {
  for (const to of ['/', '/instances', '/instances/x?tab=1#part']) expect(isOwnPath(to)).toBe(true);
  for (const to of [
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    'javascript:alert(1)',
    '',
    7,
    undefined,
  ]) {
    expect(isOwnPath(to)).toBe(false);
  }
});
