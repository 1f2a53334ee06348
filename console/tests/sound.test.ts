// What is heard, when, and what silences it.
import { describe, expect, test } from 'vitest';
import type { Alarm, Priority } from '../src/door/desk';
import { LINK_LOST, NOT_MUTED, PATTERNS, afterRaise, afterTime, loudest, mute, sounds, wanted } from '../src/sound/pattern';
import { anAlarm } from './samples';

function p(priority: Priority, changes: Partial<Alarm> = {}): Alarm {
  return anAlarm({ priority, ...changes });
}

describe('which alarm sounds', () => {
  test('the highest unacknowledged only', () => {
    expect(loudest([p(3), p(2), p(1, { state: 'acked' })])).toBe(2);
    expect(loudest([p(1, { state: 'shelved' })])).toBeNull();
  });

  test('a returned alarm still waits for a person', () => {
    expect(sounds(p(1, { state: 'rtn_unack', active: false }))).toBe(true);
  });

  test('a late excursion that is over has no horn; one that is still on has', () => {
    expect(sounds(p(1, { state: 'rtn_unack', active: false, late: true }))).toBe(false);
    expect(sounds(p(1, { late: true }))).toBe(true);
  });
});

describe('patterns', () => {
  test('as written: three, two, one, one once', () => {
    expect([1, 2, 3, 4].map((priority) => PATTERNS[priority as Priority].pulses.length)).toEqual([3, 2, 1, 1]);
    expect([1, 2, 3, 4].map((priority) => PATTERNS[priority as Priority].everyMs)).toEqual([2_000, 4_000, 15_000, null]);
    expect(PATTERNS[1].pulses.map(({ hz }) => hz)).toEqual([1_000, 1_400, 1_000]);
  });

  test('a broken link sounds, but not over a P1', () => {
    expect(wanted(null, true, NOT_MUTED)).toBe(LINK_LOST);
    expect(wanted(3, true, NOT_MUTED)).toBe(LINK_LOST);
    expect(wanted(1, true, NOT_MUTED)).toBe(PATTERNS[1]);
    expect(wanted(4, false, NOT_MUTED)).toBeNull();
    expect(wanted(2, false, NOT_MUTED)).toBe(PATTERNS[2]);
  });
});

describe('mute', () => {
  test('ends by itself after sixty seconds', () => {
    const muted = mute(1_000, 2);
    expect(wanted(2, true, muted)).toBeNull();
    expect(afterTime(muted, 60_999).kind).toBe('on');
    expect(afterTime(muted, 61_000)).toEqual(NOT_MUTED);
  });

  test('is broken by a new alarm of equal or higher priority, not by a lower one', () => {
    expect(afterRaise(mute(0, 2), 2)).toEqual(NOT_MUTED);
    expect(afterRaise(mute(0, 2), 1)).toEqual(NOT_MUTED);
    expect(afterRaise(mute(0, 2), 3).kind).toBe('on');
    expect(afterRaise(mute(0, null), 4)).toEqual(NOT_MUTED);
  });
});
