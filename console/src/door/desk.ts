// The duty desk as the centre tells it: alarms, gateways, proof of quiet.
//
// An alarm that cannot be read does not hide the others: it is named in `misread`, and while
// `misread` is not empty the desk is never shown as quiet.
import { outage, type Outage } from './outage';
import {
  field,
  fields,
  finite,
  flag,
  list,
  moment,
  oneOf,
  orNull,
  text,
  textOrEmpty,
  whole,
  WrongShape,
  zone,
  type Door,
} from './shape';

export const KINDS = [
  'hh',
  'h',
  'l',
  'll',
  'stale',
  'gateway_offline',
  'clock',
  'unset',
  'roc_up',
  'roc_down',
  'deviation',
  'discrete',
  'frozen',
  'badq',
  'range',
  'vote',
  'ttl',
  'composite',
  'other',
] as const;
/** `other`: a kind that this console does not know. The alarm is shown all the same. */
export type Kind = (typeof KINDS)[number];

/** Kinds whose limit is a value of the point. */
export const LEVELS = ['hh', 'h', 'l', 'll'] as const;
export type LevelKind = (typeof LEVELS)[number];

export function levelOf(kind: Kind): LevelKind | null {
  return LEVELS.find((level) => level === kind) ?? null;
}

export type Priority = 1 | 2 | 3 | 4;
export const PRIORITIES: readonly Priority[] = [1, 2, 3, 4];

export const STATES = [
  'normal',
  'unack',
  'acked',
  'rtn_unack',
  'latched_unack',
  'latched_acked',
  'shelved',
  'suppressed',
  'oos',
] as const;
export type AlarmState = (typeof STATES)[number];

/** Whether it came first in its installation; `unknown`: the clocks, or a restart, hide it. */
export const PLACES = ['first', 'tie', 'later', 'unknown'] as const;
export type Place = (typeof PLACES)[number];

export interface Alarm {
  readonly alarm: string;
  readonly occurrence: number;
  readonly gateway: string;
  readonly enterprise: string;
  readonly installation: string;
  readonly equipment: string;
  readonly tag: string;
  readonly point: number | null;
  readonly name: string;
  readonly kind: Kind;
  readonly priority: Priority;
  readonly state: AlarmState;
  readonly active: boolean;
  readonly limit: number | null;
  readonly unit: string;
  /** At the transition; the value of now comes with the stream. */
  readonly value: number | null;
  readonly teOn: number;
  readonly teOff: number | null;
  /** When the centre knew. */
  readonly known: number;
  readonly late: boolean;
  readonly recorded: boolean;
  readonly ackedBy: string | null;
  readonly ackedAt: number | null;
  readonly comment: string;
  /** When a shelf ends by itself. */
  readonly shelfUntil: number | null;
  /** `null`: first or not says nothing of it. */
  readonly firstOut: Place | null;
  /** False: its limit was taken away while it stood; nobody judges the point by it any more. */
  readonly judged: boolean;
}

export type GatewayState = 'online' | 'offline' | 'never_seen';

/** How a gateway's disk does: `thinning` keeps everything that alarms need. */
export type Disk = 'fine' | 'thinning' | 'full' | 'refusing' | 'in_memory';

export interface Gateway {
  readonly gateway: string;
  readonly enterprise: string;
  readonly state: GatewayState;
  readonly lastHeard: number | null;
  readonly points: number;
  /** `null`: this centre does not count it. */
  readonly reporting: number | null;
  readonly blind: number;
  readonly backlog: number;
  readonly clockSkewMs: number | null;
  readonly gaps: number;
  /** The gateway judges by other limits than the centre. */
  readonly limitsDiffer: boolean;
  /** How its disk does, as it says itself. */
  readonly storage: Disk;
}

/** A limit in force that is not judged, or not as it is meant. */
export interface Misfit {
  readonly gateway: string;
  /** As the centre names it: `GW-01/TK-101.LT/HH`. */
  readonly alarm: string;
  /** Empty: the gateway's own, or that of a row nobody can read. */
  readonly tag: string;
  /** Line in the file; `null`: it is about the whole of it. */
  readonly row: number | null;
  /** It is judged, but not as it is meant. */
  readonly judged: boolean;
  /** What is wrong, and the mend. */
  readonly zh: string;
  readonly en: string;
}

/** What a silence rests on. */
export interface Proof {
  readonly dataAgeMs: number | null;
  readonly points: number;
  readonly reporting: number;
  readonly blind: number;
  /** Limits that are not judged as they are meant; `null`: this centre does not count them. */
  readonly misfits: number | null;
  readonly gateways: number;
  readonly gatewaysOnline: number;
  readonly journalOk: boolean;
  /** The alarm engine answers. A centre that does not say is believed. */
  readonly engineOk: boolean;
  /** Since a canary last came through engine, journal and desk; `null`: not told. */
  readonly canaryAgeMs: number | null;
  /** How long that one took. */
  readonly canaryMs: number | null;
  /** `null`: this centre has no watchdog. */
  readonly watchdogOk: boolean | null;
}

/** What a person may do; each may do what the ones before may. */
export const ROLES = ['viewer', 'operator', 'engineer', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface Desk {
  readonly serverTime: number;
  readonly seq: number;
  readonly zone: string;
  readonly demo: boolean;
  readonly user: string;
  readonly role: Role;
  readonly alarms: readonly Alarm[];
  readonly misread: readonly string[];
  readonly gateways: readonly Gateway[];
  readonly outages: readonly Outage[];
  readonly misfits: readonly Misfit[];
  readonly proof: Proof;
}

/** Names a row: an alarm may have several occurrences that want an answer. */
export function rowKey(alarm: Pick<Alarm, 'alarm' | 'occurrence'>): string {
  return `${alarm.alarm}#${alarm.occurrence}`;
}

export const priority: Door<Priority> = oneOf(1, 2, 3, 4);
export const kind: Door<Kind> = (value, where) => {
  const word = text(value, where);
  return KINDS.find((known) => known === word) ?? 'other';
};

/** A word that this console does not know says nothing of the order, and hides no alarm. */
const place: Door<Place | null> = (value, where) => {
  const word = text(value, where);
  return PLACES.find((known) => known === word) ?? null;
};

export const alarm: Door<Alarm> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  const known = get('known', moment);
  return {
    alarm: get('alarm', text),
    occurrence: get('occurrence', whole),
    gateway: get('gateway', text),
    enterprise: get('enterprise', textOrEmpty),
    installation: get('installation', textOrEmpty),
    equipment: get('equipment', textOrEmpty),
    tag: get('tag', textOrEmpty),
    point: get('point', orNull(whole)),
    name: get('name', textOrEmpty),
    kind: get('kind', kind),
    priority: get('priority', priority),
    state: get('state', oneOf(...STATES)),
    active: get('active', flag),
    limit: get('limit', orNull(finite)),
    unit: get('unit', textOrEmpty),
    value: get('value', orNull(finite)),
    // A beginning that nobody saw is no later than the moment when the centre knew.
    teOn: get('te_on', orNull(moment)) ?? known,
    teOff: get('te_off', orNull(moment)),
    known,
    late: get('late', flag),
    recorded: get('recorded', flag),
    ackedBy: get('acked_by', orNull(text)),
    ackedAt: get('acked_at', orNull(moment)),
    comment: get('comment', textOrEmpty),
    shelfUntil: get('shelf_until', orNull(moment)),
    firstOut: get('first_out', orNull(place)),
    judged: get('judged', orNull(flag)) ?? true,
  };
};

export const gateway: Door<Gateway> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  return {
    gateway: get('gateway', text),
    enterprise: get('enterprise', textOrEmpty),
    state: get('state', oneOf('online', 'offline', 'never_seen')),
    lastHeard: get('last_heard', orNull(moment)),
    points: get('points', whole),
    reporting: get('reporting', orNull(whole)),
    blind: get('blind', whole),
    backlog: get('backlog', whole),
    clockSkewMs: get('clock_skew_ms', orNull(finite)),
    gaps: get('gaps', whole),
    limitsDiffer: get('limits_differ', orNull(flag)) ?? false,
    storage: get('storage', orNull(oneOf('fine', 'thinning', 'full', 'refusing', 'in_memory'))) ?? 'fine',
  };
};

const misfit: Door<Misfit> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  return {
    gateway: get('gateway', text),
    alarm: get('alarm', text),
    tag: get('tag', textOrEmpty),
    row: get('row', orNull(whole)),
    judged: get('judged', flag),
    zh: get('zh', text),
    en: get('en', text),
  };
};

export const proof: Door<Proof> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  return {
    dataAgeMs: get('data_age_ms', orNull(finite)),
    points: get('points', whole),
    reporting: get('reporting', whole),
    blind: get('blind', whole),
    misfits: get('misfits', orNull(whole)),
    gateways: get('gateways', whole),
    gatewaysOnline: get('gateways_online', whole),
    journalOk: get('journal_ok', flag),
    engineOk: get('engine_ok', orNull(flag)) ?? true,
    canaryAgeMs: get('canary_age_ms', orNull(finite)),
    canaryMs: get('canary_ms', orNull(finite)),
    watchdogOk: get('watchdog_ok', orNull(flag)),
  };
};

export const desk: Door<Desk> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  const { read, misread } = readEach(get('alarms', list), alarm, `${where}.alarms`);
  const gateways = get('gateways', list).map((item, i) => gateway(item, `${where}.gateways[${i}]`));
  const outages = readEach(get('packages', orNull(list)) ?? [], outage, `${where}.packages`);
  const misfits = readEach(get('misfits', orNull(list)) ?? [], misfit, `${where}.misfits`);
  const user = fields(of['user'] ?? {}, `${where}.user`);
  return {
    serverTime: get('server_time', moment),
    seq: get('seq', whole),
    zone: get('zone', zone),
    demo: get('demo', flag),
    user: field(user, 'name', textOrEmpty, `${where}.user`),
    role: field(user, 'role', orNull(oneOf(...ROLES)), `${where}.user`) ?? 'viewer',
    alarms: read,
    misread: [...misread, ...outages.misread, ...misfits.misread],
    gateways,
    outages: outages.read,
    misfits: misfits.read,
    proof: get('proof', proof),
  };
};

function readEach<T>(items: readonly unknown[], door: Door<T>, where: string): { read: T[]; misread: string[] } {
  const read: T[] = [];
  const misread: string[] = [];
  items.forEach((item, i) => {
    try {
      read.push(door(item, `${where}[${i}]`));
    } catch (error) {
      if (!(error instanceof WrongShape)) throw error;
      misread.push(error.message);
    }
  });
  return { read, misread };
}
