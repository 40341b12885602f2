//! Files that leave through Twilio, which fetches them by their link.

use serde_json::json;

use crate::{
    enclosures::{WORDS, complaint, hand_in, hash, reply},
    harness::{ACCOUNT, World, form, twilio_signature},
    media::PHOTO,
};

#[tokio::test(flavor = "multi_thread")]
async fn twilio_gets_the_link_of_a_file_in_its_form() {
    let world = World::prepare().await;
    world.manifest("twilio-whatsapp");
    world.write(
        "config/channels/twa.toml",
        &format!(
            "manifest = \"twilio-whatsapp\"\n[settings]\naccount_sid = \"{ACCOUNT}\"\nauth_token = {{ file = \"auth_token\" }}\n"
        ),
    );
    world.write("config/loket.toml", "[media]\nfree_space = \"1 MiB\"\n");
    let world = world.serve().await;
    for (number, text) in (1..).zip([WORDS, "ya", "lewati", "kirim"]) {
        let sid = format!("SM{number}");
        let fields = [
            ("MessageSid", sid.as_str()),
            ("AccountSid", ACCOUNT),
            ("SmsStatus", "received"),
            ("From", "whatsapp:+6281100000001"),
            ("To", "whatsapp:+6281500001708"),
            ("Body", text),
            ("NumMedia", "0"),
        ];
        let signature = twilio_signature("https://loket.example/in/twa", &fields);
        assert_eq!(world.post("/in/twa", &[("x-twilio-signature", &signature)], form(&fields)).await.0, 200);
        world.wait_for_sent(number).await;
    }
    let complaint = complaint(&world).await;
    let photo = hand_in(&world, "foto.jpg", PHOTO).await;
    let attachments = json!([{ "attachment_id": photo["attachment_id"], "caption": "Sudah menyala" }]);
    assert_eq!(reply(&world, &complaint, "k1", attachments).await.0, 202);
    let sent = world.wait_for_sent(6).await.remove(5);
    assert_eq!((sent["To"].as_str(), sent["Body"].as_str()), ("whatsapp:+6281100000001", "Sudah menyala"));
    let path = sent["MediaUrl"].strip_prefix("https://loket.example").expect("a link of ours");
    let response = world.client.get(world.url(path)).send().await.expect("a reply");
    let kind = response.headers()["content-type"].to_str().expect("a type").to_owned();
    assert_eq!(
        (kind.as_str(), hash(&response.bytes().await.expect("a body"))),
        ("image/jpeg", photo["sha256"].as_str().expect("a hash").to_owned())
    );
    world.finish().await;
}
