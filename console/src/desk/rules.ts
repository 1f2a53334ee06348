// Numbers of the desk, each with its reason.
import type { Alarm } from '../door/desk';

/** Above this many unacknowledged alarms flashing stops and the flood banner comes. */
export const FLOOD_UNACK = 20;

/** At most this many rows are acknowledged at once: nobody has read more. */
export const MANY_MAX = 50;

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
