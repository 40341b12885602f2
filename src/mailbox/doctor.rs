//! `loket channel doctor` for a mailbox: connects, logs in, and looks at each folder without changing anything.

use serde::Serialize;

use super::{connection::Connection, folder::mailbox, names, token::Token, trouble::Trouble};
use crate::{adapter::mail::After, channel::Channel, http::Http};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What keeps letters from being read, or from being dealt with afterwards. Empty: all is well.
    pub problems: Vec<String>,
    /// The server takes the credentials.
    pub is_logged_in: bool,
    /// The server could not be asked: nothing is known of the credentials.
    pub is_unreachable: bool,
    /// New letters are told at once; else they are found by polling.
    pub idle: bool,
    pub r#move: bool,
    pub uidplus: bool,
    pub folders: Vec<FolderHealth>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FolderHealth {
    pub name: String,
    pub letters: u32,
    pub uid_validity: u32,
}

/// Looks at the mailbox of a channel; None when it has none.
pub async fn examine(http: &Http, channel: &Channel) -> Option<Health> {
    let mailbox = mailbox(channel)?;
    let mut health = Health::default();
    let token = Token::new(http.clone());
    let mut connection = match Connection::open(mailbox, &token).await {
        Ok(connection) => connection,
        Err(trouble) => {
            health.is_unreachable = matches!(trouble, Trouble::Lost(_));
            health.problems.push(trouble.to_string());
            return Some(health);
        }
    };
    health.is_logged_in = true;
    let found = connection.capabilities;
    (health.idle, health.r#move, health.uidplus) = (found.idle, found.moves, found.uidplus);
    for folder in &mailbox.folders {
        if let Err(trouble) = look(&mut connection, folder, &mailbox.after, &mut health).await {
            health.problems.push(format!("folder {folder:?}: {trouble}"));
        }
    }
    if let After::Move(folder) = &mailbox.after {
        match target(&mut connection, folder).await {
            Ok(true) => {}
            Ok(false) => health.problems.push(format!("setting `move_to`: there is no folder {folder:?}")),
            Err(trouble) => health.problems.push(format!("folder {folder:?}: {trouble}")),
        }
    }
    connection.close().await;
    Some(health)
}

fn quoted(folder: &str) -> Result<String, Trouble> {
    names::folder(folder).ok_or_else(|| Trouble::Settings("this is no name of a folder".to_owned()))
}

async fn look(connection: &mut Connection, folder: &str, after: &After, health: &mut Health) -> Result<(), Trouble> {
    let selected = connection.select(&quoted(folder)?).await?;
    if selected.is_read_only {
        let what = if *after == After::Seen { "marked as read" } else { "moved or deleted" };
        health.problems.push(format!("folder {folder:?} is read-only: letters cannot be {what}"));
    }
    let (letters, uid_validity) = (selected.exists, selected.uid_validity);
    health.folders.push(FolderHealth { name: folder.to_owned(), letters, uid_validity });
    Ok(())
}

async fn target(connection: &mut Connection, folder: &str) -> Result<bool, Trouble> {
    connection.has_folder(&quoted(folder)?).await
}
