//! Coils whose address is read as well: the outputs of an address share one connection, its reader
//! has another, and a module that takes one leaves the other unanswered. No fault: many take more.
//!
//! - Addresses are compared as text, as the owners of connections are told apart.

use std::collections::BTreeMap;

use fengsui_scan::{BusKind, Device, Link, Problem, Site};

use super::coil::address;
use super::config::{OutputPlan, Wiring, said};

impl OutputPlan {
    /// The outputs, by their names, and what is to be looked at.
    pub(crate) fn crowded(&self, site: &Site) -> Vec<(String, Problem)> {
        let mut coils: BTreeMap<(String, u16), Vec<&str>> = BTreeMap::new();
        for output in &self.outputs {
            if let Wiring::Coil { host, port, .. } = &output.wiring {
                coils.entry(address(host, *port)).or_default().push(&output.name);
            }
        }
        let hint = |(at, outputs): ((String, u16), Vec<&str>)| {
            let problem = on_line(site, &at).or_else(|| beside_devices(site, &at))?;
            Some((outputs.join(", "), problem))
        };
        coils.into_iter().filter_map(hint).collect()
    }
}

fn beside_devices(site: &Site, at: &(String, u16)) -> Option<Problem> {
    let here = |device: &&Device| match &device.link {
        Link::ModbusTcp { host, port } => address(host, *port) == *at,
        Link::Rtu { .. } => false,
    };
    let devices: Vec<&str> =
        site.devices.iter().filter(here).map(|device| device.name.as_str()).collect();
    let ((host, port), names) = (at, devices.join(", "));
    (!devices.is_empty()).then(|| {
        said(
            format!(
                "{host}:{port} 同时作为设备 {names} 采集：采集和输出各占一条连接；请按手册确认它接受两条以上的\
                 连接，否则换一个模块，或改用 gpio"
            ),
            format!(
                "{host}:{port} is read as well, as {names}: readings and outputs have a connection \
                 each; see in its manual that it takes two or more, else use another module or a \
                 gpio line"
            ),
        )
    })
}

/// A converter that passes on frames of a line understands none of Modbus TCP.
fn on_line(site: &Site, at: &(String, u16)) -> Option<Problem> {
    let line = site.buses.iter().find(|bus| match &bus.kind {
        BusKind::RtuTcp { host, port } => address(host, *port) == *at,
        BusKind::Serial { .. } => false,
    })?;
    let ((host, port), name) = (at, &line.name);
    Some(said(
        format!(
            "{host}:{port} 是总线 {name} 的透传串口服务器（modbus-rtu-tcp），不认 Modbus TCP 报文；请删去 host、\
             port，改写 bus = {name:?}"
        ),
        format!(
            "{host}:{port} is the transparent converter of bus {name} (modbus-rtu-tcp), which \
             carries no Modbus TCP; remove host and port and write bus = {name:?}"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::plan_of;
    use super::*;

    #[test]
    fn outputs_at_an_address_that_is_read_are_named_with_what_reads_it() {
        let site = "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n\
            [[installation]]\nname='a'\nkind='k'\n\
            [[bus]]\nname='A'\nkind='modbus-rtu-tcp'\nhost='192.0.2.8'\nport=4001\n\
            [[device]]\nname='inputs'\nkind='modbus-tcp'\nhost='IO.plant'\nunit=1\n\
            [[device]]\nname='plc'\nkind='modbus-tcp'\nhost='192.0.2.7'\n";
        let points = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
            period_ms\nA,n,a,s,u,0,9,plc,holding,10,u16,1000\n";
        let site = Site::load("s", site, &mut |_| Ok(points.to_owned())).unwrap();
        let coil = |(name, host, port, coil)| {
            format!(
                "[[output]]\nname='{name}'\nkind='coil'\nhost='{host}'\nport={port}\ncoil={coil}\n\
                 follows='siren'\n"
            )
        };
        let outputs = [
            ("horn", "io.plant", 502, 0),
            ("lamp", "io.plant", 502, 1),
            ("other-port", "io.plant", 503, 0),
            ("door", "192.0.2.8", 4_001, 0),
            ("alone", "192.0.2.9", 502, 0),
        ];
        let told = plan_of(&outputs.map(coil).concat()).unwrap().crowded(&site);
        let told: Vec<(String, String)> =
            told.into_iter().map(|(names, why)| (names, why.zh() + &why.en())).collect();
        assert_eq!(told.len(), 2, "{told:#?}");
        for ((names, why), (of, parts)) in told.iter().zip([
            ("door", ["总线 A", "bus = \"A\"", "transparent converter"]),
            ("horn, lamp", ["设备 inputs", "手册", "takes two or more"]),
        ]) {
            assert_eq!(names, of);
            assert!(parts.iter().all(|part| why.contains(part)), "{parts:?}: {why}");
        }
    }
}
