//! Coils that cannot be written to, since the site has no such line, or must not be: those of a
//! device whose profile says `never_write`, however its address is spelt, and those that another
//! output drives already.
//!
//! - Addresses are compared as they resolve when the files are read ([`Places`]).
//! - Behind one address any unit may be that device: a coil there needs a configured device of just
//!   its unit that may be written to, and never unit 0, which is meant for all.
//! - Unit 0 is broadcast where several units are known behind the address.
//! - On a line every slave has a unit of its own: only that of such a device is kept.

use std::collections::BTreeSet;

use fengsui_scan::{BusKind, Device, Link, Problem, Site};

use super::config::{Output, OutputPlan, Wiring, said};
use super::places::Places;

/// Everybody behind the address.
const BROADCAST: u8 = 0;
/// What a device with an address of its own is asked by: it need not look at the unit.
const ANY: u8 = 255;

impl OutputPlan {
    /// Which output, its key and value, and why not.
    pub(crate) fn forbidden(&self, site: &Site) -> Vec<(usize, (&'static str, String), Problem)> {
        let places = self.places(site);
        let of = |(place, output): (usize, &Output)| {
            let (host, port, unit, coil) = match &output.wiring {
                Wiring::Coil { host, port, unit, coil } => (host, port, unit, coil),
                Wiring::LineCoil { bus, unit, .. } => {
                    let (at, problem) = on_line(site, bus, *unit)?;
                    return Some((place, at, problem));
                }
                Wiring::Gpio { .. } | Wiring::Rpi { .. } | Wiring::Sim => return None,
            };
            let device = endangered(site, &places, (host, *port), *unit)?;
            let problem = said(
                format!(
                    "该地址上的设备 {} 的型号库写明不可写入（never_write），unit {unit} 也可能是它；\
                     请改用继电器模块或 gpio",
                    device.name
                ),
                format!(
                    "the profile of device {} at this address says never_write, and unit {unit} \
                     may be that device; use a relay module or a gpio line",
                    device.name
                ),
            );
            Some((place, ("coil", coil.to_string()), problem))
        };
        let forbidden = self.outputs.iter().enumerate().filter_map(of);
        forbidden.chain(self.driven_twice(&places)).chain(self.broadcasts(site, &places)).collect()
    }

    /// The hosts of coils, and those of devices at the same port.
    fn places(&self, site: &Site) -> Places {
        let coils = || {
            self.outputs.iter().filter_map(|output| match &output.wiring {
                Wiring::Coil { host, port, .. } => Some((host.as_str(), *port)),
                Wiring::LineCoil { .. }
                | Wiring::Gpio { .. }
                | Wiring::Rpi { .. }
                | Wiring::Sim => None,
            })
        };
        let ports: BTreeSet<u16> = coils().map(|(_, port)| port).collect();
        let devices = site.devices.iter().filter_map(|device| endpoint(site, device));
        let beside = devices.filter(|(_, port)| ports.contains(port));
        Places::of(coils().chain(beside).map(|(host, _)| host))
    }

    /// Unit 0 where several units are known behind the address: a converter passes it on to all of
    /// them, and none answers. A device alone at its address need not look at the unit.
    fn broadcasts(
        &self,
        site: &Site,
        places: &Places,
    ) -> impl Iterator<Item = (usize, (&'static str, String), Problem)> {
        self.outputs.iter().enumerate().filter_map(|(place, output)| {
            let Wiring::Coil { host, port, unit: BROADCAST, .. } = &output.wiring else {
                return None;
            };
            // That much is said already.
            if endangered(site, places, (host, *port), BROADCAST).is_some() {
                return None;
            }
            let devices = site.devices.iter().filter_map(|device| match &device.link {
                Link::ModbusTcp { host, port } => Some((host, *port, device.unit)),
                Link::Rtu { .. } => None,
            });
            let coils = self.outputs.iter().filter_map(|other| match &other.wiring {
                Wiring::Coil { host, port, unit, .. } => Some((host, *port, *unit)),
                Wiring::LineCoil { .. }
                | Wiring::Gpio { .. }
                | Wiring::Rpi { .. }
                | Wiring::Sim => None,
            });
            let here = |(other, its, unit): (&String, u16, u8)| {
                let named = ![BROADCAST, ANY].contains(&unit) && its == *port;
                (named && places.same(host, other)).then_some(unit)
            };
            let units: BTreeSet<u8> = devices.chain(coils).filter_map(here).collect();
            if units.len() < 2 {
                return None;
            }
            let units = units.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            let problem = said(
                format!(
                    "该地址后面还有 unit {units}，unit 0 是发给全部从机的广播，没有应答，也不能回读；请写模块自己的 \
                     unit"
                ),
                format!(
                    "units {units} are behind this address, and unit 0 is broadcast to all: \
                     nobody answers and nothing is read back; write the module's own unit"
                ),
            );
            Some((place, ("unit", BROADCAST.to_string()), problem))
        })
    }

    /// Two outputs on one coil would switch each other off.
    fn driven_twice(
        &self,
        places: &Places,
    ) -> impl Iterator<Item = (usize, (&'static str, String), Problem)> {
        let late = |(place, output): (usize, &Output)| {
            let coil = match &output.wiring {
                Wiring::Coil { coil, .. } | Wiring::LineCoil { coil, .. } => *coil,
                Wiring::Gpio { .. } | Wiring::Rpi { .. } | Wiring::Sim => return None,
            };
            let mut before = self.outputs.iter().take(place);
            let first = before.find(|early| same_coil(places, &early.wiring, &output.wiring))?;
            let problem = said(
                format!("输出 {} 已驱动这个线圈，两者会互相关断；请换一个线圈", first.name),
                format!(
                    "output {} drives this coil already and they would switch each other off; \
                     choose another coil",
                    first.name
                ),
            );
            Some((place, ("coil", coil.to_string()), problem))
        };
        self.outputs.iter().enumerate().filter_map(late)
    }
}

fn same_coil(places: &Places, one: &Wiring, other: &Wiring) -> bool {
    match (one, other) {
        (
            Wiring::Coil { host, port, unit, coil },
            Wiring::Coil { host: its_host, port: its_port, unit: its_unit, coil: its_coil },
        ) => {
            let any = [BROADCAST, ANY];
            let unit = unit == its_unit || any.contains(unit) || any.contains(its_unit);
            unit && (port, coil) == (its_port, its_coil) && places.same(host, its_host)
        }
        (Wiring::LineCoil { .. }, Wiring::LineCoil { .. }) => one == other,
        (
            Wiring::Coil { .. }
            | Wiring::LineCoil { .. }
            | Wiring::Gpio { .. }
            | Wiring::Rpi { .. }
            | Wiring::Sim,
            _,
        ) => false,
    }
}

/// What is wrong with a coil of this unit on this line.
fn on_line(site: &Site, bus: &str, unit: u8) -> Option<((&'static str, String), Problem)> {
    let Some(line) = site.buses.iter().position(|spec| spec.name == bus) else {
        let problem = said(
            "站点文件中没有该 [[bus]]；请改正名称，或添加该总线，或改用 host",
            "is no [[bus]] of the site; mend the name, add the bus, or use host",
        );
        return Some((("bus", bus.to_owned()), problem));
    };
    let here = |device: &&Device| {
        device.never_write && device.unit == unit && device.link == Link::Rtu { bus: line }
    };
    let device = site.devices.iter().find(here)?;
    let problem = said(
        format!(
            "总线 {bus} 上的设备 {} 就是 unit {unit}，其型号库写明不可写入（never_write）；请改用继电器模块或 gpio",
            device.name
        ),
        format!(
            "unit {unit} of bus {bus} is device {}, whose profile says never_write; use a relay \
             module or a gpio line",
            device.name
        ),
    );
    Some((("unit", unit.to_string()), problem))
}

/// The device that must not be written to and that this coil may belong to.
fn endangered<'a>(
    site: &'a Site,
    places: &Places,
    (host, port): (&str, u16),
    unit: u8,
) -> Option<&'a Device> {
    let here = |device: &&Device| {
        let at = endpoint(site, device).filter(|(_, its)| *its == port);
        at.is_some_and(|(its, _)| places.same(host, its))
    };
    let there: Vec<&Device> = site.devices.iter().filter(here).collect();
    let (kept, free): (Vec<&Device>, Vec<&Device>) =
        there.into_iter().partition(|device| device.never_write);
    let loose = |device: &&Device| [BROADCAST, ANY, unit].contains(&device.unit);
    let known = unit != BROADCAST && free.iter().any(|device| device.unit == unit);
    match kept.iter().copied().find(loose) {
        Some(device) => Some(device),
        None => kept.first().copied().filter(|_| !known),
    }
}

fn endpoint<'a>(site: &'a Site, device: &'a Device) -> Option<(&'a str, u16)> {
    match &device.link {
        Link::ModbusTcp { host, port } => Some((host, *port)),
        Link::Rtu { bus } => match &site.buses.get(*bus)?.kind {
            BusKind::RtuTcp { host, port } => Some((host, *port)),
            BusKind::Serial { .. } => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::plan_of;
    use super::*;

    /// A gas controller that must not be written to, and what else there is.
    fn site(host: &str, unit: u8, more: &str) -> Site {
        let text = format!(
            "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n\
             [[installation]]\nname='a'\nkind='k'\n[[device]]\nname='e3'\n\
             kind='modbus-tcp'\nhost='{host}'\nunit={unit}\nprofile='honeywell_e3point'\n{more}\n"
        );
        let points = "h\ntag,name,installation,signal,unit,low,high,device,function,address,\
                      type,period_ms\nA,n,a,s,u,0,9,e3,holding,10,u16,1000\n";
        let mut site = Site::load("s", &text, &mut |_| Ok(points.to_owned())).unwrap();
        assert!(site.devices[0].never_write);
        site.devices[0].unit = unit;
        site
    }

    #[test]
    fn a_coil_is_driven_by_one_output() {
        let site = site(
            "192.0.2.9",
            1,
            "[[bus]]\nname='A'\nkind='modbus-rtu-tcp'\nhost='192.0.2.8'\nport=1",
        );
        let coil = |name: &str, at: &str| {
            format!("[[output]]\nname='{name}'\nkind='coil'\n{at}\nfollows='siren'\n")
        };
        for (first, second, twice) in [
            ("host='127.0.0.1'\ncoil=4", "host='localhost'\ncoil=4", true),
            ("host='127.0.0.1'\ncoil=4", "host='127.0.0.1'\nunit=255\ncoil=4", true),
            ("host='127.0.0.1'\ncoil=4", "host='127.0.0.1'\nunit=2\ncoil=4", false),
            ("host='127.0.0.1'\ncoil=4", "host='127.0.0.1'\ncoil=5", false),
            ("host='127.0.0.1'\ncoil=4", "host='127.0.0.1'\nport=503\ncoil=4", false),
            ("bus='A'\nunit=3\ncoil=4", "bus='A'\nunit=3\ncoil=4", true),
            ("bus='A'\nunit=3\ncoil=4", "bus='A'\nunit=4\ncoil=4", false),
        ] {
            let plan = plan_of(&(coil("siren", first) + &coil("relay", second))).unwrap();
            let told = plan.forbidden(&site);
            assert_eq!(told.len(), usize::from(twice), "{first} {second}: {told:?}");
            if let [(place, (column, value), problem)] = told.as_slice() {
                assert_eq!((*place, *column, value.as_str()), (1, "coil", "4"));
                assert!(problem.zh().contains("siren") && problem.en().contains("siren"));
            }
        }
    }

    fn refused(site: &Site, host: &str, unit: u8) -> bool {
        let text = format!(
            "[[output]]\nname='siren'\nkind='coil'\nhost='{host}'\nunit={unit}\ncoil=4\n\
             follows='siren'\n"
        );
        let refused = plan_of(&text).unwrap().forbidden(site);
        match refused.as_slice() {
            [] => false,
            [(0, ("coil", coil), problem)] => {
                assert_eq!(coil, "4");
                let (zh, en) = (problem.zh(), problem.en());
                assert!(zh.contains("e3") && en.contains("relay module"), "{problem:?}");
                true
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_spelling_of_the_address_gets_round_it() {
        let far = site("10.0.0.9", 3, "");
        for host in ["10.0.0.9", "::ffff:10.0.0.9", "::ffff:a00:9", "10.9"] {
            assert!(refused(&far, host, 3), "{host}");
        }
        assert!(!refused(&far, "10.0.0.8", 3));
        let near = site("localhost", 3, "");
        for host in ["127.0.0.1", "127.1", "127.0.0.5", "::1", "0.0.0.0", "LOCALHOST"] {
            assert!(refused(&near, host, 3), "{host}");
        }
        let named = site("e3.invalid", 3, "");
        assert!(refused(&named, "E3.invalid.", 3), "a name that nobody resolves");
    }

    #[test]
    fn unit_0_behind_a_converter_is_for_everybody_and_refused() {
        let device = |unit: u8| {
            format!(
                "[[device]]\nname='d{unit}'\nkind='modbus-tcp'\nhost='127.0.0.1'\nunit={unit}\n"
            )
        };
        let coil = |name: &str, unit: u8| {
            format!(
                "[[output]]\nname='{name}'\nkind='coil'\nhost='localhost'\nunit={unit}\ncoil={unit}\n\
                 follows='siren'\n"
            )
        };
        for (devices, outputs, refused) in [
            (device(3) + &device(4), coil("horn", 0), true),
            (device(3), coil("horn", 0) + &coil("lamp", 5), true),
            (device(3) + &device(4), coil("horn", 5), false),
            (device(3) + &device(4), coil("horn", 255), false),
            // One device that need not look at the unit.
            (device(1), coil("horn", 0), false),
            (device(255) + &device(1), coil("horn", 0), false),
            (String::new(), coil("horn", 0), false),
        ] {
            let mut site = site("192.0.2.7", 1, &devices);
            site.devices[0].never_write = false;
            let told = plan_of(&outputs).unwrap().forbidden(&site);
            assert_eq!(told.len(), usize::from(refused), "{devices}{outputs}{told:?}");
            if let [(place, (column, value), problem)] = told.as_slice() {
                assert_eq!((*place, *column, value.as_str()), (0, "unit", "0"));
                assert!(problem.zh().contains("广播") && problem.en().contains("broadcast"));
            }
        }
    }

    #[test]
    fn on_a_line_only_the_unit_of_the_device_itself_is_kept_and_the_line_must_exist() {
        let line = "[[bus]]\nname='A'\nkind='modbus-rtu'\npath='/dev/x'\nbaud=9600\n\
                    parity='even'\n[[bus]]\nname='B'\nkind='modbus-rtu'\npath='/dev/y'\n\
                    baud=9600\nparity='even'\n";
        let mut site = site("10.0.0.9", 3, line);
        site.devices[0].link = Link::Rtu { bus: 0 };
        let said = |bus: &str, unit: u8| {
            let text = format!(
                "[[output]]\nname='siren'\nkind='coil'\nbus='{bus}'\nunit={unit}\ncoil=4\n\
                 follows='siren'\n"
            );
            let refused = plan_of(&text).unwrap().forbidden(&site);
            refused.first().map(|(_, at, problem)| (at.clone(), problem.zh()))
        };
        let ((key, value), why) = said("A", 3).unwrap();
        assert_eq!((key, value.as_str()), ("unit", "3"));
        assert!(why.contains("e3") && why.contains("never_write"), "{why}");
        assert_eq!((said("A", 4), said("B", 3)), (None, None));
        let ((key, value), why) = said("C", 4).unwrap();
        assert_eq!((key, value.as_str()), ("bus", "C"));
        assert!(why.contains("[[bus]]"), "{why}");
    }

    #[test]
    fn another_unit_of_its_address_is_free_only_where_another_device_is_known_there() {
        let alone = site("10.0.0.9", 3, "");
        for unit in [0, 1, 3, 4, 255] {
            assert!(refused(&alone, "10.0.0.9", unit), "{unit}");
        }
        let relay = "[[device]]\nname='relay'\nkind='modbus-tcp'\nhost='10.0.0.9'\nunit=4";
        let both = site("10.0.0.9", 3, relay);
        assert!(!refused(&both, "10.0.0.9", 4), "the relay module behind the same converter");
        for unit in [0, 1, 3, 255] {
            assert!(refused(&both, "10.0.0.9", unit), "{unit}");
        }
        assert!(refused(&site("10.0.0.9", 255, relay), "10.0.0.9", 4), "it answers any unit");
        let careless = Site { devices: both.devices[1..].to_vec(), ..both };
        assert!(!refused(&careless, "10.0.0.9", 3), "nothing to keep");
    }
}
