//! The calls to AWS KMS, against fixed answers and against moto's server.

use super::super::conformance::{description, key};
use super::super::http::Reply;
use super::*;

struct Fixed(u16, &'static str);

impl Wire for Fixed {
    fn call(&self, call: &Call<'_>) -> Result<Reply, Outage> {
        let header = |name| call.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let expected = "AWS4-HMAC-SHA256 Credential=id/20150830/eu-central-1/kms/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
        assert!(header("authorization").unwrap().starts_with(expected));
        assert_eq!(header("x-amz-date"), Some("20150830T123600Z"));
        Ok(Reply { status: self.0, body: Zeroizing::new(self.1.into()) })
    }
}

#[test]
fn times_are_written_as_the_service_wants_them() {
    assert_eq!(timestamp(0), "19700101T000000Z");
    assert_eq!(timestamp(951_782_399), "20000228T235959Z");
    assert_eq!(timestamp(951_782_400), "20000229T000000Z");
    assert_eq!(timestamp(1_440_938_160), "20150830T123600Z");
    assert_eq!(timestamp(4_107_542_400), "21000301T000000Z");
}

/// [KL-2] Whatever the service answers has an error of its own.
#[test]
fn exceptions_become_errors() {
    let at = description("aws", "eu");
    let id = key().version(3);
    let wrapped = Wrapped {
        provider: at.provider.clone(),
        region: at.region.clone(),
        key: KeyRef::new(id.clone()).unwrap(),
        bytes: vec![1],
    };
    let context = Context::new(&at, &key(), &quorate_crypto::hash::Digest::ZERO);
    let refusal = |status, body| {
        let session = Some(Zeroizing::new("session".to_owned()));
        let account = Account { id: "id".to_owned(), secret: AccessSecret::new("secret"), session };
        let service = Service {
            endpoint: "https://kms.example".to_owned(),
            region: "eu-central-1".to_owned(),
            clock: || 1_440_938_160,
        };
        let provider = AwsProvider::new(at.clone(), Fixed(status, body), account, service);
        provider.unwrap(&wrapped, &context, Access::Normal).err().unwrap()
    };
    let unknown = ProviderError::Unknown { provider: at.provider.clone(), key: id.to_string() };
    let out = ProviderError::Unavailable { provider: at.provider.clone(), kind: Outage::OutOfService };
    let denied = ProviderError::Denied(at.provider.clone());
    let pending = r#"{"__type":"KMSInvalidStateException","message":"arn:x is pending deletion."}"#;
    for (status, body, error) in [
        (400, r#"{"__type":"NotFoundException"}"#, unknown),
        (400, r#"{"__type":"a.b#DisabledException","Message":"x"}"#, ProviderError::Suspended(id.clone())),
        (400, pending, ProviderError::Destroyed(id.clone())),
        (400, r#"{"__type":"InvalidCiphertextException"}"#, ProviderError::Refused(id.clone())),
        (400, r#"{"__type":"IncorrectKeyException"}"#, ProviderError::Refused(id.clone())),
        (400, r#"{"__type":"AccessDeniedException","Message":"u is not authorized"}"#, denied.clone()),
        (400, r#"{"__type":"AccessDeniedException"}"#, ProviderError::Refused(id.clone())),
        (403, "<html>", denied),
        (400, r#"{"__type":"ThrottlingException"}"#, out.clone()),
        (503, "", out),
        (200, "{}", ProviderError::Answer { provider: at.provider.clone(), what: "the body" }),
    ] {
        assert_eq!(refusal(status, body), error, "{body}");
    }
}

#[cfg(feature = "provider-tests")]
mod real {
    //! Against moto's server: `moto_server`.

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

    fn now() -> u64 {
        std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
    }

    fn provider(port: u16) -> AwsProvider<HttpClient> {
        let account =
            Account { id: "testing".to_owned(), secret: AccessSecret::new("testing"), session: None };
        let service = Service {
            endpoint: format!("http://127.0.0.1:{port}"),
            region: "eu-central-1".to_owned(),
            clock: now,
        };
        let client = HttpClient::new(Duration::from_secs(10), &[]);
        AwsProvider::new(description("aws", "eu-central-1"), client, account, service)
    }

    #[test]
    fn the_aws_provider_conforms_to_moto() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs `moto_server` in the path: pip install 'moto[server]'");
        let server = Server(child);
        let mut provider = provider(port);
        let up = || !matches!(provider.active(&key()), Err(ProviderError::Unavailable { .. }));
        assert!(
            (0..300).any(|_| up() || {
                std::thread::sleep(Duration::from_millis(100));
                false
            }),
            "the server did not start"
        );
        conformance::check(&mut provider);
        conformance::check_destruction(&mut provider, false);

        let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(1);
        let context = Context::new(provider.describe(), &key(), &quorate_crypto::hash::Digest::ZERO);
        let (_, wrapped) = provider.generate_data_key(&key(), &context, &mut rng).unwrap();
        drop(server);
        let gone = provider.unwrap(&wrapped, &context, Access::Normal).err();
        assert!(
            matches!(gone, Some(ProviderError::Unavailable { kind: Outage::Unreachable, .. })),
            "{gone:?}"
        );
    }
}
