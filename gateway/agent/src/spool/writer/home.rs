//! Whether the spool still lies where the next start will look for it.

use tracing::{error, warn};

use super::Writer;

/// Between two looks at the name: what a kill may cost that comes right after somebody has deleted
/// the file.
const LOOK_MS: u64 = 2_000;

impl Writer {
    /// Somebody may have deleted, moved or replaced the file.
    pub(super) fn look_home(&mut self, now: u64) {
        if now < self.home_at {
            return;
        }
        self.home_at = now.saturating_add(LOOK_MS);
        if self.db.is_home() {
            return;
        }
        error!(
            "spool.db 被删除、改名或替换，网关运行时不要动它：从打开的文件重建 / spool.db was deleted, \
             moved or replaced; leave it alone while the gateway runs. It is laid down again from \
             the open file"
        );
        match self.db.lay_down(self.clock.wall()) {
            Ok(()) => warn!("the spool lies under its name again, with everything"),
            Err(fault) => {
                error!(%fault, "it could not be laid down; a new one is begun");
                self.reopen();
            }
        }
        self.tell();
    }
}
