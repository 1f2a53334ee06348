// Well-formed things for the stories, each with the fields that a story wants to differ.
import type { Alarm, Desk, Gateway, Misfit, Proof } from '../src/door/desk';

export function anAlarm(changes: Partial<Alarm> = {}): Alarm {
  return {
    alarm: 'GW-01/TK-101.LT/HH',
    occurrence: 1,
    gateway: 'GW-01',
    enterprise: '示例石化有限公司',
    installation: '1#罐区',
    equipment: 'TK-101',
    tag: 'TK-101.LT',
    point: 1,
    name: '液位',
    kind: 'hh',
    priority: 1,
    state: 'unack',
    active: true,
    limit: 85,
    unit: '%',
    value: 88.1,
    teOn: 1_000,
    teOff: null,
    known: 1_100,
    late: false,
    recorded: true,
    ackedBy: null,
    ackedAt: null,
    comment: '',
    shelfUntil: null,
    firstOut: null,
    judged: true,
    ...changes,
  };
}

export function aGateway(changes: Partial<Gateway> = {}): Gateway {
  return {
    gateway: 'GW-01',
    enterprise: '示例石化有限公司',
    state: 'online',
    lastHeard: 1_000,
    points: 20,
    reporting: 20,
    blind: 0,
    backlog: 0,
    clockSkewMs: 3,
    gaps: 0,
    limitsDiffer: false,
    storage: 'fine',
    ...changes,
  };
}

export function aMisfit(changes: Partial<Misfit> = {}): Misfit {
  return {
    gateway: 'GW-01',
    alarm: 'GW-01/TK-101.LT/HH',
    tag: 'TK-101.LT',
    row: 7,
    judged: false,
    zh: '[limit] "x" 不是有限的数字；请写成 85 或 0.5 的样子',
    en: '[limit] "x" is no finite number; write it like 85 or 0.5',
    ...changes,
  };
}

export function aProof(changes: Partial<Proof> = {}): Proof {
  return {
    dataAgeMs: 800,
    points: 20,
    reporting: 20,
    blind: 0,
    misfits: 0,
    gateways: 1,
    gatewaysOnline: 1,
    journalOk: true,
    engineOk: true,
    canaryAgeMs: 2_000,
    canaryMs: 40,
    watchdogOk: true,
    ...changes,
  };
}

export function aDesk(changes: Partial<Desk> = {}): Desk {
  return {
    serverTime: 1_000_000,
    seq: 7,
    zone: 'Asia/Shanghai',
    demo: false,
    user: '值班员',
    role: 'operator',
    alarms: [],
    misread: [],
    gateways: [aGateway()],
    outages: [],
    misfits: [],
    proof: aProof(),
    ...changes,
  };
}

/** An alarm as the wire carries it. */
export function wireAlarm(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    alarm: 'GW-01/TK-101.LT/HH',
    occurrence: 3,
    gateway: 'GW-01',
    enterprise: '示例石化有限公司',
    installation: '1#罐区',
    equipment: 'TK-101',
    tag: 'TK-101.LT',
    point: 17,
    name: '液位',
    kind: 'hh',
    priority: 1,
    state: 'unack',
    active: true,
    limit: 85,
    unit: '%',
    value: 88.1,
    te_on: '2026-11-21T22:14:05+08:00',
    te_off: null,
    known: '2026-11-21T22:14:05.120+08:00',
    late: false,
    recorded: true,
    acked_by: null,
    acked_at: null,
    comment: '',
    ...changes,
  };
}

export function wireProof(): Record<string, unknown> {
  return {
    data_age_ms: 800,
    points: 20,
    reporting: 20,
    blind: 0,
    gateways: 1,
    gateways_online: 1,
    journal_ok: true,
    recent_rows: 0,
  };
}

export function wireDesk(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    server_time: '2026-11-21T22:14:06+08:00',
    seq: 123,
    zone: 'Asia/Shanghai',
    demo: true,
    alarms: [wireAlarm()],
    counts: { unack: { p1: 1, p2: 0, p3: 0, p4: 0 } },
    gateways: [
      {
        gateway: 'GW-01',
        enterprise: '示例石化有限公司',
        state: 'online',
        last_heard: '2026-11-21T22:14:05+08:00',
        points: 20,
        reporting: 20,
        bad: 0,
        blind: 0,
        backlog: 0,
        clock_skew_ms: 3,
        gaps: 0,
      },
    ],
    proof: wireProof(),
    user: { name: '演示值班员', role: 'operator' },
    ...changes,
  };
}
