// A centre small enough to read: serves the console's bundle, its API and a scripted stream, so that
// the page can be tested where no centre was built. It knows no alarm rules: the script is the plant.
//
// Run by itself: `node mock.mjs [--port 8090] [--quiet]`.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { answerCall, ladderOf } from './ladder.mjs';

const DIST = fileURLToPath(new URL('../../console/dist', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'";
const GATEWAY = 'GW-01';
const PING_MS = 5_000;
const VALUES_MS = 500;
/** Script: when alarms come and how long a silence makes a gateway offline. */
const FIRST_ALARM_MS = 2_500;
const SECOND_ALARM_MS = 4_000;
const OFFLINE_AFTER_MS = 3_000;
const STALE_AFTER_MS = 2_000;
/** The first gas detector. */
const GAS_POINT = 13;

const TANKS = ['TK-101', 'TK-102', 'TK-103', 'TK-104'];

function makePoints() {
  const points = [];
  for (const [i, tank] of TANKS.entries()) {
    points.push(point(points.length + 1, `${tank}.LT`, '液位', '%', 0, 100, tank, 'level', levelLimits(), 60 + 5 * i));
    points.push(point(points.length + 1, `${tank}.TT`, '罐温', '℃', -20, 80, tank, 'temperature', [limit('h', 40, 1, 3)], 22 + i));
    points.push(point(points.length + 1, `${tank}.PT`, '压力', 'kPa', 0, 25, tank, 'pressure', [limit('h', 18, 0.5, 2)], 8 + i));
  }
  for (let i = 1; i <= 8; i += 1) {
    const limits = [limit('h', 25, 2, 2), limit('hh', 50, 2, 1), limit('stale', 30, 0, 3)];
    points.push(point(points.length + 1, `GT-12${String(i).padStart(2, '0')}`, '可燃气', '%LEL', 0, 100, `${((i - 1) % 4) + 1}#罐`, 'gas', limits, 2 + i / 4));
  }
  return points;
}

function levelLimits() {
  return [limit('ll', 10, 1, 2), limit('l', 15, 1, 3), limit('h', 80, 1, 2), limit('hh', 85, 1, 1), limit('stale', 30, 0, 3)];
}

function limit(kind, value, deadband, priority) {
  return { kind, limit: value, deadband, priority };
}

function point(id, tag, name, unit, low, high, equipment, signal, limits, base) {
  return { point: id, gateway: GATEWAY, tag, name, unit, low, high, installation: '1#罐区', equipment, signal, limits, base };
}

const COMMENT_NEEDED = '确认P1、P2和迟到的报警必须填写说明';

/** Opens the mock for every name; `viewer` looks only. */
export const MOCK_PASSWORD = 'open sesame';

/** RFC 3339 in the zone that centres use. */
export function stamp(ms) {
  return new Date(ms + 8 * 3_600_000).toISOString().replace('Z', '+08:00');
}

/** Starts it. `script: false` leaves the plant to the caller. */
export async function startMock({ port = 0, script = true } = {}) {
  const mock = new Mock();
  const server = createServer((request, response) => {
    mock.answer(request, response).catch((error) => {
      response.writeHead(500, { 'Content-Type': 'text/plain' });
      response.end(String(error));
    });
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  mock.url = `http://127.0.0.1:${server.address().port}`;
  mock.start(script);
  mock.close = async () => {
    mock.stop();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  return mock;
}

class Mock {
  constructor() {
    this.points = makePoints();
    this.alarms = new Map();
    this.occurrences = new Map();
    this.clients = new Set();
    this.timers = [];
    this.seq = 100;
    this.startedAt = Date.now();
    this.cable = { pulled: false, at: 0, offline: false };
    this.faults = new Map();
    this.journalOk = true;
    this.acks = [];
    this.refuse = '';
    this.engineOk = true;
    this.watchdogOk = true;
    this.canaryAt = Date.now();
    this.outages = [];
    /** Limits that are not judged as they are meant, as the centre lists them. */
    this.misfits = [];
    this.orders = [];
    /** By `alarm#occurrence`. */
    this.ladders = new Map();
    this.desksRead = 0;
    this.person = { name: '演示值班员', login: 'duty', role: 'operator', position: '值班台' };
  }

  start(script) {
    this.timers.push(setInterval(() => this.ping(), PING_MS));
    this.timers.push(setInterval(() => this.values(), VALUES_MS));
    this.timers.push(setInterval(() => this.watchCable(), 250));
    if (!script) return;
    this.timers.push(setTimeout(() => this.raise(1, 'hh', { value: 88.1 }), FIRST_ALARM_MS));
    this.timers.push(setTimeout(() => this.raise(15, 'h', { value: 27.4 }), SECOND_ALARM_MS));
  }

  stop() {
    for (const timer of this.timers) clearTimeout(timer);
    for (const client of this.clients) client.end();
  }

  // ---- the plant

  raise(pointId, kind, changes = {}) {
    const point = this.points.find((one) => one.point === pointId);
    const rule = point.limits.find((one) => one.kind === kind) ?? limit(kind, null, 0, 4);
    const key = `${GATEWAY}/${point.tag}/${kind.toUpperCase()}`;
    this.set(key, {
      gateway: GATEWAY, enterprise: '示例石化有限公司', installation: point.installation, equipment: point.equipment,
      tag: point.tag, point: point.point, name: point.name, kind, priority: rule.priority, limit: rule.limit, unit: point.unit,
      ...changes,
    });
  }

  set(key, fields) {
    const before = this.alarms.get(key);
    if (before !== undefined) this.sendAlarm({ ...before, state: 'normal', active: false });
    const occurrence = (this.occurrences.get(key) ?? 0) + 1;
    this.occurrences.set(key, occurrence);
    const now = stamp(Date.now());
    const alarm = {
      alarm: key, occurrence, state: 'unack', active: true, value: null, te_on: now, te_off: null, known: now,
      late: false, recorded: true, acked_by: null, acked_at: null, comment: '',
      shelf_until: null, first_out: null, ...fields,
    };
    this.alarms.set(key, alarm);
    this.sendAlarm(alarm);
  }

  change(key, fields) {
    const alarm = { ...this.alarms.get(key), ...fields };
    if (alarm.state === 'normal') this.alarms.delete(key);
    else this.alarms.set(key, alarm);
    this.sendAlarm(alarm);
  }

  clear() {
    for (const key of [...this.alarms.keys()]) this.change(key, { state: 'normal', active: false });
  }

  valueAt(point, ms) {
    const wave = Math.sin(ms / 40_000 + point.point) * (point.high - point.low) * 0.03;
    const raised = [...this.alarms.values()].find((alarm) => alarm.point === point.point && alarm.active);
    const since = raised === undefined ? Infinity : Date.parse(raised.te_on);
    return ms >= since - 2_000 && raised?.value != null ? raised.value + wave / 4 : point.base + wave;
  }

  isBad(point, ms) {
    const fault = this.faults.get('gas');
    if (point.signal === 'gas' && fault !== undefined && ms >= fault.at) return 'timeout';
    // A stretch of the past in which this instrument answered without a number.
    return point.point === 1 && ms > this.startedAt - 240_000 && ms < this.startedAt - 200_000 ? 'sentinel' : null;
  }

  setFault(device, fault) {
    if (fault === 'none') this.faults.delete(device);
    else this.faults.set(device, { fault, at: Date.now() });
    this.send('gateway', this.gateway());
    if (device === 'gas' && fault === 'dead') this.timers.push(setTimeout(() => this.raise(GAS_POINT, 'stale'), STALE_AFTER_MS));
  }

  pullCable(pulled) {
    if (pulled === this.cable.pulled) return;
    const wasOffline = this.cable.offline;
    const from = this.cable.at;
    this.cable = { pulled, at: Date.now(), offline: pulled ? false : wasOffline };
    if (!pulled && wasOffline) this.timers.push(setTimeout(() => this.backfill(from), 1_200));
    if (!pulled) this.timers.push(setTimeout(() => this.heard(), 400));
  }

  watchCable() {
    if (!this.cable.pulled || this.cable.offline || Date.now() - this.cable.at < OFFLINE_AFTER_MS) return;
    this.cable.offline = true;
    this.send('gateway', this.gateway());
    this.set(`${GATEWAY}/OFFLINE`, {
      gateway: GATEWAY, enterprise: '示例石化有限公司', installation: '', equipment: '', tag: '', point: null, name: '',
      kind: 'gateway_offline', priority: 2, limit: null, unit: '',
    });
  }

  heard() {
    this.cable.offline = false;
    this.send('gateway', this.gateway());
    const key = `${GATEWAY}/OFFLINE`;
    if (this.alarms.has(key)) this.change(key, { state: 'rtn_unack', active: false, te_off: stamp(Date.now()) });
  }

  backfill(from) {
    const to = Date.now();
    this.raise(6, 'h', {
      value: 19.2, state: 'rtn_unack', active: false, late: true,
      te_on: stamp(from + 500), te_off: stamp(from + 2_500), known: stamp(to),
    });
    this.outages.unshift({
      package: `${GATEWAY}#${this.outages.length + 1}`, gateway: GATEWAY, silent_from: stamp(from), silent_to: stamp(to), from: stamp(from), to: stamp(to),
      records: 12, samples: 240, excursions: [`${GATEWAY}/TK-102.PT/H`], known: stamp(to),
    });
    this.send('late', { gateway: GATEWAY, records: 12, samples: 240, from: stamp(from), to: stamp(to), excursions: 1 });
  }

  // ---- what the centre says

  gateway() {
    const blind = this.cable.offline;
    const bad = this.faults.has('gas') ? 8 : 0;
    return {
      gateway: GATEWAY, enterprise: '示例石化有限公司', state: blind ? 'offline' : 'online',
      last_heard: stamp(this.cable.pulled ? this.cable.at : Date.now()), points: this.points.length,
      reporting: blind ? 0 : this.points.length - bad, blind: blind ? this.points.length : 0, backlog: 0,
      clock_skew_ms: 3, gaps: 0,
    };
  }

  proof() {
    const { reporting, blind, points, last_heard: heard } = this.gateway();
    return {
      data_age_ms: Date.now() - Date.parse(heard) + 300, points, reporting, blind, gateways: 1,
      gateways_online: this.cable.offline ? 0 : 1, journal_ok: this.journalOk, recent_rows: this.seq - 100,
      engine_ok: this.engineOk, canary_age_ms: Date.now() - this.canaryAt, canary_ms: 12, watchdog_ok: this.watchdogOk,
      misfits: this.misfits.length,
    };
  }

  /** As the centre tells outages: with their occurrences, and how many of them wait. */
  packages() {
    return this.outages.map((outage) => {
      const found = outage.excursions.map((key) => this.alarms.get(key)).filter((alarm) => alarm !== undefined);
      return {
        ...outage, count: outage.excursions.length, unanswered: found.filter(({ state }) => state.endsWith('unack')).length,
        worst: found.reduce((worst, { priority }) => Math.min(worst, priority), 4),
        excursions: found.map(({ alarm, occurrence, priority, te_on, te_off }) => ({ alarm, occurrence, priority, te_on, te_off })),
      };
    });
  }

  desk() {
    this.desksRead += 1;
    const unack = [...this.alarms.values()].filter(({ state }) => state.endsWith('unack'));
    const count = (priority) => unack.filter((alarm) => alarm.priority === priority).length;
    return {
      server_time: stamp(Date.now()), seq: this.seq, zone: 'Asia/Shanghai', demo: true, alarms: [...this.alarms.values()],
      counts: { unack: { p1: count(1), p2: count(2), p3: count(3), p4: count(4) } }, gateways: [this.gateway()],
      proof: this.proof(), packages: this.packages(), user: this.person, misfits: this.misfits,
    };
  }

  outPoint(point) {
    const te = this.cable.pulled ? this.cable.at : Date.now();
    const fault = this.isBad(point, te);
    const { base: _, ...rest } = point;
    return { ...rest, value: fault === null ? this.valueAt(point, te) : null, quality: fault ?? 'good', te: stamp(te) };
  }

  trend(point, from, to, buckets) {
    const step = 1_000;
    const samples = [];
    for (let ms = Math.ceil(from / step) * step; ms <= Math.min(to, Date.now()); ms += step) {
      if (ms > this.startedAt - 400_000 && ms < this.startedAt - 330_000) continue;
      if (this.cable.pulled && ms > this.cable.at) continue;
      const fault = this.isBad(point, ms);
      samples.push([ms, fault === null ? this.valueAt(point, ms) : null, fault ?? 'good']);
    }
    const alarms = [...this.alarms.values()].filter((alarm) => alarm.point === point.point)
      .map(({ kind, te_on, te_off, late }) => ({ kind, te_on, te_off, late }));
    const head = { point: point.point, from: stamp(from), to: stamp(to), alarms };
    if (samples.length <= 2 * buckets) return { ...head, raw: true, samples, buckets: [] };
    return { ...head, raw: false, samples: [], buckets: envelope(samples, from, (to - from) / buckets) };
  }

  // ---- the stream

  send(event, data, id = null) {
    const text = `${id === null ? '' : `id: ${id}\n`}event: ${event}\ndata: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
    for (const client of this.clients) client.write(text);
  }

  sendAlarm(alarm) {
    this.seq += 1;
    this.send('alarm', alarm, this.seq);
  }

  ping() {
    if (this.engineOk) this.canaryAt = Date.now();
    this.send('ping', { server_time: stamp(Date.now()), proof: this.proof() });
  }

  values() {
    if (this.cable.pulled) return;
    const now = Date.now();
    const v = this.points.map((point) => {
      const fault = this.isBad(point, now);
      return [point.point, fault === null ? this.valueAt(point, now) : null, fault ?? 'good', stamp(now)];
    });
    this.send('values', { t: stamp(now), v });
  }

  stream(request, response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write(`event: ping\ndata: ${JSON.stringify({ server_time: stamp(Date.now()), proof: this.proof() })}\n\n`);
    this.clients.add(response);
    request.on('close', () => this.clients.delete(response));
  }

  // ---- requests

  async answer(request, response) {
    const url = new URL(request.url, 'http://mock');
    const path = url.pathname;
    if (path.startsWith('/api/') && !['/api/v1/login', '/api/v1/logout'].includes(path) && this.person === null) {
      return problem(response, 401, 'log_in_needed', '请先登录 / log in first');
    }
    if (path === '/api/v1/me') return json(response, this.person);
    if (path === '/api/v1/stream') return this.stream(request, response);
    if (request.method === 'POST') return this.command(path, request, response);
    if (path === '/api/v1/desk') return json(response, this.desk());
    if (path === '/api/v1/demo') return json(response, { cable_pulled: this.cable.pulled, elapsed_s: 0, script: [], devices: ['tank', 'gas'] });
    if (path === '/api/v1/points') return json(response, this.points.map((point) => this.outPoint(point)));
    const called = /^\/api\/v1\/calls\/([^/]+)\/(\d+)$/.exec(path);
    if (called !== null) {
      const ladder = this.ladders.get(`${decodeURIComponent(called[1])}#${called[2]}`);
      return ladder === undefined ? problem(response, 404, 'no_such_call', '没有这条叫应') : json(response, ladderOf(ladder));
    }
    const found = /^\/api\/v1\/points\/(\d+)(\/trend)?$/.exec(path);
    if (found !== null) return this.onePoint(Number(found[1]), found[2] !== undefined, url, response);
    if (path.startsWith('/api/')) return problem(response, 404, 'not_found', '没有这个接口');
    return this.file(path, response);
  }

  onePoint(id, trend, url, response) {
    const point = this.points.find((one) => one.point === id);
    if (point === undefined) return problem(response, 404, 'unknown_point', '没有这个点位');
    if (!trend) return json(response, { ...this.outPoint(point), gaps: [] });
    const [from, to] = [Date.parse(url.searchParams.get('from')), Date.parse(url.searchParams.get('to'))];
    return json(response, this.trend(point, from, to, Number(url.searchParams.get('buckets') ?? 600)));
  }

  async command(path, request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.headers['x-fengsui'] !== '1') return problem(response, 403, 'guard', '缺 X-Fengsui');
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
    if (path === '/api/v1/login') {
      if (body.password !== MOCK_PASSWORD) return problem(response, 401, 'wrong_password', '名称或密码不对');
      this.person = { name: body.name, login: body.name, role: body.name === 'viewer' ? 'viewer' : 'operator', position: '值班台' };
      return json(response, this.person);
    }
    if (path === '/api/v1/logout') {
      this.expel();
      return json(response, {});
    }
    if (path === '/api/v1/alarms/ack') return json(response, { results: body.acks.map((ack) => this.acknowledge(ack, body.comment)) });
    const ordered = /^\/api\/v1\/alarms\/(shelve|unshelve|reset|in_service)$/.exec(path);
    if (ordered !== null) {
      if (body.second_person != null && body.second_password !== MOCK_PASSWORD) return problem(response, 401, 'wrong_password', '名称或密码不对');
      return json(response, this.order(ordered[1], body));
    }
    if (path === '/api/v1/calls/answer') {
      const ladder = this.ladders.get(`${body.alarm}#${body.occurrence}`);
      if (ladder === undefined) return problem(response, 404, 'no_such_call', '没有这条叫应');
      const why = answerCall(ladder, body, this.person.name, stamp(Date.now()));
      return why === '' ? json(response, ladderOf(ladder)) : problem(response, 409, 'refused', why);
    }
    if (path === '/api/v1/demo/cable') {
      this.pullCable(body.pulled);
      return json(response, { cable_pulled: body.pulled });
    }
    if (path === '/api/v1/demo/fault') {
      this.setFault(body.device, body.fault);
      return json(response, {});
    }
    return problem(response, 404, 'not_found', '没有这个接口');
  }

  /** The session is over: nobody is known, and the streams end. */
  expel() {
    this.person = null;
    for (const client of this.clients) client.end();
  }

  acknowledge({ alarm: key, occurrence }, comment) {
    this.acks.push({ key, occurrence, comment });
    const alarm = this.alarms.get(key);
    const result = (outcome, why = '') => ({ alarm: key, occurrence, outcome, why });
    if (alarm === undefined) return result('unknown');
    if (alarm.occurrence !== occurrence) return result('stale');
    if (this.refuse !== '') return result('refused', this.refuse);
    if (comment.trim() === '' && (alarm.priority <= 2 || alarm.late)) return result('refused', COMMENT_NEEDED);
    const state = alarm.active ? 'acked' : 'normal';
    this.change(key, { state, acked_by: '演示值班员', acked_at: stamp(Date.now()), comment: comment || alarm.comment });
    return result('acknowledged');
  }

  /** Shelves and resets, with the refusals that a person meets first. */
  order(verb, body) {
    const { second_password: _, ...told } = body;
    this.orders.push({ verb, ...told });
    const alarm = this.alarms.get(body.alarm);
    if (alarm === undefined) return { outcome: 'unknown', why: '' };
    const refused = (why) => ({ outcome: 'refused', why });
    if (verb === 'unshelve') {
      this.change(body.alarm, { state: alarm.active ? 'unack' : 'rtn_unack', shelf_until: null });
      return { outcome: 'done', why: '' };
    }
    if (verb === 'reset') {
      if (alarm.active) return refused('当前状态不允许');
      this.change(body.alarm, { state: 'normal' });
      return { outcome: 'done', why: '' };
    }
    if (verb === 'in_service') {
      this.change(body.alarm, { state: alarm.active ? 'unack' : 'normal' });
      return { outcome: 'done', why: '' };
    }
    if (body.reason.trim() === '' || body.comment.trim() === '') return refused('搁置必须选择原因并填写说明');
    if (alarm.priority === 1 && !body.second_person) return refused('搁置P1报警须两人批准');
    if (body.second_person === this.person.login) return refused('第二批准人须为另一人');
    this.change(body.alarm, { state: 'shelved', shelf_until: stamp(Date.now() + body.minutes * 60_000) });
    return { outcome: 'done', why: '' };
  }

  async file(path, response) {
    if (path === '/basic') {
      response.writeHead(200, { 'Content-Type': TYPES['.html'] });
      return response.end('<!doctype html><title>basic</title>');
    }
    const asset = path.startsWith('/assets/');
    const name = asset ? normalize(path).replace(/^(\.\.[/\\])+/, '') : '/index.html';
    try {
      const body = await readFile(join(DIST, name));
      response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': POLICY });
      return response.end(body);
    } catch {
      return problem(response, 404, 'no_file', `没有文件 ${name}：先在 console 里 npm run build`);
    }
  }
}

function envelope(samples, from, width) {
  const buckets = new Map();
  for (const [ms, value] of samples) {
    const t = from + Math.floor((ms - from) / width) * width;
    const row = buckets.get(t) ?? [t, null, null, null, 0, 0];
    if (value === null) row[5] += 1;
    else {
      row[1] = row[1] === null ? value : Math.min(row[1], value);
      row[2] = row[2] === null ? value : Math.max(row[2], value);
      row[3] = value;
      row[4] += 1;
    }
    buckets.set(t, row);
  }
  return [...buckets.values()];
}

function json(response, body) {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
}

function problem(response, status, code, title) {
  response.writeHead(status, { 'Content-Type': 'application/problem+json' });
  response.end(JSON.stringify({ type: `/help/problems/${code}`, title, status, code, detail: '', where: {}, fix: '' }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--port');
  const mock = await startMock({ port: at > 0 ? Number(process.argv[at + 1]) : 8090, script: !process.argv.includes('--quiet') });
  console.log(mock.url);
}
