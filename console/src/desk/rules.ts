// Rules and numbers of the desk, each with its reason.
import type { Alarm, Priority } from '../door/desk';
import { isUnack } from './order';

/** Above this many unacknowledged alarms flashing stops and the flood banner comes. */
export const FLOOD_UNACK = 20;

/** At most this many rows are acknowledged at once: nobody has read more. */
export const MANY_MAX = 50;

/** P1, P2 and whatever came late are answered in words; so is an alarm with an older late
 * occurrence, which the same answer covers. The centre refuses silence. */
export function wantsWords(alarm: Alarm, all: Iterable<Alarm>): boolean {
  if (!isUnack(alarm)) return false;
  if (alarm.priority <= 2 || alarm.late) return true;
  for (const other of all) {
    if (other.alarm === alarm.alarm && other.occurrence < alarm.occurrence && other.late && isUnack(other)) return true;
  }
  return false;
}

/** The mark of a row that came first in its installation, alone or tied; the others have none. */
export function firstMark(alarm: Pick<Alarm, 'firstOut'>): 'first' | 'tie' | null {
  return alarm.firstOut === 'first' || alarm.firstOut === 'tie' ? alarm.firstOut : null;
}

/** The longest shelf by priority, in minutes. The centre has the last word. */
export const SHELF_MAX_MIN: Readonly<Record<Priority, number>> = { 1: 30, 2: 240, 3: 480, 4: 1_440 };

/** What a trend shows before and after the moment of an alarm. */
const TREND_BEFORE_MS = 10 * 60_000;
const TREND_AFTER_MS = 10 * 60_000;

/** The trend at the moment of an alarm; `null` where there is none. */
export function trendAddress(alarm: Alarm, now: number): string | null {
  if (alarm.point === null) return null;
  const end = (alarm.teOff ?? alarm.teOn) + TREND_AFTER_MS;
  if (end >= now) {
    const recent = alarm.teOn > now - TREND_BEFORE_MS;
    return recent ? `/points/${alarm.point}?range=10m` : fixed(alarm.point, alarm.teOn - TREND_BEFORE_MS, now);
  }
  return fixed(alarm.point, alarm.teOn - TREND_BEFORE_MS, end);
}

function fixed(point: number, from: number, to: number): string {
  return `/points/${point}?from=${Math.round(from)}&to=${Math.round(to)}`;
}
