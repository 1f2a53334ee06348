//! What differs between two configurations, in lines for a person.

use std::collections::BTreeMap;

use fengsui_alerting::limits;
use fengsui_scan::{BusSpec, Device, Mapping};
use fengsui_telemetry::Point;

use crate::config::Config;

/// What must not change while the program runs, if it did.
pub(super) fn fixed(old: &Config, new: &Config) -> Vec<String> {
    let all = [
        ("site.gateway", old.site.gateway != new.site.gateway),
        ("data", old.data != new.data),
        ("[local]", old.local != new.local),
        ("[[output]] / [[button]]", old.outputs != new.outputs),
        ("[health]", old.health != new.health),
        ("[clock]", old.clock_battery != new.clock_battery),
    ];
    all.into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(what, _)| {
            format!(
                "{what}：运行中不能改；请恢复，或重启服务  |  cannot change while the gateway runs; put it \
                 back, or restart the service"
            )
        })
        .collect()
}

/// Every difference: lines and devices first, then points, then limits. Empty where there is none.
pub(super) fn lines(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = own(old, new);
    lines.extend(sides("bus", &buses(old), &buses(new)));
    lines.extend(sides("device", &devices(old), &devices(new)));
    lines.extend(sides("point", &points(old), &points(new)));
    for row in limits::diff(&old.limits, &new.limits).rows {
        let fields: Vec<String> = row
            .fields
            .iter()
            .map(|field| format!("{} {} -> {}", field.field, shown(&field.old), shown(&field.new)))
            .collect();
        let (what, name) = (row.change.word(), row.name());
        lines.push(format!("limit {what}: {name}: {}", fields.join(", ")));
    }
    // Headings and spelling are no limit; but alarm records name the file as it was.
    if limits::diff(&old.limits, &new.limits).rows.is_empty()
        && old.limits_revision != new.limits_revision
    {
        let (was, is) = (old.limits_revision, new.limits_revision);
        lines.push(format!("limits file changed, no limit differs: revision {was} -> {is}"));
    }
    if lines.is_empty() && old.site != new.site {
        lines.push("changed: order of the site's files".to_owned());
    }
    lines
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

fn own(old: &Config, new: &Config) -> Vec<String> {
    let all = [
        ("[uplink]", old.uplink != new.uplink),
        ("[spool]", old.spool != new.spool),
        ("[alarm]", old.alarm != new.alarm),
        ("[centre]", old.centre_key != new.centre_key),
        ("[sparkplug]", old.sparkplug != new.sparkplug),
        ("enterprise", old.site.catalogue.enterprise != new.site.catalogue.enterprise),
        ("[[shutoff]]", old.site.valves != new.site.valves),
        ("[[installation]]", old.site.catalogue.installations != new.site.catalogue.installations),
    ];
    let changed = all.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(what, _)| format!("changed: {what}")).collect()
}

/// All of a mapping: said where nothing shorter differs (scale, offset, sentinels …).
const DECODING: &str = "decoding";

/// What a thing says of itself: (what, how), in a fixed order.
type Said = Vec<(&'static str, String)>;

fn sides(kind: &str, old: &BTreeMap<String, Said>, new: &BTreeMap<String, Said>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, was) in old {
        match new.get(name) {
            None => lines.push(format!("{kind} removed: {name}")),
            Some(is) if is != was => {
                let changed = was.iter().zip(is).filter(|(was, is)| was != is);
                let mut fields: Vec<String> =
                    changed.map(|((what, was), (_, is))| format!("{what} {was} -> {is}")).collect();
                if fields.len() > 1 {
                    fields.retain(|field| !field.starts_with(DECODING));
                }
                lines.push(format!("{kind} changed: {name}: {}", fields.join(", ")));
            }
            Some(_) => {}
        }
    }
    let added = new.keys().filter(|name| !old.contains_key(*name));
    lines.extend(added.map(|name| format!("{kind} added: {name}")));
    lines
}

fn buses(config: &Config) -> BTreeMap<String, Said> {
    let said = |bus: &BusSpec| {
        let kind = format!("{:?} {:?}", bus.kind, bus.settings);
        (bus.name.clone(), vec![("setting", kind)])
    };
    config.site.buses.iter().map(said).collect()
}

fn devices(config: &Config) -> BTreeMap<String, Said> {
    let said = |device: &Device| {
        // Everything but the name; the derived form names each key.
        let rest = format!("{:?}", Device { name: String::new(), ..device.clone() });
        (device.name.clone(), vec![("setting", rest)])
    };
    config.site.devices.iter().map(said).collect()
}

fn points(config: &Config) -> BTreeMap<String, Said> {
    let site = &config.site;
    let device =
        |m: &Mapping| site.devices.get(m.device).map_or("", |d| d.name.as_str()).to_owned();
    let installation = |point: &Point| {
        let place = usize::try_from(point.installation).unwrap_or(usize::MAX);
        let found = site.catalogue.installations.get(place);
        found.map_or_else(String::new, |one| one.name.clone())
    };
    let said = |(point, mapping): (&Point, &Mapping)| {
        let rest = Mapping { point: 0, device: 0, row: 0, ..mapping.clone() };
        let said = vec![
            ("name", point.name.clone()),
            ("installation", installation(point)),
            ("equipment", point.equipment.clone()),
            ("signal", point.signal.clone()),
            ("unit", point.unit.clone()),
            ("range", format!("{}..{}", point.low, point.high)),
            ("period_ms", point.period_ms.to_string()),
            ("device", device(mapping)),
            ("function", mapping.function.to_string()),
            ("address", mapping.address.to_string()),
            ("type", format!("{} {}", mapping.encoding, mapping.order)),
            (DECODING, format!("{rest:?}")),
        ];
        (point.tag.to_string(), said)
    };
    let mut all: BTreeMap<String, Said> =
        site.catalogue.points.iter().zip(&site.mappings).map(said).collect();
    // It is long; its name is enough to see that it differs.
    for said in all.values_mut() {
        if let Some((_, decoding)) = said.last_mut() {
            let hash = crate::config::revision_of(decoding.as_bytes());
            *decoding = format!("#{hash}");
        }
    }
    all
}
