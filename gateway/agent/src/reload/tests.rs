//! What the watcher looks at, and what it takes for the configuration in force.

use std::fs;

use super::*;
use crate::outputs::siren::{Lit, SirenState};

const SITE: &str = "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='points.csv'\n\
    limits='limits.csv'\n[[installation]]\nname='罐区'\nkind='tank_farm'\nhazard_class=3\n\
    [[device]]\nname='plc'\nkind='modbus-tcp'\nhost='127.0.0.1'\nport=1502\n";
const POINTS: &str = "位号\ntag,name,installation,signal,unit,low,high,device,function,address,\
    type,period_ms,rules\nTK-101.LT,液位,罐区,level,%,0,100,plc,holding,0,u16,1000,table=tank.csv\n";
const TABLE: &str = "液位,容积\nlevel,volume\n0,0\n1000,10\n3000,100\n";
const BOTH: &str = "位号\ntag,kind,limit\nTK-101.LT,H,85\nTK-101.LT,HH,95\n";
const ONE: &str = "位号\ntag,kind,limit\nTK-101.LT,HH,95\n";

struct Plant {
    folder: tempfile::TempDir,
    watcher: Watcher,
    next: mpsc::Receiver<Proposal>,
}

impl Plant {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("gateway.toml", "site = 'site.toml'\ndata = 'data'\n"),
            ("site.toml", SITE),
            ("points.csv", POINTS),
            ("limits.csv", BOTH),
            ("tank.csv", TABLE),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let Loaded { path, files, .. } = Loaded::load(&folder.path().join("gateway.toml")).unwrap();
        let (to_run, next) = mpsc::channel(1);
        let fault = watch::channel(String::new()).0;
        let watched = files.0.keys().cloned().collect();
        let watcher = Watcher { path, files: watched, current: files, to_run, fault };
        Self { folder, watcher, next }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn watched(&self) -> Vec<&str> {
        self.watcher.files.iter().filter_map(|file| file.file_name()?.to_str()).collect()
    }

    /// A reload while these alarms are lit: what was different, and what the heartbeat says then.
    async fn reload(&mut self, lit: &[&str]) -> (Result<usize, usize>, String) {
        let lit = lit.iter().map(|key| Lit { key: (*key).to_owned(), priority: 1, sounding: true });
        let lit = SirenState { lit: lit.collect(), ..SirenState::default() };
        let siren = watch::channel(lit).0;
        let (asked, outcome, still) = self.watcher.look_and_load();
        assert!(still.is_some());
        let found = match &outcome {
            Ok((_, lines)) => Ok(lines.len()),
            Err(faults) => Err(faults.len()),
        };
        let decide = async {
            if found.is_ok_and(|lines| lines > 0) {
                self.next.recv().await.unwrap().decide(false, &siren).await;
            }
        };
        let (runs, ()) = tokio::join!(self.watcher.take(asked, outcome), decide);
        assert!(runs);
        (found, self.watcher.fault.borrow().clone())
    }
}

#[tokio::test]
async fn what_was_refused_is_not_in_force() {
    let mut plant = Plant::new();
    plant.write("limits.csv", ONE);
    let lit = ["GW-01/TK-101.LT/H"];
    for round in 0..3 {
        let (found, fault) = plant.reload(&lit).await;
        assert_eq!(found, Ok(1), "round {round}");
        assert!(fault.contains(lit[0]), "round {round}: {fault}");
    }
    // Dealt with: it is loaded, and nothing is left to say.
    assert_eq!(plant.reload(&[]).await, (Ok(1), String::new()));
    assert_eq!(plant.reload(&[]).await, (Ok(0), String::new()));
    // Refused, and put back.
    plant.write("limits.csv", BOTH);
    assert_eq!(plant.reload(&[]).await.0, Ok(1));
    plant.write("limits.csv", ONE);
    assert!(!plant.reload(&lit).await.1.is_empty());
    plant.write("limits.csv", BOTH);
    assert_eq!(plant.reload(&lit).await, (Ok(0), String::new()));
}

#[tokio::test]
async fn a_heading_of_the_limits_is_a_change_that_is_told() {
    let mut plant = Plant::new();
    plant.write("limits.csv", &BOTH.replace("位号", "位号（2026 年 11 月复核）"));
    let (_, outcome, _) = plant.watcher.look_and_load();
    let (_, lines) = outcome.unwrap();
    assert!(lines.len() == 1 && lines[0].starts_with("limits file changed"), "{lines:?}");
    // It is no reason to keep what is lit from changing, and it is told once.
    let lit = ["GW-01/TK-101.LT/H"];
    assert_eq!(plant.reload(&lit).await, (Ok(1), String::new()));
    assert_eq!(plant.reload(&lit).await, (Ok(0), String::new()));
}

#[tokio::test]
async fn every_file_that_was_asked_for_is_looked_at() {
    let mut plant = Plant::new();
    let all = ["gateway.toml", "limits.csv", "points.csv", "site.toml", "tank.csv"];
    assert_eq!(plant.watched(), all);
    let before = Print::of(&plant.watcher.files);
    plant.write("tank.csv", &TABLE.replace("10\n", "20\n"));
    assert!(before != Print::of(&plant.watcher.files));
    assert_eq!(plant.reload(&[]).await, (Ok(1), String::new()));
    // A file that is still missing may come; what runs is looked at although nothing names it.
    plant.write("points.csv", &POINTS.replace("tank.csv", "new.csv"));
    assert_eq!(plant.reload(&[]).await.0, Err(1));
    assert_eq!(plant.watched(), [&all[..2], &["new.csv"], &all[2..]].concat());
    let (asked, ..) = plant.watcher.look_and_load();
    assert!(asked.stand(&Print::of(&plant.watcher.files)));
    plant.write("new.csv", TABLE);
    assert!(!asked.stand(&Print::of(&plant.watcher.files)), "it came while the rest was read");
    assert_eq!(plant.reload(&[]).await, (Ok(1), String::new()));
    plant.write("site.toml", "[site\n");
    assert!(plant.reload(&[]).await.0.is_err());
    for name in ["new.csv", "points.csv", "limits.csv"] {
        assert!(plant.watched().contains(&name), "{name}");
    }
}
