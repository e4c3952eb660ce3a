//! What one PUT costs: wall and CPU time of many small objects, or of large parts, on one thread.
//!
//! ```text
//! put_bench ENDPOINT small [COUNT=20000] [IN_FLIGHT=64] [BYTES=4096]
//! put_bench ENDPOINT parts [COUNT=512] [IN_FLIGHT=16] [BYTES=8388608]
//! ```
//!
//! `small` sends each object with a CRC64NVME and twelve metadata headers of 500 bytes; `parts` are the parts of one
//! multipart upload, whose checksum is computed each time. The body lies in memory. The keys of a test server are
//! taken from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, its authority from `AWS_CA_BUNDLE`.

#![expect(clippy::print_stdout, reason = "the measurement is what this program says")]

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use s3bl_s3::{
    Client, Config, CreateBucket, CreateMultipartUpload, Credentials, Endpoint, ErrorKind,
    PayloadCheck, PutObject, UploadPart,
};

const BUCKET: &str = "put-bench";
const KEY: &str = "large";

struct Bench {
    client: Client,
    body: Bytes,
    metadata: Vec<(HeaderName, HeaderValue)>,
    content_type: HeaderValue,
    upload_id: Option<String>,
    next: Cell<usize>,
    count: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, mode, numbers @ ..] = arguments.as_slice() else {
        return Err("usage: put_bench ENDPOINT small|parts [COUNT] [IN_FLIGHT] [BYTES]".into());
    };
    let is_parts = mode == "parts";
    let number = |at: usize, default| numbers.get(at).map_or(Ok(default), |text| text.parse());
    let count = number(0, if is_parts { 512 } else { 20_000 })?;
    let in_flight = number(1, if is_parts { 16 } else { 64 })?;
    let size = number(2, if is_parts { 8 << 20 } else { 4096 })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let bench = Rc::new(prepare(endpoint, is_parts, count, size).await?);
        measure(&bench, in_flight).await
    })
}

async fn prepare(
    endpoint: &str,
    is_parts: bool,
    count: usize,
    size: usize,
) -> Result<Bench, Box<dyn Error>> {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| "anything".to_owned());
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
    let credentials = Credentials::fixed(&id, &secret, None);
    let config = Config::new("us-east-1", credentials).with_endpoint(Endpoint::parse(endpoint)?);
    let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").map(Into::into);
    let client = Client::new(Config { ca_bundle, ..config })?;
    match client.create_bucket(&CreateBucket { bucket: BUCKET }).await {
        Err(error) if error.kind != ErrorKind::Conflict => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let create = CreateMultipartUpload::new(BUCKET, KEY);
    let upload_id = match is_parts {
        true => Some(client.create_multipart_upload(&create).await?.upload_id),
        false => None,
    };
    let body: Bytes = (0..size).map(|i| (i % 251) as u8).collect();
    let header = |i: usize| -> Result<_, Box<dyn Error>> {
        let name = format!("x-amz-meta-file-name-{i}").parse::<HeaderName>()?;
        Ok((name, HeaderValue::from_static("0123456789abcdefghij")))
    };
    let metadata = (0..12).map(header).collect::<Result<_, _>>()?;
    let content_type = HeaderValue::from_static("application/octet-stream");
    Ok(Bench { client, body, metadata, content_type, upload_id, next: Cell::new(0), count })
}

async fn measure(bench: &Rc<Bench>, in_flight: usize) -> Result<(), Box<dyn Error>> {
    let (start, cpu) = (Instant::now(), cpu_time());
    let lanes: Vec<_> =
        (0..in_flight).map(|_| tokio::task::spawn_local(lane(Rc::clone(bench)))).collect();
    for lane in lanes {
        lane.await??;
    }
    let (wall, cpu) = (start.elapsed(), cpu_time() - cpu);
    let bytes = bench.count as f64 * bench.body.len() as f64;
    let each = cpu.as_secs_f64() * 1e6 / bench.count as f64;
    let per_gib = cpu.as_secs_f64() / (bytes / f64::from(1 << 30));
    println!(
        "{} requests of {} bytes, {in_flight} in flight: wall {:.3} s, cpu {:.3} s, \
         {each:.1} us/request, {per_gib:.3} cpu-s/GiB",
        bench.count,
        bench.body.len(),
        wall.as_secs_f64(),
        cpu.as_secs_f64(),
    );
    Ok(())
}

/// Sends one request after another until all are sent.
async fn lane(bench: Rc<Bench>) -> Result<(), s3bl_s3::Error> {
    loop {
        let number = bench.next.get();
        if number >= bench.count {
            return Ok(());
        }
        bench.next.set(number + 1);
        match &bench.upload_id {
            Some(upload_id) => bench.part(upload_id, number).await?,
            None => bench.object(number).await?,
        }
    }
}

impl Bench {
    fn check(&self) -> PayloadCheck {
        let algorithm = crc_fast::CrcAlgorithm::Crc64Nvme;
        PayloadCheck::crc64nvme(crc_fast::checksum(algorithm, &self.body))
    }

    async fn object(&self, number: usize) -> Result<(), s3bl_s3::Error> {
        let key = format!("some/directory/of/a/tree/file-{number:06}.dat");
        let put = PutObject {
            check: self.check(),
            content_type: Some(&self.content_type),
            metadata: &self.metadata,
            ..PutObject::new(BUCKET, &key, self.body.clone())
        };
        self.client.put_object(&put).await.map(drop)
    }

    async fn part(&self, upload_id: &str, number: usize) -> Result<(), s3bl_s3::Error> {
        let part = UploadPart {
            bucket: BUCKET,
            key: KEY,
            upload_id,
            part_number: (number % 10_000) as u16 + 1,
            body: self.body.clone(),
            check: self.check(),
        };
        self.client.upload_part(&part).await.map(drop)
    }
}

/// Returns the user and system time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
