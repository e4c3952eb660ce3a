//! The command line: one flag for each way in which the server can differ from a plain one.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::fault;

/// Answers S3 uploads, checks their checksums, and forgets the bytes.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// TCP port on 127.0.0.1; 0 takes any free one. The first line on stdout tells which.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Serves HTTPS with this certificate chain and private key, both PEM.
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    pub(crate) tls: Option<Vec<PathBuf>>,
    /// Milliseconds added before every reply; holds no thread.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) latency: u64,
    /// Requests per second above which the answer is 503 SlowDown; the burst is a tenth of it.
    #[arg(long, value_name = "N")]
    pub(crate) rps_limit: Option<NonZeroU32>,
    /// Remembers key, size, ETag and checksum of what was accepted, so that HEAD and LIST find it.
    #[arg(long)]
    pub(crate) remember: bool,
    /// What an ETag is made of: the CRC that is computed anyway, or a real MD5 as S3 answers.
    #[arg(long, value_enum, default_value_t = EtagKind::Crc)]
    pub(crate) etag: EtagKind,
    /// Fault to inject, e.g. `503:0.1` or `reset-after-apply:0.01:7`; may be repeated.
    #[arg(long, value_name = "KIND:RATE[:SEED]")]
    pub(crate) fault: Vec<fault::Rule>,
    /// File that gets the statistics as JSON when SIGTERM or SIGINT ends the server.
    #[arg(long, value_name = "FILE")]
    pub(crate) stats_file: Option<PathBuf>,
    /// Threads that serve connections; the accepting thread comes on top and idles.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) threads: usize,
}

/// What an ETag is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EtagKind {
    /// CRC64NVME and length in a multipart shape (`...-1`), which no client takes for an MD5.
    Crc,
    /// MD5 of the body, and MD5 of the parts' MD5s for multipart; also checks Content-MD5.
    Md5,
}
