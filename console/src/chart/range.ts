// Which stretch of time a trend shows. The address holds it: a live range by name, or two times.

export type RangeName = '10m' | '1h' | '8h' | '24h';

export interface Range {
  readonly name: RangeName;
  readonly spanMs: number;
}

const HOUR_MS = 3_600_000;

export const RANGES: readonly Range[] = [
  { name: '10m', spanMs: HOUR_MS / 6 },
  { name: '1h', spanMs: HOUR_MS },
  { name: '8h', spanMs: 8 * HOUR_MS },
  { name: '24h', spanMs: 24 * HOUR_MS },
];

/** `live` ends now and moves on. */
export type Window =
  | { readonly kind: 'live'; readonly name: RangeName; readonly spanMs: number }
  | { readonly kind: 'fixed'; readonly from: number; readonly to: number };

const HOUR: Window = { kind: 'live', name: '1h', spanMs: HOUR_MS };

/** Times in the address are RFC 3339 or milliseconds. An address without sense shows the last hour. */
export function windowOf(range: string | null, from: string | null, to: string | null): Window {
  const [start, end] = [time(from), time(to)];
  if (start !== null && end !== null && start < end) return { kind: 'fixed', from: start, to: end };
  const named = RANGES.find(({ name }) => name === range);
  return named === undefined ? HOUR : { kind: 'live', ...named };
}

function time(text: string | null): number | null {
  if (text === null || text === '') return null;
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isFinite(ms) ? ms : null;
}
