import { describe, expect, it } from 'vitest';
import { cell, csv } from './csv';
import { goesOn, matches, serverFilter } from './filter';
import { readAuditSearch } from './search';

const now = Date.parse('2026-11-25T12:00:00Z');
const entry = {
  id: 7,
  at: '2026-11-25T11:00:00Z',
  actor: 'Alice@example.com',
  action: 'instance.create',
  targetKind: 'instance',
  targetId: 'abc123',
  detail: { name: '=HYPERLINK("x")' },
  clientIp: '203.0.113.9',
  outcome: 'success' as const,
};

describe('filters', () => {
  it('find words anywhere, in whatever case', () => {
    expect(matches(entry, { actor: 'alice' }, now)).toBe(true);
    expect(matches(entry, { action: 'create', target: 'ABC' }, now)).toBe(true);
    expect(matches(entry, { target: 'instance abc' }, now)).toBe(true);
    expect(matches(entry, { actor: 'bob' }, now)).toBe(false);
  });

  it('look back so far and no further', () => {
    const old = { ...entry, at: '2026-11-20T11:00:00Z' };
    expect([matches(old, { span: 'day' }, now), matches(old, { span: 'week' }, now), matches(old, {}, now)]).toEqual([
      false,
      true,
      true,
    ]);
    expect(goesOn(old, { span: 'day' }, now)).toBe(false);
    expect(goesOn(old, {}, now)).toBe(true);
    expect(goesOn(undefined, { span: 'day' }, now)).toBe(true);
  });

  it('are left to the server where it can find the same', () => {
    expect(serverFilter({ actor: 'alice', action: 'create', target: 'x' }, now)).toEqual({});
    expect(serverFilter({ actor: 'alice@example.com', action: 'instance.create', outcome: 'failure' }, now)).toEqual({
      actor: 'alice@example.com',
      action: 'instance.create',
      outcome: 'failure',
    });
    expect(serverFilter({ span: 'day' }, now)).toEqual({ from: '2026-11-24T12:00:00.000Z' });
    expect(matches(entry, { outcome: 'failure' }, now)).toBe(false);
  });

  it('are read from an address, and nothing else is', () => {
    expect(readAuditSearch({ actor: ' bob ', span: 'week', action: '', x: 1 })).toEqual({ actor: 'bob', span: 'week' });
    expect(readAuditSearch({ span: 'century', target: 42 })).toEqual({ target: '42' });
  });
});

describe('the table for spreadsheets', () => {
  it('takes no name for a formula', () => {
    expect(['=1+1', '+1', '-1', '@x', 'a=1'].map(cell)).toEqual(["'=1+1", "'+1", "'-1", "'@x", 'a=1']);
    expect(cell('a "b", c\nd')).toBe('"a ""b"", c\nd"');
    expect(cell(null)).toBe('');
  });

  it('has a line for each entry', () => {
    const [head, line, rest] = csv([entry]).split('\r\n');
    expect(head).toBe('id,at,actor,action,targetKind,targetId,outcome,clientIp,requestId,detail');
    expect(line).toBe(
      '7,2026-11-25T11:00:00Z,Alice@example.com,instance.create,instance,abc123,success,203.0.113.9,,' +
        '"{""name"":""=HYPERLINK(\\""x\\"")""}"',
    );
    expect(rest).toBe('');
  });
});
