// Points and their trends.
import { kind, priority, type Kind, type Priority } from './desk';
import { reading, trendSample, type Sample } from './reading';
import {
  field,
  fields,
  finite,
  flag,
  list,
  listOf,
  moment,
  orNull,
  text,
  textOrEmpty,
  whole,
  type Door,
} from './shape';

export interface Limit {
  readonly kind: Kind;
  /** `null`: not set, or a kind that has none. */
  readonly limit: number | null;
  readonly deadband: number;
  readonly priority: Priority;
}

export interface Point {
  readonly point: number;
  readonly gateway: string;
  readonly tag: string;
  readonly name: string;
  readonly unit: string;
  readonly low: number | null;
  readonly high: number | null;
  readonly installation: string;
  readonly equipment: string;
  readonly signal: string;
  /** `null`: nothing has come from this point yet. */
  readonly last: Sample | null;
  readonly limits: readonly Limit[];
}

/** Data that are known to be lost. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly cause: string;
}

export interface PointDetail {
  readonly point: Point;
  readonly gaps: readonly Gap[];
}

/** One stretch of a trend, drawn as an envelope. */
export interface Bucket {
  readonly t: number;
  readonly min: number | null;
  readonly max: number | null;
  readonly last: number | null;
  readonly good: number;
  readonly bad: number;
}

export interface Excursion {
  readonly kind: Kind;
  readonly teOn: number;
  readonly teOff: number | null;
  readonly late: boolean;
}

export interface Trend {
  readonly point: number;
  readonly from: number;
  readonly to: number;
  readonly body:
    | { readonly kind: 'raw'; readonly samples: readonly Sample[] }
    | { readonly kind: 'buckets'; readonly buckets: readonly Bucket[] };
  readonly excursions: readonly Excursion[];
}

const limit: Door<Limit> = (value, where) => {
  const of = fields(value, where);
  return {
    kind: field(of, 'kind', kind, where),
    limit: field(of, 'limit', orNull(finite), where),
    deadband: field(of, 'deadband', orNull(finite), where) ?? 0,
    priority: field(of, 'priority', priority, where),
  };
};

export const point: Door<Point> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  const te = get('te', orNull(moment));
  const word = get('quality', orNull(text));
  const number = get('value', orNull(finite));
  return {
    point: get('point', whole),
    gateway: get('gateway', text),
    tag: get('tag', text),
    name: get('name', textOrEmpty),
    unit: get('unit', textOrEmpty),
    low: get('low', orNull(finite)),
    high: get('high', orNull(finite)),
    installation: get('installation', textOrEmpty),
    equipment: get('equipment', textOrEmpty),
    signal: get('signal', textOrEmpty),
    last: te === null || word === null ? null : { te, reading: reading(number, word) },
    limits: get('limits', listOf(limit)),
  };
};

export const points: Door<readonly Point[]> = listOf(point);

const gap: Door<Gap> = (value, where) => {
  const of = fields(value, where);
  return {
    from: field(of, 'from', moment, where),
    to: field(of, 'to', moment, where),
    cause: field(of, 'cause', textOrEmpty, where),
  };
};

export const pointDetail: Door<PointDetail> = (value, where) => ({
  point: point(value, where),
  gaps: field(fields(value, where), 'gaps', orNull(listOf(gap)), where) ?? [],
});

const bucket: Door<Bucket> = (value, where) => {
  const row = list(value, where);
  const number = (i: number): number | null => orNull(finite)(row[i], `${where}[${i}]`);
  return {
    t: finite(row[0], `${where}[0]`),
    min: number(1),
    max: number(2),
    last: number(3),
    good: whole(row[4], `${where}[4]`),
    bad: whole(row[5], `${where}[5]`),
  };
};

const excursion: Door<Excursion> = (value, where) => {
  const of = fields(value, where);
  return {
    kind: field(of, 'kind', kind, where),
    teOn: field(of, 'te_on', moment, where),
    teOff: field(of, 'te_off', orNull(moment), where),
    late: field(of, 'late', flag, where),
  };
};

export const trend: Door<Trend> = (value, where) => {
  const of = fields(value, where);
  const raw = field(of, 'raw', flag, where);
  return {
    point: field(of, 'point', whole, where),
    from: field(of, 'from', moment, where),
    to: field(of, 'to', moment, where),
    body: raw
      ? { kind: 'raw', samples: field(of, 'samples', listOf(trendSample), where) }
      : { kind: 'buckets', buckets: field(of, 'buckets', listOf(bucket), where) },
    excursions: field(of, 'alarms', listOf(excursion), where),
  };
};
