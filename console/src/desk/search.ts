// Search over what an officer may type: tag, name, company, unit, gateway. Every word must match.
import type { Alarm } from '../door/desk';

export function matches(alarm: Alarm, query: string): boolean {
  const text = [alarm.tag, alarm.name, alarm.enterprise, alarm.installation, alarm.equipment, alarm.gateway];
  return containsAll(text.join(' '), query);
}

export function containsAll(text: string, query: string): boolean {
  const low = text.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => low.includes(word));
}
