//! The demo's people: a duty officer, as whom its visitor acts, and one of each other role.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::anyhow;
use fengsui_store::{AccountFault, ConfigDb, Deed, NewUser, UserChange};

use crate::accounts::{Role, password, secret};
use crate::clock;

/// The visitor's name.
pub const DUTY: &str = "duty";

/// Name, shown name, role and position of each.
const PEOPLE: [(&str, &str, Role, &str); 4] = [
    ("viewer", "演示查看", Role::Viewer, "调度室"),
    (DUTY, "演示值班员", Role::Operator, "值班台"),
    ("engineer", "演示工程师", Role::Engineer, "工程师站"),
    ("admin", "演示管理员", Role::Admin, "管理"),
];

/// Name, role and password of each.
pub(super) type Passwords = Vec<(&'static str, Role, String)>;

/// Gives each of them a new password, whether they were there before or not. Blocks.
///
/// # Errors
/// The file cannot be written, or the system gives no random bytes.
pub(super) fn seat(data: &Path) -> anyhow::Result<Passwords> {
    let db = ConfigDb::open(&data.join("config.db"))?;
    let deed = Deed { by: "demo", now: clock::now() };
    let mut passwords = Vec::new();
    for (name, display, role, position) in PEOPLE {
        let password = secret::password()?;
        let hash = password::hash(&password).map_err(|fault| anyhow!("{fault}"))?;
        let new = NewUser { name, display, role: role.word(), position, hash: &hash };
        match db.add_user(new, deed) {
            Ok(_) => {}
            Err(AccountFault::NameTaken(_)) => {
                db.change_user(name, UserChange::Password(&hash), deed)?;
            }
            Err(fault) => return Err(fault.into()),
        }
        passwords.push((name, role, password));
    }
    Ok(passwords)
}

/// As the terminal shows them.
pub(super) fn list(passwords: &Passwords) -> String {
    let mut out = String::new();
    for (name, role, password) in passwords {
        writeln!(out, "     {name:<10} {password}   {}", role.people())
            .expect("writing to a String cannot fail");
    }
    out
}
