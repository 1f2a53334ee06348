// A bad stretch is never a zero and never a line across; silence is not a line either.
import { describe, expect, test } from 'vitest';
import { plot, withLive } from '../src/chart/plot';
import { windowOf } from '../src/chart/range';
import type { Bucket, Trend } from '../src/door/points';
import { reading, type Sample } from '../src/door/reading';

const BREAK = 30_000;

function at(seconds: number, value: number | null, word = 'good'): Sample {
  return { te: seconds * 1000, reading: reading(value, word) };
}

function raw(from: number, to: number, ...samples: readonly Sample[]): Trend {
  return { point: 1, from: from * 1000, to: to * 1000, body: { kind: 'raw', samples }, excursions: [] };
}

function wide(to: number, ...buckets: readonly Bucket[]): Trend {
  return { point: 1, from: 0, to: to * 1000, body: { kind: 'buckets', buckets }, excursions: [] };
}

describe('samples', () => {
  test('a bad stretch has no number and lasts until the next good sample', () => {
    const got = plot(raw(0, 30, at(1, 5), at(2, null, 'timeout'), at(3, null, 'timeout'), at(6, 7)), 30_000, BREAK, []);
    expect(got.y).toEqual([5, null, null, 7]);
    expect(got.bad).toEqual([{ from: 2_000, to: 6_000 }]);
    expect(got.absent).toEqual([]);
  });

  test('a long silence breaks the line and is shown as absent, at both ends too', () => {
    const got = plot(raw(0, 300, at(100, 1), at(200, 2)), 300_000, BREAK, []);
    expect(got.absent).toEqual([{ from: 0, to: 300_000 }]);
    expect(got.y).toEqual([null, 1, null, 2]);
  });

  test('what is still to come is not absent', () => {
    const got = plot(raw(0, 600, at(1, 1), at(20, 2)), 40_000, BREAK, []);
    expect(got.absent).toEqual([]);
  });

  test('a bad stretch without an end lasts to now, or until nothing came any more', () => {
    expect(plot(raw(0, 60, at(1, 5), at(10, null, 'timeout')), 20_000, BREAK, []).bad).toEqual([{ from: 10_000, to: 20_000 }]);
    const silent = plot(raw(0, 100, at(1, 5), at(10, null, 'timeout')), 100_000, BREAK, []);
    expect(silent.bad).toEqual([{ from: 10_000, to: 10_000 }]);
    expect(silent.absent).toEqual([{ from: 10_000, to: 100_000 }]);
  });

  test('a gap that the centre knows is absent even where it is short', () => {
    const got = plot(raw(0, 20, at(1, 1), at(19, 2)), 20_000, BREAK, [{ from: 5_000, to: 9_000, cause: 'thinned' }]);
    expect(got.absent).toEqual([{ from: 5_000, to: 9_000 }]);
  });

  test('a live sample continues a raw trend once', () => {
    const trend = raw(0, 10, at(1, 1));
    const next = withLive(trend, at(2, 3), 0, 11_000);
    expect(next.body.kind === 'raw' && next.body.samples).toHaveLength(2);
    const again = withLive(next, at(2, 3), 0, 12_000);
    expect(again.body.kind === 'raw' && again.body.samples).toHaveLength(2);
  });
});

describe('buckets', () => {
  test('a bucket without a number is bad or absent, never zero', () => {
    const got = plot(
      wide(
        500,
        { t: 0, min: 1, max: 3, last: 2, good: 5, bad: 0 },
        { t: 100_000, min: null, max: null, last: null, good: 0, bad: 5 },
        { t: 200_000, min: null, max: null, last: null, good: 0, bad: 0 },
        { t: 300_000, min: 2, max: 4, last: 3, good: 4, bad: 1 },
      ),
      400_000,
      BREAK,
      [],
    );
    expect(got.y).toEqual([2, null, null, 3]);
    expect(got.high).toEqual([3, null, null, 4]);
    expect(got.bad).toEqual([{ from: 100_000, to: 200_000 }, { from: 300_000, to: 400_000 }]);
    expect(got.absent).toEqual([{ from: 200_000, to: 300_000 }]);
  });
});

test('an address names a live range or two times; nonsense is the last hour', () => {
  expect(windowOf('8h', null, null)).toMatchObject({ kind: 'live', spanMs: 28_800_000 });
  expect(windowOf(null, '1000', '2000')).toEqual({ kind: 'fixed', from: 1000, to: 2000 });
  expect(windowOf('1h', '2026-11-21T14:00:00Z', '2026-11-21T15:00:00Z').kind).toBe('fixed');
  expect(windowOf('1h', '2000', '1000')).toMatchObject({ kind: 'live', name: '1h' });
  expect(windowOf('forever', 'x', null)).toMatchObject({ kind: 'live', name: '1h' });
});
