// What sounds, as numbers. Who plays it is `horn.ts`.
//
// - Only the highest unacknowledged alarm sounds, until it is acknowledged or muted.
// - An excursion that came late and is over has a chime for its package, no horn: nothing can be
//   done about it in the next minutes.
import type { Alarm, Priority } from '../door/desk';
import { isUnack } from '../desk/order';

/** One tone, seconds from the start of the pattern. */
export interface Pulse {
  readonly at: number;
  readonly hz: number;
  readonly seconds: number;
}

/** `everyMs` null: once. */
export interface Pattern {
  readonly name: string;
  readonly pulses: readonly Pulse[];
  readonly everyMs: number | null;
}

const P1: Pattern = {
  name: 'p1',
  everyMs: 2_000,
  pulses: [
    { at: 0, hz: 1_000, seconds: 0.18 },
    { at: 0.28, hz: 1_400, seconds: 0.18 },
    { at: 0.56, hz: 1_000, seconds: 0.18 },
  ],
};
const P2: Pattern = {
  name: 'p2',
  everyMs: 4_000,
  pulses: [
    { at: 0, hz: 1_000, seconds: 0.2 },
    { at: 0.35, hz: 1_000, seconds: 0.2 },
  ],
};
const P3: Pattern = { name: 'p3', everyMs: 15_000, pulses: [{ at: 0, hz: 800, seconds: 0.3 }] };
const P4: Pattern = { name: 'p4', everyMs: null, pulses: [{ at: 0, hz: 600, seconds: 0.4 }] };

export const PATTERNS: Readonly<Record<Priority, Pattern>> = { 1: P1, 2: P2, 3: P3, 4: P4 };

/** This console's own alarm: it no longer hears the centre. Falling, so that no priority's pattern
 * is mistaken for it. */
export const LINK_LOST: Pattern = {
  name: 'link_lost',
  everyMs: 4_000,
  pulses: [
    { at: 0, hz: 900, seconds: 0.25 },
    { at: 0.3, hz: 600, seconds: 0.25 },
    { at: 0.6, hz: 400, seconds: 0.35 },
  ],
};

/** A back-fill package has come. Once. */
export const LATE_CHIME: Pattern = {
  name: 'late',
  everyMs: null,
  pulses: [
    { at: 0, hz: 700, seconds: 0.2 },
    { at: 0.3, hz: 900, seconds: 0.3 },
  ],
};

export const SELF_TEST: Pattern = { name: 'self_test', everyMs: null, pulses: P1.pulses };

/** True where this alarm asks for a horn. */
export function sounds(alarm: Alarm): boolean {
  return isUnack(alarm) && !(alarm.late && !alarm.active);
}

/** The highest priority that asks for a horn. */
export function loudest(alarms: Iterable<Alarm>): Priority | null {
  let highest: Priority | null = null;
  for (const alarm of alarms) {
    if (sounds(alarm) && (highest === null || alarm.priority < highest)) highest = alarm.priority;
  }
  return highest;
}

/** No mute lasts longer. */
export const MUTE_MAX_MS = 60_000;

/** A mute covers what was sounding when it began. */
export type Mute =
  | { readonly kind: 'off' }
  | { readonly kind: 'on'; readonly until: number; readonly covers: Priority | null };

export const NOT_MUTED: Mute = { kind: 'off' };

export function mute(now: number, sounding: Priority | null): Mute {
  return { kind: 'on', until: now + MUTE_MAX_MS, covers: sounding };
}

/** A new alarm of equal or higher priority breaks a mute; so does any, if none was sounding. */
export function afterRaise(muted: Mute, raised: Priority): Mute {
  if (muted.kind === 'off') return muted;
  return muted.covers === null || raised <= muted.covers ? NOT_MUTED : muted;
}

export function afterTime(muted: Mute, now: number): Mute {
  return muted.kind === 'on' && now >= muted.until ? NOT_MUTED : muted;
}

/** What repeats now. A broken link sounds unless something more urgent does. */
export function wanted(highest: Priority | null, linkBroken: boolean, muted: Mute): Pattern | null {
  if (muted.kind === 'on') return null;
  if (highest === 1) return PATTERNS[1];
  if (linkBroken) return LINK_LOST;
  return highest === null || highest === 4 ? null : PATTERNS[highest];
}
