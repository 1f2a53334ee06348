// Which rows of the desk are looked at: all, one overlay, one outage. What a filter hides is counted,
// never forgotten.
import type { Alarm } from '../door/desk';
import type { Outage } from '../door/outage';
import { isUnack } from './order';

/** States that keep an alarm from sounding. Each has its list and its counter. */
export const QUIETED = ['shelved', 'suppressed', 'oos'] as const;
export type Quieted = (typeof QUIETED)[number];

export type Filter =
  | { readonly kind: 'all' }
  | { readonly kind: 'state'; readonly state: Quieted }
  | { readonly kind: 'outage'; readonly package: string };

export const ALL: Filter = { kind: 'all' };

/** As the address says it. */
export function filterOf(state: string | null, outage: string | null): Filter {
  const quieted = QUIETED.find((known) => known === state);
  if (quieted !== undefined) return { kind: 'state', state: quieted };
  return outage === null || outage === '' ? ALL : { kind: 'outage', package: outage };
}

export function passes(filter: Filter, outages: readonly Outage[]): (alarm: Alarm) => boolean {
  switch (filter.kind) {
    case 'all':
      return () => true;
    case 'state':
      return ({ state }) => state === filter.state;
    case 'outage': {
      const named = outages.find((outage) => outage.package === filter.package)?.excursions ?? [];
      return ({ alarm, occurrence }) => named.some((one) => one.alarm === alarm && one.occurrence === occurrence);
    }
  }
}

/** Excursions of an outage that nobody has answered. */
export function unanswered(outage: Outage, alarms: Iterable<Alarm>): number {
  const mine = passes({ kind: 'outage', package: outage.package }, [outage]);
  return Array.from(alarms).filter((alarm) => isUnack(alarm) && mine(alarm)).length;
}
