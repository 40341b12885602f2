//! `loket channel doctor` for a mailbox.

use serde_json::json;

use crate::{
    cli::{Ending, output},
    mailbox::doctor::Health,
};

/// Shows what was found. Fails when a problem was.
pub(super) fn report(id: &str, health: &Health, json: bool) -> Result<(), Ending> {
    let is_good = health.problems.is_empty();
    let state = match (health.is_logged_in, health.is_unreachable) {
        // Whatever is wrong with a folder.
        (true, _) => "good",
        (false, true) => "unknown",
        (false, false) => "bad",
    };
    let detail = if is_good { "the mailbox can be read".to_owned() } else { health.problems.join("; ") };
    if json {
        output::json(&json!({ "id": id, "credentials": state, "detail": detail, "mailbox": health }))?;
    } else {
        output::line(&format!("credentials  {state}: {detail}"));
        for folder in &health.folders {
            let (letters, validity) = (folder.letters, folder.uid_validity);
            output::line(&format!("folder       {}: {letters} letters (UIDVALIDITY {validity})", folder.name));
        }
        if health.is_logged_in {
            let yes = |has: bool, otherwise: &'static str| if has { "yes" } else { otherwise };
            output::line(&format!("IDLE         {}", yes(health.idle, "no: new letters are found by polling")));
            output::line(&format!("MOVE         {}", yes(health.r#move, "no: letters are copied, then deleted")));
            output::line(&format!("UIDPLUS      {}", yes(health.uidplus, "no: what others have marked is left alone")));
        }
    }
    if is_good { Ok(()) } else { Err(Ending::Failed) }
}
