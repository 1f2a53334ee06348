// What needs words, which rows a filter lets through, what a package, an order and a call say.
import { describe, expect, test } from 'vitest';
import { ALL, filterOf, passes, unanswered } from '../src/desk/filter';
import { wantsWords } from '../src/desk/rules';
import { verdict } from '../src/desk/verdict';
import { calls } from '../src/door/calls';
import { given } from '../src/door/commands';
import { alarm, desk, proof } from '../src/door/desk';
import { aGateway, aProof, anAlarm, wireAlarm, wireDesk, wireProof } from './samples';

function wirePackage(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    package: 'GW-01#3',
    gateway: 'GW-01',
    silent_from: '2026-11-21T14:02:00+08:00',
    silent_to: null,
    from: '2026-11-21T14:02:01+08:00',
    to: '2026-11-21T16:03:00+08:00',
    records: 12,
    samples: 240,
    count: 3,
    unanswered: 1,
    worst: 1,
    excursions: [{ alarm: 'a', occurrence: 2, priority: 1, te_on: '2026-11-21T14:10:00+08:00', te_off: null }],
    known: '2026-11-21T16:03:05+08:00',
    ...changes,
  };
}

describe('words', () => {
  test.each([
    ['P1', { priority: 1 }, true],
    ['P2', { priority: 2 }, true],
    ['P3', { priority: 3 }, false],
    ['a late P4', { priority: 4, late: true }, true],
    ['an acknowledged P1', { priority: 1, state: 'acked' }, false],
  ] as const)('%s', (_, changes, wanted) => {
    const row = anAlarm(changes);
    expect(wantsWords(row, [row])).toBe(wanted);
  });

  test('an older late occurrence of the same alarm is answered with it', () => {
    const row = anAlarm({ priority: 3, occurrence: 4 });
    const older = anAlarm({ priority: 3, occurrence: 3, late: true, state: 'rtn_unack', active: false });
    expect(wantsWords(row, [row, older])).toBe(true);
    expect(wantsWords(row, [row, { ...older, alarm: 'another' }])).toBe(false);
    expect(wantsWords(row, [row, { ...older, occurrence: 5 }])).toBe(false);
    expect(wantsWords(row, [row, { ...older, state: 'acked' }])).toBe(false);
  });
});

describe('filters', () => {
  test('the address names a state or a package, and nothing else', () => {
    expect(filterOf('oos', null)).toEqual({ kind: 'state', state: 'oos' });
    expect(filterOf('unack', null)).toEqual(ALL);
    expect(filterOf(null, 'GW-01#3')).toEqual({ kind: 'outage', package: 'GW-01#3' });
    expect(filterOf(null, '')).toEqual(ALL);
  });

  test('a package lets its own occurrences through and counts the unanswered', () => {
    const { outages } = desk(wireDesk({ packages: [wirePackage()] }), 'desk');
    const mine = anAlarm({ alarm: 'a', occurrence: 2 });
    const later = anAlarm({ alarm: 'a', occurrence: 3 });
    expect([mine, later].filter(passes({ kind: 'outage', package: 'GW-01#3' }, outages))).toEqual([mine]);
    expect([mine].filter(passes({ kind: 'outage', package: 'gone' }, outages))).toEqual([]);
    const [outage] = outages;
    expect(outage === undefined ? null : [unanswered(outage, [mine, later]), unanswered(outage, [{ ...mine, state: 'acked' }])]).toEqual([1, 0]);
  });
});

describe('the door', () => {
  test('an old centre says nothing of engine, watchdog, packages and shelves', () => {
    expect(proof(wireProof(), 'p')).toMatchObject({ engineOk: true, canaryAgeMs: null, canaryMs: null, watchdogOk: null });
    expect(desk(wireDesk(), 'desk').outages).toEqual([]);
    expect(alarm(wireAlarm(), 'a').shelfUntil).toBeNull();
  });

  test('a new one does', () => {
    const told = proof({ ...wireProof(), engine_ok: false, canary_age_ms: 61_000, canary_ms: null, watchdog_ok: false }, 'p');
    expect(told).toMatchObject({ engineOk: false, canaryAgeMs: 61_000, canaryMs: null, watchdogOk: false });
    expect(() => proof({ ...wireProof(), engine_ok: 'no' }, 'p')).toThrow('p.engine_ok: wanted true or false');
  });

  test('a package that cannot be read is named and hides no alarm', () => {
    const got = desk(wireDesk({ packages: [wirePackage({ worst: 7 }), wirePackage()] }), 'desk');
    expect(got.misread).toEqual(['desk.packages[0].worst: wanted one of 1, 2, 3, 4, got 7']);
    expect([got.alarms.length, got.outages.length]).toEqual([1, 1]);
    expect(got.outages[0]?.silentTo).toBeNull();
  });

  test('an engine that does not answer is not quiet', () => {
    const told = verdict({ link: 'live', alarms: 0, rows: 0, gateways: [aGateway()], misread: 0, proof: aProof({ engineOk: false }), ageMs: 2_000 });
    expect(told).toEqual({ kind: 'doubted', reasons: [{ kind: 'engine' }] });
  });

  test('a word that nobody promised is no success', () => {
    expect(given({ outcome: 'done', why: '' }, 'g').outcome).toBe('done');
    expect(() => given({ outcome: 'sideways' }, 'g')).toThrow('g.outcome: wanted one of done, refused, unknown');
  });

  test('an alarm of a kind that nobody told us is still an alarm', () => {
    expect(alarm(wireAlarm({ kind: 'roc_up' }), 'a').kind).toBe('roc_up');
    expect(alarm(wireAlarm({ kind: 'leak_model' }), 'a').kind).toBe('other');
    expect(() => alarm(wireAlarm({ kind: null }), 'a')).toThrow('a.kind: wanted a text');
  });

  test('an occurrence in a package is called for as the package', () => {
    const next = { at: '2026-11-21T22:15:00+08:00', person: 'li', name: '', slot: 'lead', kind: 'voice', reason: { key: 'first', zh: '首次' }, channels: ['sms'] };
    const own = { alarm: 'a', occurrence: 2, count: 1, state: 'settled', reply_due: null, next: null, attempts: [] };
    const told = calls({ ...own, package: { ...own, alarm: 'package', occurrence: 5, count: 3, state: 'calling', next } }, 'c');
    expect([told.alarm, told.occurrence, told.count, told.state]).toEqual(['package', 5, 3, 'calling']);
    expect([told.next?.person, told.next?.slot.key]).toEqual(['li', 'lead']);
    expect(() => calls({ ...own, state: 'sideways' }, 'c')).toThrow('c.state: wanted one of not_called');
  });
});
