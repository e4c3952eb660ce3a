//! A TCP server that does what its script says, connection by connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One thing that the server does on a connection.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Reads a whole request.
    Read,
    /// Reads the head of a request and this many bytes of its body.
    ReadPart(usize),
    /// Reads this many more bytes of a body.
    ReadBody(usize),
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits for this many seconds, of a clock that the test has paused.
    Pause(u64),
    /// Ends the connection with a reset.
    Reset,
    /// Ends the connection in order.
    Close,
    /// Says and reads nothing more, and keeps the connection.
    Hold,
}

use Act::{Close, Hold, Pause, Read, ReadBody, ReadPart, Reset, Send};

/// A running server; it stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    /// Counts the acts that were done, on all connections.
    done: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves one connection after another, each by its script; later ones are refused.
    pub(crate) async fn start(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (sender, done) = watch::channel(0);
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut kept = tokio::task::JoinSet::new();
            for script in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                kept.spawn(follow(stream, script, Arc::clone(&seen), sender.clone()));
            }
            drop(listener);
            kept.join_all().await;
        });
        Self { address, requests, done, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the heads of the requests so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until `count` acts are done.
    pub(crate) async fn done(&self, count: usize) {
        self.done.clone().wait_for(|done| *done >= count).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    mut stream: TcpStream,
    script: Vec<Act>,
    requests: Arc<Mutex<Vec<String>>>,
    done: watch::Sender<usize>,
) {
    let mut buffer = Vec::new();
    for act in script {
        match act {
            Read => {
                let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
                let length = content_length(&head);
                requests.lock().unwrap().push(head);
                if !read_body(&mut stream, &mut buffer, length).await {
                    return;
                }
            }
            ReadPart(length) => {
                let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
                requests.lock().unwrap().push(head);
                if !read_body(&mut stream, &mut buffer, length).await {
                    return;
                }
            }
            ReadBody(length) => {
                if !read_body(&mut stream, &mut buffer, length).await {
                    return;
                }
            }
            Pause(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Send(bytes) => stream.write_all(&bytes).await.unwrap(),
            Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Close => return,
            Hold => {
                done.send_modify(|done| *done += 1);
                std::future::pending::<()>().await;
            }
        }
        done.send_modify(|done| *done += 1);
    }
    // Until the client ends it.
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
    done.send_modify(|done| *done += 1);
}

async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = buffer.drain(..end + 4).collect();
            return Some(String::from_utf8(head).unwrap());
        }
        if !fill(stream, buffer, 4096).await {
            return None;
        }
    }
}

async fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, length: usize) -> bool {
    while buffer.len() < length {
        if !fill(stream, buffer, length - buffer.len()).await {
            return false;
        }
    }
    buffer.drain(..length);
    true
}

/// Reads at most `limit` bytes; returns whether there were any.
async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>, limit: usize) -> bool {
    let mut piece = vec![0; limit.min(64 << 10)];
    let Ok(count @ 1..) = stream.read(&mut piece).await else { return false };
    buffer.extend_from_slice(&piece[..count]);
    true
}

fn content_length(head: &str) -> usize {
    header(head, "content-length").map_or(0, |value| value.parse().unwrap())
}

/// Returns the value of a header in a request's head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
