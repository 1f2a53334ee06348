// Answers to commands: acknowledgement, the demonstration's switches, problems.
import { field, fields, flag, listOf, oneOf, orNull, text, textOrEmpty, whole, type Door } from './shape';

export interface AckResult {
  readonly alarm: string;
  readonly occurrence: number;
  readonly outcome: 'acknowledged' | 'stale' | 'refused' | 'unknown';
  readonly why: string;
}

const ackResult: Door<AckResult> = (value, where) => {
  const of = fields(value, where);
  return {
    alarm: field(of, 'alarm', text, where),
    occurrence: field(of, 'occurrence', whole, where),
    outcome: field(of, 'outcome', oneOf('acknowledged', 'stale', 'refused', 'unknown'), where),
    why: field(of, 'why', textOrEmpty, where),
  };
};

export const ackResults: Door<readonly AckResult[]> = (value, where) =>
  field(fields(value, where), 'results', listOf(ackResult), where);

/** What became of an order about one alarm. */
export interface Given {
  readonly outcome: 'done' | 'refused' | 'unknown';
  readonly why: string;
}

export const given: Door<Given> = (value, where) => {
  const of = fields(value, where);
  return {
    outcome: field(of, 'outcome', oneOf('done', 'refused', 'unknown'), where),
    why: field(of, 'why', textOrEmpty, where),
  };
};

export interface Demo {
  readonly cablePulled: boolean;
  /** Simulated devices that a fault can be given to. */
  readonly devices: readonly string[];
}

/** The simulated devices of `configs/demo`, where the centre does not list them. */
const DEMO_DEVICES = ['plc-tank', 'gas', 'dam'] as const;

export const demo: Door<Demo> = (value, where) => {
  const of = fields(value, where);
  return {
    cablePulled: field(of, 'cable_pulled', flag, where),
    devices: field(of, 'devices', orNull(listOf(text)), where) ?? DEMO_DEVICES,
  };
};

/** RFC 9457, as far as an operator needs it. */
export interface Problem {
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly fix: string;
}

export const problem: Door<Problem> = (value, where) => {
  const of = fields(value, where);
  return {
    code: field(of, 'code', textOrEmpty, where),
    title: field(of, 'title', textOrEmpty, where),
    detail: field(of, 'detail', textOrEmpty, where),
    fix: field(of, 'fix', textOrEmpty, where),
  };
};
