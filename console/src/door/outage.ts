// An outage as one package: what a gateway saw while the centre did not see it, and which occurrences
// it brought to light.
import { field, fields, listOf, moment, oneOf, orNull, text, whole, type Door } from './shape';

export interface Excursion {
  readonly alarm: string;
  readonly occurrence: number;
  readonly priority: 1 | 2 | 3 | 4;
}

export interface Outage {
  /** Its name. */
  readonly package: string;
  readonly gateway: string;
  /** The silence; `null` where it is not known, or not over. */
  readonly silentFrom: number | null;
  readonly silentTo: number | null;
  /** Oldest and newest of the late samples. */
  readonly from: number;
  readonly to: number;
  readonly samples: number;
  /** How many excursions there were, named below or not. */
  readonly count: number;
  readonly worst: 1 | 2 | 3 | 4 | null;
  readonly excursions: readonly Excursion[];
}

const priority = oneOf(1, 2, 3, 4);

const excursion: Door<Excursion> = (value, where) => {
  const of = fields(value, where);
  return {
    alarm: field(of, 'alarm', text, where),
    occurrence: field(of, 'occurrence', whole, where),
    priority: field(of, 'priority', priority, where),
  };
};

export const outage: Door<Outage> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  return {
    package: get('package', text),
    gateway: get('gateway', text),
    silentFrom: get('silent_from', orNull(moment)),
    silentTo: get('silent_to', orNull(moment)),
    from: get('from', moment),
    to: get('to', moment),
    samples: get('samples', whole),
    count: get('count', whole),
    worst: get('worst', orNull(priority)),
    excursions: get('excursions', listOf(excursion)),
  };
};
