// What an instrument said. No number where there is none to trust: a value that comes with a
// fault word, or with a word this console does not know, is bad.
import { finite, moment, orNull, text, whole, list, type Door } from './shape';

/** Why a number is doubted. */
export const DOUBTS = ['estimated_time', 'near_range', 'frozen', 'too_fast', 'source_uncertain', 'saturated', 'count_restarted'] as const;
export type Doubt = (typeof DOUBTS)[number];

/** Why there is no number. */
export const FAULTS = [
  'timeout',
  'illegal_function',
  'illegal_address',
  'illegal_value',
  'device_failure',
  'device_busy',
  'path_unavailable',
  'device_exception',
  'bad_frame',
  'not_connected',
  'not_a_number',
  'sentinel',
  'out_of_range',
  'wire_break',
  'undecodable',
  'wrong_unit',
  'missing',
  'source_bad',
  'reader_failed',
  'not_refreshed',
  'warm_up',
  'calibrating',
  'simulated',
  'bump_test',
  'inhibited',
  'unknown_quality',
] as const;
export type Fault = (typeof FAULTS)[number];

export type Reading =
  | { readonly kind: 'good'; readonly value: number }
  | { readonly kind: 'uncertain'; readonly value: number; readonly doubt: Doubt }
  | { readonly kind: 'bad'; readonly fault: Fault };

/** A reading with its source time. */
export interface Sample {
  readonly te: number;
  readonly reading: Reading;
}

/** Puts a value and a quality word together. */
export function reading(value: number | null, word: string): Reading {
  if (value !== null && word === 'good') return { kind: 'good', value };
  const doubt = DOUBTS.find((known) => known === word);
  if (value !== null && doubt !== undefined) return { kind: 'uncertain', value, doubt };
  return { kind: 'bad', fault: FAULTS.find((known) => known === word) ?? 'unknown_quality' };
}

/** The number, if there is one. */
export function numberOf(what: Reading): number | null {
  return what.kind === 'bad' ? null : what.value;
}

/** `[point, value or null, quality, te]` of the stream. */
export const liveValue: Door<readonly [number, Sample]> = (value, where) => {
  const row = list(value, where);
  const point = whole(row[0], `${where}[0]`);
  const number = orNull(finite)(row[1], `${where}[1]`);
  const word = text(row[2], `${where}[2]`);
  return [point, { te: moment(row[3], `${where}[3]`), reading: reading(number, word) }];
};

/** `[ms, value or null, quality]` of a trend. */
export const trendSample: Door<Sample> = (value, where) => {
  const row = list(value, where);
  const te = finite(row[0], `${where}[0]`);
  const number = orNull(finite)(row[1], `${where}[1]`);
  return { te, reading: reading(number, text(row[2], `${where}[2]`)) };
};
