//! The official signer as the oracle of ours: both must give the same `Authorization` for whatever
//! can be asked.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use proptest::prelude::*;

use super::Signer;
use crate::clock::Stamp;
use crate::config::PayloadHash;
use crate::connection::Payload;
use crate::credentials::Identity;
use crate::error::Operation;
use crate::request::{Stationery, Wish};

const HOST: &str = "bucket.s3.eu-west-1.amazonaws.com:8443";

/// Everything that goes into a signature.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    bucket: String,
    key: Option<String>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    seconds: i64,
    region: String,
    access_key_id: String,
    secret: String,
    token: Option<String>,
    is_bucket_in_path: bool,
    signs_body: bool,
}

impl Case {
    fn identity(&self) -> Arc<Identity> {
        let given = self.credentials();
        Arc::new(Identity::new(&given).unwrap())
    }

    fn credentials(&self) -> aws_credential_types::Credentials {
        let (id, secret) = (self.access_key_id.clone(), self.secret.clone());
        aws_credential_types::Credentials::new(id, secret, self.token.clone(), None, "test")
    }

    fn wish(&self) -> Wish<'_> {
        let key = self.key.as_deref();
        let mut wish = Wish::new(Operation::PutObject, self.method.clone(), &self.bucket, key);
        wish.query =
            self.query.iter().map(|(name, value)| (*name, value.as_str().into())).collect();
        wish.headers = headers(&self.headers);
        wish.body = Bytes::from(self.body.clone());
        wish
    }

    fn ours(&self, signer: &Signer, identity: &Arc<Identity>) -> Request<Payload> {
        let stationery = Stationery {
            signer,
            identity: Some(identity),
            stamp: Stamp::of(self.seconds),
            host: &HeaderValue::from_static(HOST),
            user_agent: &HeaderValue::from_static("test"),
            base_path: "",
            is_bucket_in_path: self.is_bucket_in_path,
            is_tls: true,
            payload_hash: if self.signs_body { PayloadHash::Signed } else { PayloadHash::Unsigned },
            expect_continue_above: None,
        };
        stationery.write(self.wish()).unwrap()
    }

    /// Signs our finished request again, the official way.
    fn official(&self, request: &Request<Payload>) -> String {
        let uri = format!("https://{HOST}{}", request.uri());
        let ours = [
            header::AUTHORIZATION.as_str(),
            "x-amz-date",
            "x-amz-content-sha256",
            "x-amz-security-token",
        ];
        let headers = request.headers().iter().filter(|(name, _)| !ours.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let body = if self.signs_body {
            SignableBody::Bytes(&self.body)
        } else {
            SignableBody::UnsignedPayload
        };
        let signable = SignableRequest::new(self.method.as_str(), uri, headers, body).unwrap();
        let identity = self.credentials().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds.unsigned_abs()))
            .settings(settings())
            .build()
            .unwrap()
            .into();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut headers = instructions.headers();
        headers.find(|(name, _)| *name == "authorization").unwrap().1.to_owned()
    }
}

fn headers(given: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in given {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

/// As the official S3 client sets them, and without the headers that ours does not sign.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let excluded = settings.excluded_headers.get_or_insert_default();
    excluded.extend(["content-length", "range", "if-none-match"].map(Cow::Borrowed));
    settings
}

fn cases() -> impl Strategy<Value = Case> {
    let names = [
        "continuation-token",
        "delimiter",
        "max-keys",
        "prefix",
        "uploadId",
        "uploads",
        "versionId",
    ];
    let query =
        prop::collection::vec(any::<Option<String>>(), names.len()).prop_map(move |values| {
            let pairs = names.iter().zip(values);
            pairs.filter_map(|(name, value)| Some((*name, value?))).collect()
        });
    let name = prop_oneof![
        6 => "x-amz-meta-[a-z0-9_.-]{1,12}",
        1 => Just("content-type".to_owned()),
        1 => Just("content-md5".to_owned()),
        1 => Just("range".to_owned()),
        2 => Just("x-amz-acl".to_owned()),
    ];
    let headers = prop::collection::vec((name, "[ -~]{0,40}"), 0..16);
    let place = (any::<bool>(), "[a-z0-9.-]{3,20}", prop::option::of(".{1,60}"));
    let who = ("[A-Z0-9]{16,20}", "[!-~]{1,40}", prop::option::of("[!-~]{1,80}"));
    let rest = (0..4_000_000_000i64, "[a-z0-9-]{1,15}", any::<Vec<u8>>(), any::<bool>());
    let methods = [Method::GET, Method::PUT, Method::POST, Method::HEAD, Method::DELETE];
    (prop::sample::select(methods.to_vec()), place, query, headers, who, rest).prop_map(
        |(method, place, query, headers, who, rest)| {
            let (is_bucket_in_path, bucket, key) = place;
            let (access_key_id, secret, token) = who;
            let (seconds, region, body, signs_body) = rest;
            Case {
                method,
                bucket,
                key,
                query,
                headers,
                body,
                seconds,
                region,
                access_key_id,
                secret,
                token,
                is_bucket_in_path,
                signs_body,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn ours_and_the_official_signature_are_the_same(case in cases()) {
        let request = case.ours(&Signer::new(&case.region), &case.identity());
        let ours = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        prop_assert_eq!(ours, case.official(&request));
    }
}

/// A small upload as the product makes it: a CRC and twelve metadata headers of 500 bytes.
fn typical() -> Case {
    let meta = |i: usize| (format!("x-amz-meta-file-name-{i}"), "0123456789abcdefghij".to_owned());
    let mut headers: Vec<_> = (0..12).map(meta).collect();
    headers.push(("x-amz-checksum-crc64nvme".to_owned(), "rosUhgp5mIg=".to_owned()));
    headers.push(("content-type".to_owned(), "application/octet-stream".to_owned()));
    Case {
        method: Method::PUT,
        bucket: "bucket".to_owned(),
        key: Some("some/directory/of/a/tree/file-000123.dat".to_owned()),
        query: Vec::new(),
        headers,
        body: Vec::new(),
        seconds: 1_790_000_000,
        region: "eu-west-1".to_owned(),
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        token: None,
        is_bucket_in_path: true,
        signs_body: false,
    }
}

#[test]
fn the_key_of_the_day_changes_with_day_and_identity() {
    let signer = Signer::new("eu-west-1");
    let base = typical();
    let tomorrow = Case { seconds: base.seconds + 86_400, ..base.clone() };
    let other = Case { secret: "other".to_owned(), ..base.clone() };
    for case in [&base, &tomorrow, &other, &base] {
        let request = case.ours(&signer, &case.identity());
        let ours = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        assert_eq!(ours, case.official(&request));
    }
}

/// Processor time, which other programs on the machine do not lengthen.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap())
}

/// `cargo test --release -p s3bl-s3 nanoseconds -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn nanoseconds_per_signature() {
    const ROUNDS: u32 = 100_000;
    let case = typical();
    let (signer, identity) = (Signer::new(&case.region), case.identity());
    let time = |name: &str, mut work: Box<dyn FnMut() -> usize>| {
        let start = cpu_time();
        let total: usize = (0..ROUNDS).map(|_| work()).sum();
        println!("{name}: {} ns ({total})", (cpu_time() - start).as_nanos() / u128::from(ROUNDS));
    };
    let request = case.ours(&signer, &identity);
    let official = case.clone();
    time("official signature", Box::new(move || official.official(&request).len()));
    let whole = case.clone();
    let (whole_signer, whole_identity) = (Signer::new(&case.region), case.identity());
    time(
        "our whole request",
        Box::new(move || whole.ours(&whole_signer, &whole_identity).headers().len()),
    );
    let request = case.ours(&signer, &identity);
    let mut out = Vec::new();
    time(
        "our signature",
        Box::new(move || {
            out.clear();
            let subject = super::Subject {
                method: "PUT",
                path: request.uri().path(),
                query: "",
                headers: request.headers(),
                payload_hash: "UNSIGNED-PAYLOAD",
            };
            signer.authorize(&subject, &identity, Stamp::of(case.seconds), &mut out);
            out.len()
        }),
    );
}
