//! What was seen: online time by level, blind time, and how much a quiet point proves.
//!
//! - Everything rests on the time in which the centre itself watched; the rest is unknown.
//! - An instrument whose stretches are more than can be kept is not judged: its time is unknown.

use std::collections::BTreeMap;

use fengsui_alerting::kpi::{
    Doubts, Facts, IndexWeights, Moments, Online, Plant, PointDoubts, Ranked, Said, Stretch, rank,
    suspicion,
};
use fengsui_telemetry::TimeMs;

use super::fold::Track;
use super::heard::{OfGateway, silences};
use super::period::Period;
use super::site::{Site, Tells};
use crate::stamp::Stamp;

const HOUR_MS: i64 = 3_600_000;

/// Which level a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// 企业
    Enterprise,
    /// 装置
    Installation,
    /// 网关
    Gateway,
    /// 点位
    Point,
}

impl Of {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprise",
            Self::Installation => "installation",
            Self::Gateway => "gateway",
            Self::Point => "point",
        }
    }

    /// In Chinese.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Enterprise => "企业",
            Self::Installation => "装置",
            Self::Gateway => "网关",
            Self::Point => "点位",
        }
    }
}

/// How something stood at the end of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// 在线
    Online,
    /// 网关离线
    GatewayOffline,
    /// 从未上线: offline, and it never was anything else
    NeverSeen,
    /// 失效
    Stale,
    /// 坏质量
    Bad,
    /// 未知
    Unknown,
}

impl Now {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::GatewayOffline => "gateway_offline",
            Self::NeverSeen => "never_seen",
            Self::Stale => "stale",
            Self::Bad => "bad_quality",
            Self::Unknown => "unknown",
        }
    }

    /// In Chinese.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Online => "在线",
            Self::GatewayOffline => "网关离线",
            Self::NeverSeen => "从未上线（网关离线）",
            Self::Stale => "失效",
            Self::Bad => "坏质量",
            Self::Unknown => "未知",
        }
    }
}

/// One line of the online rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Which level.
    pub of: Of,
    /// Its name; of an installation or point the enterprise or gateway stands in `within`.
    pub name: String,
    /// To whom it belongs.
    pub within: String,
    /// Its points; a gateway's own line counts the gateway itself.
    pub points: usize,
    /// Time by state.
    pub online: Online,
    /// At the end of the period; none for what has several points.
    pub now: Option<Now>,
}

/// A point whose quiet is worth little, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubted {
    /// Its tag.
    pub tag: String,
    /// What it is.
    pub name: String,
    /// Its gateway.
    pub gateway: String,
    /// Its installation.
    pub installation: String,
    /// 0..=1, the strongest doubt.
    pub suspicion: f64,
    /// Each doubt, in Chinese and as a word, with the share of time; the whole where it has none.
    pub reasons: Vec<(&'static str, &'static str, f64)>,
}

/// The ranking of what is suspiciously green.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suspicious {
    /// Enterprises, the most suspicious first.
    pub enterprises: Vec<Ranked>,
    /// Gateways.
    pub gateways: Vec<Ranked>,
    /// Points with a doubt, the strongest first.
    pub points: Vec<Doubted>,
    /// Points that somebody must see.
    pub required: usize,
    /// Points that are measured and have no limit: no index speaks of them.
    pub without_limit: usize,
    /// Doubts that the journal cannot judge.
    pub not_judged: Vec<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct OfPoint {
    stale: Moments,
    bad: Moments,
    frozen: Moments,
    unset: Moments,
    muted: Moments,
    overfull: bool,
}

/// Moments of every point and gateway.
pub(super) struct Seeing<'a> {
    site: &'a Site,
    from: TimeMs,
    to: TimeMs,
    watched: Moments,
    gateways: Vec<OfGateway>,
    points: Vec<OfPoint>,
    nothing: OfGateway,
}

impl<'a> Seeing<'a> {
    pub(super) fn of(site: &'a Site, period: &Period, tracks: &[Track], watched: &Moments) -> Self {
        let (from, to) = (period.from, period.to);
        let range = Moments::of([(from, to)]);
        let mut points = vec![OfPoint::default(); site.points.len()];
        let mut gateways = vec![OfGateway::default(); site.gateways.len()];
        for (alarm, track) in site.alarms.iter().zip(tracks) {
            let ends = |off: Option<TimeMs>| off.unwrap_or(to).min(to);
            if alarm.tells == Tells::Offline {
                let place = alarm.gateway;
                let known = site.gateways.get(place);
                if let Some((of, known)) = gateways.get_mut(place).zip(known) {
                    let told = silences(track, alarm.after_ms);
                    *of = OfGateway::of(known, &told, alarm.after_ms, watched);
                    of.offline = of.offline.and(&range);
                    of.watched = of.watched.and(&range);
                    if track.overfull {
                        of.watched = Moments::default();
                    }
                }
                continue;
            }
            let happened = track.happened.iter().map(|h| (h.on.max(from), ends(h.off)));
            let happened = Moments::of(happened);
            let Some(point) = alarm.point.and_then(|place| points.get_mut(place)) else { continue };
            point.overfull |= track.overfull;
            let of = match alarm.tells {
                Tells::Stale => &mut point.stale,
                Tells::Bad => &mut point.bad,
                Tells::Frozen => &mut point.frozen,
                Tells::Unset => &mut point.unset,
                Tells::Process => {
                    point.muted =
                        point.muted.or(&Moments::of(track.muted.iter().copied()).and(&range));
                    continue;
                }
                Tells::Offline | Tells::Clock => continue,
            };
            *of = of.or(&happened);
        }
        for (point, known) in points.iter_mut().zip(&site.points) {
            if known.unset {
                point.unset = range.clone();
            }
            if known.absent {
                point.stale = range.clone();
            }
            if let Some(gateway) = gateways.get(known.gateway) {
                // Alarms behind a silent gateway are suppressed by design: that is its silence.
                point.muted = point.muted.without(&gateway.offline);
            }
        }
        let watched = watched.and(&range);
        Self { site, from, to, watched, gateways, points, nothing: OfGateway::default() }
    }

    /// True where somebody watched at any time.
    pub(super) fn anybody_watched(&self) -> bool {
        self.watched.length_ms() > 0
    }

    /// What the figures need of it.
    pub(super) fn tell(&self, facts: &mut Facts) {
        let range = Moments::of([(self.from, self.to)]);
        let stretch =
            |what: u32| move |(from, to): (TimeMs, TimeMs)| Stretch { what, from, to: Some(to) };
        facts.dark.extend(range.without(&self.watched).stretches().map(stretch(0)));
        for ((number, place), gateway) in (0_u32..).zip(0..).zip(&self.gateways) {
            facts.unknown.extend(range.without(&gateway.watched).stretches().map(stretch(number)));
            let mut points = self.site.points.iter().zip(&self.points);
            if points.any(|(known, p)| known.required && known.gateway == place && !p.overfull) {
                facts.judged.extend(gateway.watched.stretches().map(stretch(number)));
            }
            let online = gateway.watched.without(&gateway.offline);
            facts.online.extend(online.stretches().map(stretch(number)));
            facts.gateways += 1;
        }
        for ((number, point), known) in (0_u32..).zip(&self.points).zip(&self.site.points) {
            if !known.required || point.overfull {
                continue;
            }
            let blind = point.stale.or(&point.bad).or(&point.unset).or(&point.muted);
            let gateway = self.gateway(known.gateway);
            let blind = blind.or(&gateway.offline).and(&gateway.watched);
            facts.blind.extend(blind.stretches().map(stretch(number)));
        }
    }

    fn gateway(&self, place: usize) -> &OfGateway {
        self.gateways.get(place).unwrap_or(&self.nothing)
    }

    /// The hours of the clock on the wall of which somebody watched something.
    pub(super) fn hours(&self, stamp: &Stamp) -> [bool; 24] {
        let mut seen = [false; 24];
        for (from, to) in self.watched.stretches() {
            let mut at = from;
            while at < to {
                let wall = at.0 + i64::from(stamp.offset_min(at)) * 60_000;
                let hour = usize::try_from(wall.div_euclid(HOUR_MS).rem_euclid(24)).unwrap_or(0);
                if let Some(seen) = seen.get_mut(hour) {
                    *seen = true;
                }
                at = at + (HOUR_MS - wall.rem_euclid(HOUR_MS));
            }
        }
        seen
    }

    /// Online time: enterprises, installations, gateways, points.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut enterprises: BTreeMap<String, (usize, Online)> = BTreeMap::new();
        let mut installations: BTreeMap<(String, String), (usize, Online)> = BTreeMap::new();
        let mut points = Vec::with_capacity(self.points.len());
        for key in self.site.installations() {
            installations.insert(key, (0, Online::default()));
        }
        for (known, point) in self.site.points.iter().zip(&self.points) {
            let gateway = self.gateway(known.gateway);
            let watched = if point.overfull { &self.nothing.watched } else { &gateway.watched };
            let (stale, bad) = (&point.stale, &point.bad);
            let said = Said { watched, gateway_offline: &gateway.offline, stale, bad };
            let online = Online::of(&said, self.from, self.to);
            let enterprise = self.site.enterprise(known.gateway);
            let installation = (enterprise.clone(), known.installation.clone());
            for (count, sum) in [
                enterprises.entry(enterprise).or_default(),
                installations.entry(installation).or_default(),
            ] {
                *count += 1;
                sum.add(&online);
            }
            points.push(Line {
                of: Of::Point,
                name: known.tag.clone(),
                within: self.gateway_name(known.gateway),
                points: 1,
                online,
                now: Some(self.now(&said, gateway.never)),
            });
        }
        let line =
            |of, name, within, points, online| Line { of, name, within, points, online, now: None };
        lines.extend(
            enterprises
                .into_iter()
                .map(|(name, (n, sum))| line(Of::Enterprise, name, String::new(), n, sum)),
        );
        lines.extend(
            installations
                .into_iter()
                .map(|((within, name), (n, sum))| line(Of::Installation, name, within, n, sum)),
        );
        for (gateway, of) in self.site.gateways.iter().zip(&self.gateways) {
            let (stale, bad) = (&self.nothing.offline, &self.nothing.offline);
            let said = Said { watched: &of.watched, gateway_offline: &of.offline, stale, bad };
            let online = Online::of(&said, self.from, self.to);
            let (name, within) = (gateway.name.clone(), gateway.enterprise.clone());
            let now = Some(self.now(&said, of.never));
            lines.push(Line { of: Of::Gateway, name, within, points: 1, online, now });
        }
        let worst = |line: &Line| line.online.rate().unwrap_or(-1.0);
        points.sort_by(|a, b| worst(a).total_cmp(&worst(b)).then_with(|| a.name.cmp(&b.name)));
        lines.extend(points);
        lines
    }

    fn gateway_name(&self, gateway: usize) -> String {
        self.site.gateways.get(gateway).map(|g| g.name.clone()).unwrap_or_default()
    }

    fn now(&self, said: &Said<'_>, never: bool) -> Now {
        let at = self.to - 1;
        if !said.watched.contain(at) {
            Now::Unknown
        } else if never {
            Now::NeverSeen
        } else if said.gateway_offline.contain(at) {
            Now::GatewayOffline
        } else if said.stale.contain(at) {
            Now::Stale
        } else if said.bad.contain(at) {
            Now::Bad
        } else {
            Now::Online
        }
    }

    /// The ranking. `never` tells of each point whether it was quiet for a year; none where the
    /// journal is younger.
    pub(super) fn suspicious(&self, loosened: &[String], never: Option<&[bool]>) -> Suspicious {
        let weights = IndexWeights::default();
        let mut found = Suspicious { not_judged: vec!["copied"], ..Suspicious::default() };
        if never.is_none() {
            found.not_judged.push("never_in_a_year");
        }
        let mut enterprises: BTreeMap<String, Vec<PointDoubts>> = BTreeMap::new();
        let mut gateways: BTreeMap<String, Vec<PointDoubts>> = BTreeMap::new();
        for gateway in &self.site.gateways {
            enterprises.entry(gateway.enterprise.clone()).or_default();
            gateways.entry(gateway.name.clone()).or_default();
        }
        for (place, (known, point)) in self.site.points.iter().zip(&self.points).enumerate() {
            if !known.required {
                found.without_limit += 1;
                continue;
            }
            found.required += 1;
            // Nothing is known of it: no doubt and no trust.
            if self.gateway(known.gateway).watched.length_ms() == 0 || point.overfull {
                continue;
            }
            let quiet = never.and_then(|never| never.get(place)).copied().unwrap_or(false);
            let doubts = self.doubts(place, loosened, quiet);
            let gateway = self.gateway_name(known.gateway);
            let of = PointDoubts { tag: known.tag.clone(), doubts };
            enterprises
                .entry(self.site.enterprise(known.gateway))
                .or_default()
                .push(PointDoubts { tag: format!("{gateway}/{}", known.tag), ..of.clone() });
            gateways.entry(gateway.clone()).or_default().push(of);
            let strongest = suspicion(&doubts, &weights);
            if strongest > 0.0 {
                found.points.push(Doubted {
                    tag: known.tag.clone(),
                    name: known.name.clone(),
                    gateway,
                    installation: known.installation.clone(),
                    suspicion: strongest,
                    reasons: reasons(&doubts),
                });
            }
        }
        let ranked = |of: BTreeMap<String, Vec<PointDoubts>>| {
            let plants = of.into_iter().map(|(name, points)| Plant { name, points });
            rank(&plants.collect::<Vec<_>>(), &weights)
        };
        found.enterprises = ranked(enterprises);
        found.gateways = ranked(gateways);
        found.points.sort_by(|a, b| {
            b.suspicion
                .total_cmp(&a.suspicion)
                .then_with(|| (&a.gateway, &a.tag).cmp(&(&b.gateway, &b.tag)))
        });
        found
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a year")]
    fn doubts(&self, place: usize, loosened: &[String], quiet: bool) -> Doubts {
        let (Some(known), Some(point)) = (self.site.points.get(place), self.points.get(place))
        else {
            return Doubts::default();
        };
        let OfGateway { offline, watched, .. } = self.gateway(known.gateway);
        let all = watched.length_ms() as f64;
        let share = |of: &Moments| of.and(watched).length_ms() as f64 / all;
        Doubts {
            unset: point.unset.length_ms() > 0,
            muted: share(&point.muted),
            frozen: share(&point.frozen),
            copied: 0.0,
            silent: share(&point.stale.or(&point.bad).or(offline)),
            looser_than_statute: known.looser_than_statute,
            looser_than_yesterday: loosened.contains(&known.tag),
            never_in_a_year: quiet,
        }
    }
}

fn reasons(doubts: &Doubts) -> Vec<(&'static str, &'static str, f64)> {
    let whole = |is: bool| if is { 1.0 } else { 0.0 };
    [
        ("限值未设", "unset", whole(doubts.unset)),
        ("被搁置、屏蔽、停用", "muted", doubts.muted),
        ("冻结", "frozen", doubts.frozen),
        ("失效、坏质量、网关离线", "silent", doubts.silent),
        ("限值宽于标准", "looser_than_statute", whole(doubts.looser_than_statute)),
        ("限值比昨天宽", "looser_than_yesterday", whole(doubts.looser_than_yesterday)),
        ("一年没有一次报警", "never_in_a_year", whole(doubts.never_in_a_year)),
    ]
    .into_iter()
    .filter(|(_, _, share)| *share > 0.0)
    .collect()
}
