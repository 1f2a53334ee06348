// While a row has focus or the pointer rests on it, rows do not move.
//
// - A held list keeps its rows in their places, also a row whose alarm has gone: it stays as
//   `gone` until the list is released, so that nothing slides under a finger.
// - What is new meanwhile waits: occurrences without a row, and rows that were raised again.
import type { Alarm } from '../door/desk';
import { inOrder, isUnack } from './order';

/** The rows on the screen. */
export interface Shown {
  /** Keys from the first row to the last. */
  readonly rows: readonly string[];
  /** Each row as it was when the list was last free. */
  readonly records: ReadonlyMap<string, Alarm>;
  /** Keys that wait for release, in the desk's order. */
  readonly waiting: readonly string[];
}

export const NOTHING_SHOWN: Shown = { rows: [], records: new Map(), waiting: [] };

/** How the list may move. */
export type Motion = 'free' | 'held';

export function arrange(before: Shown, alarms: ReadonlyMap<string, Alarm>, motion: Motion): Shown {
  if (motion === 'free' || before.rows.length === 0) return free(alarms);
  const waiting = inOrder(alarms.values()).filter((key) => {
    const now = alarms.get(key);
    const then = before.records.get(key);
    if (now === undefined) return false;
    return then === undefined || (isUnack(now) && !isUnack(then));
  });
  return { rows: before.rows, records: before.records, waiting };
}

function free(alarms: ReadonlyMap<string, Alarm>): Shown {
  return { rows: inOrder(alarms.values()), records: new Map(alarms), waiting: [] };
}

/** What a row shows: the alarm as it is, or its last record, gone. */
export function rowOf(shown: Shown, alarms: ReadonlyMap<string, Alarm>, key: string): Alarm | null {
  const now = alarms.get(key);
  if (now !== undefined) return now;
  const then = shown.records.get(key);
  return then === undefined ? null : { ...then, state: 'normal', active: false };
}
