// The door lets in what was promised and names what was not.
import { describe, expect, test } from 'vitest';
import { firstMark } from '../src/desk/rules';
import { ackResults, demo } from '../src/door/commands';
import { alarm, desk } from '../src/door/desk';
import { pointDetail, trend } from '../src/door/points';
import { reading } from '../src/door/reading';
import { WrongShape, json, moment } from '../src/door/shape';
import { streamEvent } from '../src/door/stream';
import { en } from '../src/words/en';
import { zh } from '../src/words/zh';
import { wireAlarm, wireDesk, wireProof } from './samples';

const WRONG_ALARMS: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ['a priority of five', { priority: 5 }, /desk\.priority: wanted one of 1, 2, 3, 4, got 5/],
  ['a state nobody knows', { state: 'sideways' }, /desk\.state: wanted one of normal, unack.*got "sideways"/],
  ['a time without offset', { te_on: '2026-11-21T22:14:05' }, /desk\.te_on: wanted a time/],
  ['a time that is none', { te_on: '2026-13-41T22:14:05Z' }, /desk\.te_on: wanted a time/],
  ['a value as text', { value: '88.1' }, /desk\.value: wanted a number, got "88\.1"/],
  ['a missing occurrence', { occurrence: undefined }, /desk\.occurrence: wanted a whole number, got nothing/],
  ['half an occurrence', { occurrence: 1.5 }, /desk\.occurrence: wanted a whole number, got 1\.5/],
  ['active as a number', { active: 1 }, /desk\.active: wanted true or false, got 1/],
];

describe('alarms', () => {
  test('a well-formed alarm comes in', () => {
    const got = alarm(wireAlarm(), 'alarm');
    expect(got.teOn).toBe(Date.UTC(2026, 10, 21, 14, 14, 5));
    expect(got.known - got.teOn).toBe(120);
    expect(got.ackedBy).toBeNull();
  });

  test.each(WRONG_ALARMS)('%s is refused with its place', (_, changes, message) => {
    expect(() => alarm(wireAlarm(changes), 'desk')).toThrow(message);
    expect(() => alarm(wireAlarm(changes), 'desk')).toThrow(WrongShape);
  });

  test('a gateway alarm has no point, no tag and no limit', () => {
    const got = alarm(wireAlarm({ kind: 'gateway_offline', point: null, tag: null, limit: null, unit: null, value: null }), 'a');
    expect([got.point, got.tag, got.limit, got.unit]).toEqual([null, '', null, '']);
  });

  test('the first of an installation has a mark, a tie its own, and what is not known none', () => {
    const read = (word: unknown) => alarm(wireAlarm({ first_out: word }), 'alarm');
    const marks = ['first', 'tie', 'later', 'unknown', 'a word of tomorrow', null].map((word) => firstMark(read(word)));
    expect(marks).toEqual(['first', 'tie', null, null, null, null]);
    expect(read('unknown').firstOut).toBe('unknown');
    expect(alarm(wireAlarm(), 'alarm').firstOut, 'a centre that does not tell it').toBeNull();
    for (const words of [zh, en]) {
      const { first_first, first_tie, sign_first_first, sign_first_tie } = words;
      expect(new Set([first_first, first_tie, sign_first_first, sign_first_tie]).size).toBe(4);
    }
  });
});

describe('the desk', () => {
  test('comes in whole', () => {
    const got = desk(wireDesk(), 'desk');
    expect(got.alarms).toHaveLength(1);
    expect(got.proof.gatewaysOnline).toBe(1);
    expect(got.user).toBe('演示值班员');
    expect(got.role).toBe('operator');
  });

  test('one unreadable alarm hides no other and is named', () => {
    const got = desk(wireDesk({ alarms: [wireAlarm(), wireAlarm({ priority: 9 }), wireAlarm({ alarm: 'b' })] }), 'desk');
    expect(got.alarms.map(({ alarm: key }) => key)).toEqual(['GW-01/TK-101.LT/HH', 'b']);
    expect(got.misread).toEqual(['desk.alarms[1].priority: wanted one of 1, 2, 3, 4, got 9']);
  });

  test('without proof, with an unknown zone, or as a list it is refused', () => {
    expect(() => desk(wireDesk({ proof: null }), 'desk')).toThrow('desk.proof: wanted an object, got null');
    expect(() => desk(wireDesk({ zone: 'Mars/Olympus' }), 'desk')).toThrow('desk.zone: wanted a time zone');
    expect(() => desk([], 'desk')).toThrow('desk: wanted an object, got []');
    expect(() => desk(wireDesk({ alarms: {} }), 'desk')).toThrow('desk.alarms: wanted a list');
  });
});

describe('the stream', () => {
  test('every kind of event comes in', () => {
    expect(streamEvent('alarm', JSON.stringify(wireAlarm())).kind).toBe('alarm');
    expect(streamEvent('ping', JSON.stringify({ server_time: '2026-11-21T22:14:05Z', proof: wireProof() }))).toMatchObject({
      kind: 'ping',
      serverTime: Date.UTC(2026, 10, 21, 22, 14, 5),
    });
    expect(streamEvent('reset', '')).toEqual({ kind: 'reset' });
    const late = { gateway: 'GW-01', records: 12, samples: 240, from: '2026-11-21T14:02:00+08:00', to: '2026-11-21T16:03:00+08:00', excursions: 3 };
    expect(streamEvent('late', JSON.stringify(late))).toMatchObject({ kind: 'late', late: { excursions: 3 } });
  });

  test('values keep their quality', () => {
    const te = '2026-11-21T22:14:05+08:00';
    const rows = [[1, 61.2, 'good', te], [2, null, 'timeout', te], [3, 4, 'frozen', te], [4, 7, 'unheard_of', te]];
    const got = streamEvent('values', JSON.stringify({ t: te, v: rows }));
    expect(got.kind === 'values' && got.values.map(([, sample]) => sample.reading)).toEqual([
      { kind: 'good', value: 61.2 },
      { kind: 'bad', fault: 'timeout' },
      { kind: 'uncertain', value: 4, doubt: 'frozen' },
      { kind: 'bad', fault: 'unknown_quality' },
    ]);
  });

  test('what is no JSON is refused', () => {
    expect(() => streamEvent('ping', '{')).toThrow('ping: wanted JSON');
  });
});

describe('readings', () => {
  test('there is no number where there is none to trust', () => {
    expect(reading(0, 'sentinel')).toEqual({ kind: 'bad', fault: 'sentinel' });
    expect(reading(null, 'good')).toEqual({ kind: 'bad', fault: 'unknown_quality' });
  });
});

describe('trends and points', () => {
  const head = { point: 17, from: '2026-11-21T22:00:00Z', to: '2026-11-21T23:00:00Z', alarms: [] };

  test('a raw trend and an envelope come in as what they are', () => {
    const raw = trend({ ...head, raw: true, samples: [[1, 2, 'good'], [2, null, 'timeout']], buckets: [] }, 't');
    expect(raw.body.kind === 'raw' && raw.body.samples[1]?.reading.kind).toBe('bad');
    const wide = trend({ ...head, raw: false, samples: [], buckets: [[1, null, null, null, 0, 4]] }, 't');
    expect(wide.body.kind === 'buckets' && wide.body.buckets[0]).toEqual({ t: 1, min: null, max: null, last: null, good: 0, bad: 4 });
  });

  test('a point that never spoke has no last sample', () => {
    const wire = { point: 1, gateway: 'G', tag: 'T', name: null, unit: '%', low: 0, high: 100, installation: '', equipment: '', signal: '', value: null, quality: null, te: null, limits: [], gaps: [] };
    expect(pointDetail(wire, 'p').point.last).toBeNull();
    // A limit that is not set, or a kind without one, hides no point.
    const unset = pointDetail({ ...wire, limits: [{ kind: 'composite', limit: null, deadband: 0, priority: 1 }] }, 'p');
    expect(unset.point.limits[0]).toMatchObject({ kind: 'composite', limit: null });
    expect(() => pointDetail({ ...wire, limits: [{ kind: 'hh', limit: '9', deadband: 1, priority: 1 }] }, 'p')).toThrow('p.limits[0].limit: wanted a number');
  });
});

test('an answer to an acknowledgement is one of four', () => {
  expect(() => ackResults({ results: [{ alarm: 'a', occurrence: 1, outcome: 'maybe', why: '' }] }, 'ack')).toThrow('ack.results[0].outcome');
  expect(demo({ cable_pulled: true }, 'demo')).toEqual({ cablePulled: true, devices: ['plc-tank', 'gas', 'dam'] });
});

test('a long wrong value is cut in the message', () => {
  expect(() => json('x'.repeat(500), 'answer')).toThrow(/^.{1,120}$/);
  expect(moment('2026-11-21T22:14:05.5+08:00', 't') % 1000).toBe(500);
});
