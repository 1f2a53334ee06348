// Order of the desk: unacknowledged, then priority, then newest.
import { rowKey, type Alarm, type AlarmState } from '../door/desk';
import type { Key } from '../words/zh';

/** Where a state stands on the desk. */
export type Standing = 'unack' | 'seen' | 'overlay' | 'gone';

export function standing(state: AlarmState): Standing {
  switch (state) {
    case 'unack':
    case 'rtn_unack':
    case 'latched_unack':
      return 'unack';
    case 'acked':
    case 'latched_acked':
      return 'seen';
    case 'shelved':
    case 'suppressed':
    case 'oos':
      return 'overlay';
    case 'normal':
      return 'gone';
  }
}

/** How it stands, in a word. Nobody has acknowledged what nobody is asked to. */
export function stateWord(alarm: Alarm): Key {
  return alarm.state === 'acked' && alarm.ackedBy === null ? 'no_answer' : alarm.state;
}

export function isUnack(alarm: Alarm): boolean {
  return standing(alarm.state) === 'unack';
}

const RANK: Readonly<Record<Standing, number>> = { unack: 0, seen: 1, overlay: 2, gone: 3 };

export function compare(a: Alarm, b: Alarm): number {
  return (
    RANK[standing(a.state)] - RANK[standing(b.state)] ||
    a.priority - b.priority ||
    b.teOn - a.teOn ||
    b.occurrence - a.occurrence ||
    (a.alarm < b.alarm ? -1 : a.alarm > b.alarm ? 1 : 0)
  );
}

/** Keys of these rows in the desk's order. */
export function inOrder(alarms: Iterable<Alarm>): readonly string[] {
  return Array.from(alarms)
    .sort(compare)
    .map(rowKey);
}

/** The number of unacknowledged alarms by priority; index 0 is P1. */
export function unackCounts(alarms: Iterable<Alarm>): readonly [number, number, number, number] {
  const counts: [number, number, number, number] = [0, 0, 0, 0];
  for (const alarm of alarms) if (isUnack(alarm)) counts[alarm.priority - 1] = (counts[alarm.priority - 1] ?? 0) + 1;
  return counts;
}
