// Keys by place; times and numbers as they stand on the screen; addresses; words.
import { describe, expect, test } from 'vitest';
import { requestId } from '../src/door/api';
import { keyOf, type Press } from '../src/keys';
import { routeOf } from '../src/route';
import { en } from '../src/words/en';
import { age, dateTime, hourMinute, number, plain, shortTime, span } from '../src/words/format';
import { zh } from '../src/words/zh';

function press(code: string, changes: Partial<Press> = {}): Press {
  return { code, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, isComposing: false, ...changes };
}

describe('keys', () => {
  test('go by the place of the key', () => {
    expect(keyOf(press('KeyA'), false, 'on')).toBe('acknowledge');
    expect(keyOf(press('Slash', { shiftKey: true }), false, 'on')).toBe('help');
    expect(keyOf(press('KeyJ', { shiftKey: true }), false, 'on')).toBe('extend_next');
    expect(keyOf(press('KeyP'), true, 'on')).toBe('points');
    expect(keyOf(press('KeyA'), true, 'on')).toBeNull();
  });

  test('are nothing while Chinese is composed or with Ctrl, Alt, Meta', () => {
    for (const held of [{ isComposing: true }, { ctrlKey: true }, { altKey: true }, { metaKey: true }]) {
      expect(keyOf(press('KeyA', held), false, 'on')).toBeNull();
    }
  });

  test('with letters off only named keys remain', () => {
    expect(keyOf(press('KeyA'), false, 'off')).toBeNull();
    expect(keyOf(press('ArrowDown'), false, 'off')).toBe('next');
    expect(keyOf(press('Escape'), false, 'off')).toBe('leave');
  });
});

describe('times and numbers', () => {
  const ms = Date.UTC(2026, 10, 21, 16, 3, 5);

  test('are 24 hours in the centre’s zone', () => {
    expect(dateTime(ms, 'Asia/Shanghai')).toBe('2026-11-22 00:03:05');
    expect(hourMinute(ms, 'UTC')).toBe('16:03');
    expect(shortTime(ms, ms + 1000, 'UTC')).toBe('16:03:05');
    expect(shortTime(ms - 86_400_000, ms, 'UTC')).toBe('11-20 16:03');
  });

  test('spans and ages', () => {
    expect([span(42_000), span(3_723_000), span(90_000_000), span(-5)]).toEqual(['00:42', '1:02:03', '1 d 01:00', '00:00']);
    expect([age(800), age(59_999), age(190_000)]).toEqual(['0 s', '59 s', '03:10']);
  });

  test('places follow the range', () => {
    expect([number(61.234, 0, 100), number(1.4234, 0, 2), number(14, 0, 5000)]).toEqual(['61.2', '1.423', '14']);
    expect([plain(85), plain(1.35)]).toEqual(['85', '1.35']);
  });
});

test('addresses', () => {
  expect(routeOf('/')).toEqual({ kind: 'desk' });
  expect(routeOf('/points/17')).toEqual({ kind: 'point', point: 17 });
  expect(routeOf('/points/GT-1203').kind).toBe('nowhere');
});

test('both languages fill the same holes', () => {
  const holes = (text: string): string => (text.match(/\{\w+\}/g) ?? []).sort().join();
  for (const key of Object.keys(zh) as (keyof typeof zh)[]) expect(holes(en[key]), key).toBe(holes(zh[key]));
  for (const wrong of ['告警', '屏蔽', '坏点', '关闭']) expect(Object.values(zh).join(), wrong).not.toContain(wrong);
});

test('a request has its own name', () => {
  expect(requestId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(requestId()).not.toBe(requestId());
});
