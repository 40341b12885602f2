//! What the demonstration tells by itself: messages, a letter and two conversations, each to the queue and back.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::{
    Demo, PHOTO,
    chatter::Chatter,
    events,
    files::File,
    mailbox,
    phones::{Bubble, ButtonKind, Side},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the invented citizens text: plain, anonymous and confidential, with a keyword, and in English.
const TEXTS: [(&str, &str); 4] = [
    ("+6281100000001", "Lampu jalan di depan Pasar Contoh padam sudah dua minggu, gelap sekali kalau malam."),
    ("+6281100000002", "ANONIM RAHASIA Ada pungutan liar saat urus KTP di kelurahan, diminta 50 ribu."),
    ("+6281100000003", "KOTACONTOH Sampah di Jl Melati belum diangkut sejak Senin, baunya sampai ke sekolah."),
    ("+6281100000004", "The water has been brown since Friday in our street near the old station."),
];

/// A letter: who writes, under which subject, and what.
const LETTER: (&str, &str, &str) = (
    "siti@example.org",
    "Jembatan di Desa Contoh",
    "Papan jembatan di Desa Contoh lepas tiga lembar, anak sekolah lewat di situ tiap pagi.\n\nDikirim dari iPhone saya",
);

/// The first words of the two conversations.
const ON_TELEGRAM: &str = "Tiang lampu di taman RW 05 miring ke jalan sejak hujan kemarin, takut menimpa anak-anak.";
const ON_WHATSAPP: &str = "There is a deep hole in the road in front of the health centre, two riders fell yesterday.";

/// One thing told.
#[derive(Debug)]
pub enum Story {
    Message(Message),
    Conversation(Conversation),
}

/// One message on its way.
#[derive(Debug)]
pub struct Message {
    pub from: &'static str,
    pub text: String,
    /// What the provider, or the citizen's mail server, was told.
    pub status: String,
    pub tracking_id: String,
    pub queue: String,
    pub answer: String,
}

/// A conversation that ended in a complaint.
#[derive(Debug)]
pub struct Conversation {
    pub citizen: &'static str,
    pub lines: Vec<Line>,
    pub tracking_id: String,
    pub queue: String,
    /// State, type and size of each file that came with it.
    pub files: Vec<String>,
}

/// What one side said or did.
#[derive(Debug)]
pub struct Line {
    pub side: Side,
    pub words: String,
}

/// A conversation while it goes on.
struct Talk<'a> {
    chatter: &'a Chatter,
    lines: Vec<Line>,
    heard: usize,
}

impl Demo {
    /// Sends the sample messages one by one and follows each to the queue and back to its phone.
    pub async fn tell(&self, mut told: impl FnMut(&Story)) -> anyhow::Result<()> {
        for (from, text) in TEXTS {
            let status = self.providers.sms.deliver(from, text).await?;
            let answer = self.providers.sms.answer_to(from, PATIENCE).await;
            let answer = answer.context("no acknowledgement came within 10 seconds")?;
            let (queue, event) = self.find(text).await?;
            let (text, status) = (text.to_owned(), format!("provider is told  {status}"));
            told(&Story::Message(Message { from, text, status, tracking_id: tracking_id(&event), queue, answer }));
        }
        told(&Story::Message(self.write().await?));
        let siti = Chatter::telegram(&self.providers, 5_000_000_001, "Siti");
        told(&Story::Conversation(self.converse("Siti, on Telegram", &siti, ON_TELEGRAM).await?));
        let adi = Chatter::whatsapp(&self.providers, "+6281100000005", "Adi");
        told(&Story::Conversation(self.converse("Adi, on WhatsApp", &adi, ON_WHATSAPP).await?));
        Ok(())
    }

    /// A citizen writes a letter to the gateway's mail server, and gets an answer into the mailbox.
    async fn write(&self) -> anyhow::Result<Message> {
        let (from, subject, text) = LETTER;
        let status = mailbox::write(&self.providers.sms, from, subject, text).await?;
        let answer = self.providers.sms.answer_to(from, PATIENCE).await;
        let answer = answer.context("no letter came back within 10 seconds")?;
        let words = text.lines().next().unwrap_or_default();
        let (queue, event) = self.find(words).await?;
        let status = format!("her server is told {status}");
        let text = format!("{subject}: {words}");
        Ok(Message { from, text, status, tracking_id: tracking_id(&event), queue, answer })
    }

    /// Words, consent, a photo and a pin, the review, the number.
    async fn converse(&self, citizen: &'static str, chatter: &Chatter, words: &str) -> anyhow::Result<Conversation> {
        let mut talk = Talk { chatter, lines: Vec::new(), heard: 0 };
        talk.says(words);
        let consent = talk.hears().await?;
        talk.presses_first(&consent)?;
        talk.hears().await?;
        talk.does("a photo", || chatter.sends_file(File::new(PHOTO, "image/jpeg").named("lampu.jpg"), None));
        talk.does("a pin", || chatter.shares_location(-6.31, 106.79));
        let review = talk.hears().await?;
        talk.presses_first(&review)?;
        talk.hears().await?;
        chatter.reads();
        let (queue, event) = self.find(words).await?;
        let files = self.files(&event).await?;
        Ok(Conversation { citizen, lines: talk.lines, tracking_id: tracking_id(&event), queue, files })
    }

    /// The queue in which the complaint with these words waits, and its event.
    async fn find(&self, text: &str) -> anyhow::Result<(String, Value)> {
        let last_words = text.rsplit(' ').take(3).collect::<Vec<_>>();
        for (queue, event) in events(&self.gateway).await? {
            let description = event["data"]["description"].as_str().unwrap_or_default();
            if last_words.iter().all(|word| description.contains(word)) {
                return Ok((queue, event));
            }
        }
        anyhow::bail!("the complaint is in no queue")
    }

    /// What became of each file of a complaint; waits until all are in their final state.
    async fn files(&self, complaint: &Value) -> anyhow::Result<Vec<String>> {
        let count = complaint["data"]["attachments"].as_array().map_or(0, Vec::len);
        let looking = async {
            loop {
                let mut told = Vec::new();
                for (_, event) in events(&self.gateway).await? {
                    let is_of_it = event["data"]["complaint_id"] == complaint["data"]["complaint_id"];
                    if is_of_it && event["type"] == "id.loket.complaint.attachment_stored.v1" {
                        told.push(described(&event["data"]["attachments"][0]));
                    }
                }
                if told.len() >= count {
                    return Ok(told);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.context("a file is still on its way after 10 seconds")?
    }
}

fn tracking_id(event: &Value) -> String {
    event["data"]["tracking_id"].as_str().unwrap_or_default().to_owned()
}

fn described(file: &Value) -> String {
    let word = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
    let size = file["size_bytes"].as_u64().unwrap_or_default();
    format!("{}, {}, {size} bytes", word("state"), word("detected_media_type"))
}

impl Talk<'_> {
    fn does(&mut self, what: &str, act: impl FnOnce()) {
        self.lines.push(Line { side: Side::Citizen, words: format!("({what})") });
        act();
    }

    fn says(&mut self, words: &str) {
        self.lines.push(Line { side: Side::Citizen, words: words.to_owned() });
        self.chatter.says(words);
    }

    async fn hears(&mut self) -> anyhow::Result<Bubble> {
        let bubble = self.chatter.hears(self.heard, PATIENCE).await.context("no answer came within 10 seconds")?;
        self.heard += 1;
        let mut words = bubble.text.clone();
        for button in &bubble.buttons {
            let marked = if button.kind == ButtonKind::Location { "📍 " } else { "" };
            words.extend(["\n[", marked, &button.label, "]"]);
        }
        self.lines.push(Line { side: Side::Gateway, words });
        Ok(bubble)
    }

    /// The first button is the one that goes on.
    fn presses_first(&mut self, bubble: &Bubble) -> anyhow::Result<()> {
        let button = bubble.buttons.first().context("there is no button to press")?;
        self.lines.push(Line { side: Side::Citizen, words: format!("[{}]", button.label) });
        anyhow::ensure!(self.chatter.presses_on(&bubble.id, &button.data), "the button cannot be pressed");
        Ok(())
    }
}
