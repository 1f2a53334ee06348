// A trend as a chart can draw it: where there is a line, where the instrument gave no number, and
// where nothing came at all. A bad stretch is never a zero and never a line across.
import { numberOf, type Sample } from '../door/reading';
import type { Bucket, Gap, Trend } from '../door/points';

/** A stretch of time, ms. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

export interface Plot {
  /** Seconds, as the chart wants them. */
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
  /** The envelope; `null` where the samples themselves are drawn. */
  readonly low: readonly (number | null)[] | null;
  readonly high: readonly (number | null)[] | null;
  /** The instrument answered without a number. */
  readonly bad: readonly Stretch[];
  /** Nothing came. */
  readonly absent: readonly Stretch[];
}

/** Silence of a point after which a line would be a guess, where no STALE limit says otherwise. */
export const BREAK_AFTER_MS = 30_000;

/** `until`: the end of what can be known, now or the end of the trend. */
export function plot(trend: Trend, until: number, breakAfterMs: number, gaps: readonly Gap[]): Plot {
  const end = Math.min(trend.to, until);
  const drawn =
    trend.body.kind === 'raw'
      ? ofSamples(trend.body.samples, trend.from, end, breakAfterMs)
      : ofBuckets(trend.body.buckets, trend.from, end, breakAfterMs);
  const lost = gaps.filter((gap) => gap.to > trend.from && gap.from < end).map(({ from, to }) => ({ from, to }));
  return { ...drawn, absent: merged([...drawn.absent, ...lost]) };
}

function ofSamples(samples: readonly Sample[], from: number, end: number, breakAfterMs: number): Plot {
  const x: number[] = [];
  const y: (number | null)[] = [];
  const bad: Stretch[] = [];
  const absent: Stretch[] = [];
  let before = from;
  let badSince: number | null = null;
  const step = (te: number): void => {
    if (te - before > breakAfterMs) {
      if (badSince !== null) bad.push({ from: badSince, to: before });
      badSince = null;
      absent.push({ from: before, to: te });
      x.push((before + 1) / 1000);
      y.push(null);
    }
    before = te;
  };
  for (const { te, reading } of samples) {
    step(te);
    const value = numberOf(reading);
    if (value === null) badSince ??= te;
    else if (badSince !== null) {
      bad.push({ from: badSince, to: te });
      badSince = null;
    }
    x.push(te / 1000);
    y.push(value);
  }
  const last = before;
  if (end - last > breakAfterMs) absent.push({ from: last, to: end });
  if (badSince !== null) bad.push({ from: badSince, to: end - last > breakAfterMs ? last : end });
  return { x, y, low: null, high: null, bad, absent };
}

function ofBuckets(buckets: readonly Bucket[], from: number, end: number, breakAfterMs: number): Plot {
  const width = bucketWidth(buckets);
  const full = buckets.filter(({ good, bad }) => good > 0 || bad > 0);
  const x: number[] = [];
  const rows: { y: (number | null)[]; low: (number | null)[]; high: (number | null)[] } = { y: [], low: [], high: [] };
  const push = (t: number, bucket: Bucket | null): void => {
    x.push(t / 1000);
    rows.y.push(bucket?.last ?? null);
    rows.low.push(bucket?.min ?? null);
    rows.high.push(bucket?.max ?? null);
  };
  const bad: Stretch[] = [];
  const absent: Stretch[] = [];
  let covered = from;
  for (const bucket of full) {
    if (bucket.t - covered > breakAfterMs) {
      absent.push({ from: covered, to: bucket.t });
      push(covered + 1, null);
    }
    push(bucket.t, bucket.good > 0 ? bucket : null);
    if (bucket.bad > 0) bad.push({ from: bucket.t, to: Math.min(end, bucket.t + width) });
    covered = bucket.t + width;
  }
  if (end - covered > breakAfterMs) absent.push({ from: covered, to: end });
  return { x, ...rows, bad: merged(bad), absent };
}

/** Buckets are equally wide; empty ones may be left out. */
function bucketWidth(buckets: readonly Bucket[]): number {
  let width = Infinity;
  for (let i = 1; i < buckets.length; i += 1) {
    const step = (buckets[i]?.t ?? 0) - (buckets[i - 1]?.t ?? 0);
    if (step > 0) width = Math.min(width, step);
  }
  return width === Infinity ? 0 : width;
}

function merged(stretches: readonly Stretch[]): readonly Stretch[] {
  const result: Stretch[] = [];
  for (const next of [...stretches].sort((a, b) => a.from - b.from)) {
    const last = result[result.length - 1];
    if (last !== undefined && next.from <= last.to + 1) {
      result[result.length - 1] = { from: last.from, to: Math.max(last.to, next.to) };
    } else result.push(next);
  }
  return result;
}

/** A trend with a live sample at its end, where samples themselves are drawn. */
export function withLive(trend: Trend, sample: Sample, from: number, to: number): Trend {
  if (trend.body.kind !== 'raw') return trend;
  const samples = trend.body.samples;
  const newest = samples[samples.length - 1]?.te ?? -Infinity;
  if (sample.te <= newest || sample.te > to) return { ...trend, from, to };
  return { ...trend, from, to, body: { kind: 'raw', samples: [...samples, sample] } };
}
