//! Published vectors, the manifests' own samples, and signatures that another program made.

use super::{
    VerifyMode,
    evidence::sha256,
    fixture::{FORM, HMAC, SLACK, TWILIO, at, passes, reason, request, settings, verifier, verifier_of},
    public_key::PublicKey,
};
use crate::receipt::{Request, VerdictResult};
use base64::Engine;

/// Made with openssl over the bytes `hello`, with the keys of the certificates beside this file.
const RSA_SHA256: &str = "a3HHvJPR+f0niWSgWjbrFg4/MFszQYzD7l6O3j5LJ6vj5RDcWbXxpWjYLDZeZJ6TzhMEunAd/AOyrsA9zyIy9RWC9ZoHEMgcQa3waRvysV6lN+DozVcS9Th450uz+/vpUZNQPeTkKruUYk2kUMYQuIqqd/xtbg0IRcsEdIiLGNJn0WhtIpHF+u5WKvPPqYKR3rJ6Jhwx9emma6kFU9mAR0n8mMy2uVJfCP2DX1SkR5ix1ms1vv7S8oaCk7yKt4ECVOu2A6+1yHuFOSFUWNF9p1KfqzL74OgeFhGTl4Tte+/YctRe2jgWsKrTI5CAU6DqjVgobQP0DHd1nlvjYZNC3A==";
const RSA_SHA1: &str = "ZV/a5o86y4apbBECS/Lf9uSMsj6J5PzbkN5GiUQz/ThiXvEqX+WkfH2CVDGh/ZHvADoVGT/P/b0bTLoT4vkmilw3aLISHN1kmEFY5ItO4XeQisO3BnzNyt3GwAyxYy4BznXIlFjhL4q6XR/aZVPFzI9cQgFUljmxmrzTT5GhHilFVvyF/IXC28Bm+jO/O9RYkRpuzQS/uJY+yZQRDzaQK72cyoXAVlq5w3pc3XAZADdowLTtoAToRbB/VrAQP0V2iH4fAtRlldtswET08IJlwucoc2vKc6r5YpvAC1vfhCEHOTc8/LR9PPdYI71Qyzw/Ww2QBPQccww98g72lG4s5A==";
const EC_DER: &str = "MEUCIAGNyPuhRGldKMmIf6unoGJ2g3r1iDIbdg0BY9pLB8vJAiEAsgusfZx0BbT/BTkUwG6A1UKkJn41zh99y/R09ke5/lQ=";
const EC_SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeMsZnM/pHPj/Dmtt11J6tHtf5T51A93ZSha/ZZygdrUzvsa4x/Eyz/BIXCmKWN2gDjW2X8KLRIhZLf602GAFrA==";
const RSA_CERTIFICATE: &str = include_str!("fixture_rsa_certificate.txt");
const EC_CERTIFICATE: &str = include_str!("fixture_ec_certificate.txt");

#[test]
fn twilios_published_vector_passes() {
    let verifier = verifier_of(&[TWILIO], "any", &[("auth_token", &["12345"])], "https://mycompany.com");
    let body = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
    let headers = [("X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="), ("Content-Type", FORM)];
    let good = request("POST", "/myapp.php?foo=1&bar=2", &headers, body);
    let verdict = verifier.check(&good, None, at(0));
    assert_eq!(verdict.result, VerdictResult::Pass);
    assert_eq!(verdict.checks[0].method, "hmac_sha1");
    assert!(verdict.proves.sender && verdict.proves.content && !verdict.proves.freshness);
    every_changed_byte_is_refused(&verifier, &good, 0);
}

#[test]
fn slacks_published_vector_passes_for_five_minutes() {
    let verifier = verifier(SLACK, &[("key", &["8f742231b10e8888abcd99yyyzzz85a5"])]);
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
        channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=\
        https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=\
        398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        ("X-Slack-Request-Timestamp", "1531420618"),
        ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ];
    let good = request("POST", "/in/slack", &headers, body);
    for (second, wanted) in [(-301, false), (-300, true), (0, true), (300, true), (301, false)] {
        assert_eq!(passes(&verifier, &good, 1_531_420_618 + second), wanted, "{second}");
    }
    every_changed_byte_is_refused(&verifier, &good, 1_531_420_618);
}

#[test]
fn the_vector_of_standard_webhooks_passes() {
    let block = r#"
        kind = "hmac"
        hash = "sha256"
        key = "${key}"
        key_prefix = "whsec_"
        key_encoding = "base64"
        signature = { from = "header:webhook-signature", split = " ", prefix = "v1,", encoding = "base64" }
        signed = ["header:webhook-id", "timestamp", "body"]
        join = "."
        timestamp = { from = "header:webhook-timestamp", unit = "s", tolerance = "300s" }"#;
    let verifier = verifier(block, &[("key", &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]);
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    for list in [signature, &format!("v1,AAAA v1a,zzz {signature}")] {
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", list),
        ];
        let good = request("POST", "/in/x", &headers, br#"{"test": 2432232314}"#);
        assert!(passes(&verifier, &good, 1_614_265_330));
    }
}

/// RFC 2202 (case 2) and RFC 4231 (case 2).
#[test]
fn the_vectors_of_hmac_pass() {
    for (hash, tag) in [
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ("sha384", "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
             caeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let verifier = verifier(&HMAC.replace("\"sha256\"", &format!("\"{hash}\"")), &[("key", &["Jefe"])]);
        let signature = format!("sha256={tag}");
        let good = request("POST", "/", &[("x-sig", &signature)], b"what do ya want for nothing?");
        assert!(passes(&verifier, &good, 0), "{hash}");
    }
}

/// RFC 1321, appendix A.5, and the digests of the same text.
#[test]
fn a_digest_over_a_list_that_holds_the_secret_passes() {
    for (hash, digest) in [
        ("md5", "c3fcd3d76192e4007dfb496cca67e13b"),
        ("sha1", "32d10c7b8cf96570ca04ce37f2a19d84240d3a89"),
        ("sha256", "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73"),
    ] {
        let block = format!(
            "kind = \"hash\"\nhash = \"{hash}\"\nkey = \"${{key}}\"\nsigned = [\"key\", \"body\"]\n\
             signature = {{ from = \"header:x-sig\", encoding = \"hex\" }}"
        );
        let verifier = verifier(&block, &[("key", &["abcdefgh"])]);
        let good = request("POST", "/", &[("x-sig", digest)], b"ijklmnopqrstuvwxyz");
        assert!(passes(&verifier, &good, 0), "{hash}");
    }
}

#[test]
fn a_list_is_sorted_before_it_is_hashed() {
    let block = r#"
        kind = "hash"
        hash = "sha1"
        key = "${key}"
        signed = ["key", "param:timestamp", "param:nonce"]
        sort = true
        signature = { from = "param:signature", encoding = "hex" }
        timestamp = { from = "param:timestamp", unit = "s", tolerance = "300s" }
        replay = { from = "param:nonce", ttl = "10m" }"#;
    let verifier = verifier(block, &[("key", &["tok"])]);
    // The digest of `1700000000`, `n1` and `tok` in this order.
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, b"1700000000n1tok");
    let target = format!("/in/x?nonce=n1&timestamp=1700000000&signature={}", super::evidence::hex(digest.as_ref()));
    assert!(passes(&verifier, &request("GET", &target, &[], b""), 1_700_000_000));
}

/// RFC 8032, section 7.1, test 3.
#[test]
fn the_vector_of_ed25519_passes() {
    let block = r#"
        kind = "ed25519"
        key = "${key}"
        key_encoding = "hex"
        signature = { from = "header:x-sig", encoding = "hex" }
        signed = ["body"]"#;
    let key = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
    let verifier = verifier(block, &[("key", &[key])]);
    let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                     18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
    let good = request("POST", "/", &[("x-sig", signature)], &[0xaf, 0x82]);
    assert_eq!(verifier.check(&good, None, at(0)).checks[0].method, "ed25519");
    every_changed_byte_is_refused(&verifier, &good, 0);
}

/// RFC 6979, appendix A.2.5, SHA-256 of `sample`.
#[test]
fn the_vector_of_ecdsa_passes_raw() {
    let block = r#"
        kind = "ecdsa-p256"
        key = "${key}"
        key_encoding = "hex"
        signature = { from = "header:x-sig", encoding = "hex-nocase" }
        signed = ["body"]"#;
    let key = "0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6\
               7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299";
    let verifier = verifier(block, &[("key", &[key])]);
    let signature = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
                     F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";
    every_changed_byte_is_refused(&verifier, &request("POST", "/", &[("x-sig", signature)], b"sample"), 0);
}

#[test]
fn keys_in_pem_and_der_are_read_as_openssl_writes_them() {
    let block = |kind: &str, encoding: &str| {
        format!(
            "{kind}\nkey = \"${{key}}\"\nkey_encoding = \"{encoding}\"\nsigned = [\"body\"]\n\
             signature = {{ from = \"header:x-sig\", encoding = \"base64\" {} }}",
            if kind.contains("ecdsa") { ", format = \"der\"" } else { "" }
        )
    };
    let rsa = PublicKey::from_pem(RSA_CERTIFICATE).expect("a certificate");
    let spki = base64::engine::general_purpose::STANDARD.encode(rsa.spki());
    let pem = format!("-----BEGIN PUBLIC KEY-----\r\n{spki}\r\n-----END PUBLIC KEY-----");
    let bare = base64::engine::general_purpose::STANDARD.encode(rsa.bytes());
    let rsa_pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{bare}\n-----END RSA PUBLIC KEY-----\n");
    for (kind, encoding, key, signature) in [
        ("kind = \"rsa\"\nhash = \"sha256\"", "pem", RSA_CERTIFICATE, RSA_SHA256),
        ("kind = \"rsa\"\nhash = \"sha1\"", "pem", &pem, RSA_SHA1),
        ("kind = \"rsa\"\nhash = \"sha256\"", "pem", &rsa_pem, RSA_SHA256),
        ("kind = \"rsa\"\nhash = \"sha256\"", "base64", &spki, RSA_SHA256),
        ("kind = \"ecdsa-p256\"", "pem", EC_CERTIFICATE, EC_DER),
        ("kind = \"ecdsa-p256\"", "base64", EC_SPKI, EC_DER),
    ] {
        let verifier = verifier(&block(kind, encoding), &[("key", &[key])]);
        let good = request("POST", "/", &[("x-sig", signature)], b"hello");
        assert!(passes(&verifier, &good, 0), "{kind} {encoding}");
        let bad = request("POST", "/", &[("x-sig", signature)], b"hallo");
        assert!(!passes(&verifier, &bad, 0), "{kind} {encoding}");
    }
    let (scheme, _) = super::fixture::compiled(&[&block("kind = \"rsa\"\nhash = \"sha256\"", "pem")], "any");
    let wrong = scheme.expect("a scheme").with_keys(
        &settings(&[("key", &[EC_CERTIFICATE])]),
        VerifyMode::Enforce,
        "https://loket.example",
    );
    assert!(wrong.expect_err("a key of another kind")[0].message.contains("`key`"));
}

#[test]
fn a_certificate_is_fetched_from_hosts_of_the_list_only() {
    let block = r#"
        kind = "rsa"
        hash = "sha256"
        cert_url = "/SigningCertURL"
        cert_hosts = ["keys.example"]
        signed = ["body:/Message"]
        signature = { from = "body:/Signature", encoding = "base64" }
        replay = { from = "body:/MessageId", ttl = "30d" }"#;
    let verifier = verifier(block, &[]);
    let body = |url: &str| {
        format!(r#"{{"Message":"hello","MessageId":"m1","Signature":"{RSA_SHA256}","SigningCertURL":"{url}"}}"#)
    };
    let from = |url: &str| request("POST", "/in/sns", &[], body(url).as_bytes());
    for bad in [
        "http://keys.example/a.pem",
        "https://keys.example.org/a.pem",
        "https://keys.example@evil.example/a.pem",
        "https://keys.example:8443/a.pem",
        "https://evil.example/keys.example/a.pem",
        "https://keys.example",
        "file:///etc/passwd",
    ] {
        assert!(reason(&verifier, &from(bad), 0).contains("cert_hosts"), "{bad}");
    }
    assert!(verifier.wanted_urls().is_empty());
    let url = "https://keys.example/a.pem";
    let later = verifier.verify(super::fixture::receipt(from(url)), at(0)).expect_err("not fetched");
    assert!(matches!(later, super::Refused::Later(_)));
    assert_eq!(verifier.wanted_urls(), [url]);
    verifier.key_ring().put(url, RSA_CERTIFICATE).expect("a certificate");
    assert!(passes(&verifier, &from(url), 0));
    verifier.key_ring().reject("https://keys.example/gone.pem");
    let gone = verifier.verify(super::fixture::receipt(from("https://keys.example/gone.pem")), at(0));
    assert!(matches!(gone, Err(super::Refused::Unverified(_))));
}

/// RFC 7515, appendices A.1, A.2 and A.3; issued by `joe`, expired on 22 March 2011.
#[test]
fn the_vectors_of_json_web_signatures_pass_until_they_expire() {
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let hs = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{claims}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let es = format!(
        "eyJhbGciOiJFUzI1NiJ9.{claims}.\
         DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let jwks = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let block = |alg: &str, encoding: &str| {
        format!(
            "kind = \"jwt\"\nalgs = [\"{alg}\"]\nkey = \"${{key}}\"\nkey_encoding = \"{encoding}\"\n\
             token = {{ from = \"header:Authorization\", prefix = \"Bearer \" }}\nclaims = {{ iss = \"joe\" }}\n\
             replay = {{ from = \"claim:iss\", ttl = \"30d\" }}"
        )
    };
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==";
    let secret = verifier(&block("HS256", "base64"), &[("key", &[key])]);
    let url = "https://keys.example/jwks.json";
    let public = verifier(&block("ES256", "jwks-url"), &[("key", &[url])]);
    assert_eq!(public.wanted_urls(), [url]);
    let with = |token: &str| request("POST", "/", &[("Authorization", &format!("Bearer {token}"))], b"");
    let later = public.verify(super::fixture::receipt(with(&es)), at(1_300_819_380));
    assert!(matches!(later, Err(super::Refused::Later(_))));
    public.key_ring().put(url, jwks).expect("a set");
    for (verifier, token, other) in [(&secret, &hs, &es), (&public, &es, &hs)] {
        assert!(passes(verifier, &with(token), 1_300_819_380 + 60), "the leeway is inside");
        assert!(reason(verifier, &with(token), 1_300_819_380 + 61).contains("expired"));
        assert!(reason(verifier, &with(other), 1_300_819_380).contains("allow-list"));
        let at = token.rfind('.').expect("segments") + 1;
        let flipped = format!("{}A{}", &token[..at], &token[at + 1..]);
        assert!(reason(verifier, &with(&flipped), 1_300_819_380).contains("does not match"));
    }
}

/// RFC 7617, section 2.
#[test]
fn the_vector_of_basic_authentication_passes() {
    let block = "kind = \"basic\"\nuser = \"${user}\"\npassword = \"${password}\"";
    let verifier = verifier(block, &[("user", &["Aladdin"]), ("password", &["old", "open sesame"])]);
    for good in ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"] {
        assert!(passes(&verifier, &request("POST", "/", &[("Authorization", good)], b""), 0), "{good}");
    }
    for bad in [
        "Basic ",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==",
        "Basic QWxhZGRpbjpvcGVuIHNlc2Ft",
        "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Basic QWxhZGRpbg==",
    ] {
        assert!(!passes(&verifier, &request("POST", "/", &[("Authorization", bad)], b""), 0), "{bad}");
    }
}

/// Any byte of the body, and any byte of the signature's header, changed in its lowest bit.
fn every_changed_byte_is_refused(verifier: &super::Verifier, good: &Request, second: i64) {
    assert!(passes(verifier, good, second));
    for at in 0..good.body.len() {
        let mut body = good.body.to_vec();
        body[at] ^= 1;
        let changed = Request { body: body.into(), ..good.clone() };
        assert!(!passes(verifier, &changed, second), "byte {at} of the body");
    }
    for header in (0..good.headers.len()).filter(|header| good.headers[*header].0 != "content-type") {
        for at in 0..good.headers[header].1.len() {
            let mut changed = good.clone();
            changed.headers[header].1[at] ^= 1;
            assert!(!passes(verifier, &changed, second), "byte {at} of {}", good.headers[header].0);
        }
    }
}

#[test]
fn the_nonce_of_a_receipt_is_its_channels() {
    let verifier = verifier(super::fixture::JWT, &[("key", &["k"])]);
    let mut good = request("POST", "/in/x", &[], b"{}");
    verifier.sign(&mut good, at(0)).expect("signed");
    let nonce = |channel: &str| {
        let mut receipt = super::fixture::receipt(good.clone());
        receipt.channel = crate::receipt::ChannelId::new(channel).expect("a channel");
        verifier.verify(receipt, at(0)).expect("verified").verdict().nonce.clone().expect("a nonce")
    };
    assert_ne!(nonce("a").key, nonce("b").key);
    assert_eq!(nonce("a").body, nonce("b").body);
    assert_eq!(nonce("a").body, sha256(&[b"{}"])[..16]);
    assert_eq!(nonce("a").ttl_seconds, 600);
}
