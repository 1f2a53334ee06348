// The stream's events, one union. The event `ping` has no id and carries the proof of quiet.
import { alarm, gateway, proof, type Alarm, type Gateway, type Proof } from './desk';
import { liveValue, type Sample } from './reading';
import { field, fields, json, listOf, moment, text, whole } from './shape';

/** A back-fill package: what a gateway saw while the centre did not see it. */
export interface Late {
  readonly gateway: string;
  readonly records: number;
  readonly samples: number;
  readonly from: number;
  readonly to: number;
  readonly excursions: number;
}

export type StreamEvent =
  | { readonly kind: 'alarm'; readonly alarm: Alarm }
  | { readonly kind: 'late'; readonly late: Late }
  | { readonly kind: 'values'; readonly values: readonly (readonly [number, Sample])[] }
  | { readonly kind: 'gateway'; readonly gateway: Gateway }
  | { readonly kind: 'ping'; readonly serverTime: number; readonly proof: Proof }
  | { readonly kind: 'reset' };

export const EVENT_NAMES = ['alarm', 'late', 'values', 'gateway', 'ping', 'reset'] as const;
export type EventName = (typeof EVENT_NAMES)[number];

/** Reads one event. Throws `WrongShape`. */
export function streamEvent(name: EventName, data: string): StreamEvent {
  if (name === 'reset') return { kind: 'reset' };
  const value = json(data, name);
  switch (name) {
    case 'alarm':
      return { kind: 'alarm', alarm: alarm(value, name) };
    case 'gateway':
      return { kind: 'gateway', gateway: gateway(value, name) };
    case 'late':
      return { kind: 'late', late: late(value, name) };
    case 'values':
      return { kind: 'values', values: field(fields(value, name), 'v', listOf(liveValue), name) };
    case 'ping': {
      const of = fields(value, name);
      return {
        kind: 'ping',
        serverTime: field(of, 'server_time', moment, name),
        proof: field(of, 'proof', proof, name),
      };
    }
  }
}

function late(value: unknown, where: string): Late {
  const of = fields(value, where);
  return {
    gateway: field(of, 'gateway', text, where),
    records: field(of, 'records', whole, where),
    samples: field(of, 'samples', whole, where),
    from: field(of, 'from', moment, where),
    to: field(of, 'to', moment, where),
    excursions: field(of, 'excursions', whole, where),
  };
}
