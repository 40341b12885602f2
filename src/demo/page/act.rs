//! What a visitor does as a citizen: writes, attaches a file, touches a button, sends a position.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    super::{PHOTO, chatter::Chatter, files::File, mailbox, parameters::Parameters},
    World,
};

/// Most characters of a text message, and of a chat message or a letter.
const LONGEST_SMS: usize = 1600;
const LONGEST: usize = 4096;
/// Where the citizen of the page stands: a corner of a park in the invented town.
const PLACE: (f64, f64) = (-6.31, 106.79);

/// What is wrong with a request, for the visitor.
type Wrong = (StatusCode, String);

/// A form, with JavaScript or without it: the answer leads back to the page.
pub async fn act(State(world): State<World>, headers: HeaderMap, body: Bytes) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let done = match Parameters::read(None, content_type, body).await {
        Ok(parameters) => done(&world, &parameters).await,
        Err(reason) => Err((StatusCode::BAD_REQUEST, reason.to_owned())),
    };
    match done {
        Ok(()) => Redirect::to("/").into_response(),
        Err(wrong) => wrong.into_response(),
    }
}

async fn done(world: &World, parameters: &Parameters) -> Result<(), Wrong> {
    let bad = |reason: &str| (StatusCode::BAD_REQUEST, reason.to_owned());
    let channel = parameters.text("channel").unwrap_or_default();
    let who = parameters.text(&format!("who_{channel}")).or_else(|| parameters.text("who")).unwrap_or_default();
    let text = parameters.text("text").unwrap_or_default();
    let text = text.trim();
    match channel.as_str() {
        "sms" if is_phone(&who) => sms(world, &who, text).await,
        "mail" if who.len() <= 200 && who.contains('@') => letter(world, &who, text).await,
        "telegram" => {
            let id = who.parse().ok().filter(|id| *id > 0).ok_or_else(|| bad("write the number of an account"))?;
            chat(&Chatter::telegram(&world.providers, id, "Warga"), text, parameters)
        }
        "whatsapp" if is_phone(&who) => chat(&Chatter::whatsapp(&world.providers, &who, "Warga"), text, parameters),
        _ => Err(bad("write a number like +6281100000009, or a mail address")),
    }
}

pub fn is_phone(who: &str) -> bool {
    let digits = who.strip_prefix('+').unwrap_or(who);
    (8..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
}

async fn sms(world: &World, who: &str, text: &str) -> Result<(), Wrong> {
    let text = written(text, LONGEST_SMS)?;
    world.providers.sms.deliver(who, &text).await.map(|_| ()).map_err(unheard)
}

async fn letter(world: &World, who: &str, text: &str) -> Result<(), Wrong> {
    let text = written(text, LONGEST)?;
    let subject: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
    mailbox::write(&world.providers.sms, who, &subject, &text).await.map(|_| ()).map_err(unheard)
}

fn written(text: &str, longest: usize) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err((StatusCode::BAD_REQUEST, "write a text".to_owned()));
    }
    Ok(text.chars().take(longest).collect())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn unheard(error: anyhow::Error) -> Wrong {
    (StatusCode::BAD_GATEWAY, error.to_string())
}

/// One act in a chat: a button, a position, a file with the text beside it, or the text alone.
fn chat(chatter: &Chatter, text: &str, parameters: &Parameters) -> Result<(), Wrong> {
    if let Some(data) = parameters.text("press") {
        let message = parameters.text("message").unwrap_or_default();
        let is_there = chatter.presses_on(&message, &data);
        return if is_there { Ok(()) } else { Err((StatusCode::BAD_REQUEST, "there is no such button".to_owned())) };
    }
    if parameters.is_set("location") {
        chatter.shares_location(PLACE.0, PLACE.1);
        return Ok(());
    }
    let caption = Some(text).filter(|text| !text.is_empty());
    if let Some(file) = attached(parameters) {
        chatter.sends_file(file, caption);
    } else {
        chatter.says(&written(text, LONGEST)?);
    }
    Ok(())
}

/// The visitor's own file, or the picture that is at hand. A form without a file sends an empty one.
fn attached(parameters: &Parameters) -> Option<File> {
    if parameters.is_set("sample") {
        return Some(File::new(PHOTO, "image/jpeg").named("lampu.jpg"));
    }
    let mut file = parameters.upload("file").filter(|file| !file.bytes.is_empty())?.clone();
    // A phone says what a file is by its bytes, not by what a browser thinks of its name.
    if let Some(kind) = infer::get(&file.bytes) {
        kind.mime_type().clone_into(&mut file.media_type);
    }
    Some(file)
}
