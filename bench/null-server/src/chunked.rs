//! Bodies in chunks: HTTP's `Transfer-Encoding: chunked` and S3's `aws-chunked` share one grammar.
//!
//! ```text
//! chunk   = hex-size [ ";" extensions ] CRLF  data  CRLF
//! body    = *chunk  "0" [ ";" extensions ] CRLF  *( name ":" value CRLF )  CRLF
//! ```
//!
//! Chunk signatures arrive as extensions and are skipped, as everything that concerns signing.

/// Longest size or trailer line that is believed.
const LINE_BYTES_MAX: usize = 4096;

/// Takes a chunked body apart, however the bytes are cut.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    line: Vec<u8>,
    trailers: Vec<(String, String)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

/// A body that breaks the grammar.
#[derive(Debug, thiserror::Error)]
#[error("malformed chunked body")]
pub(crate) struct Malformed;

impl Decoder {
    /// Feeds `input`, hands decoded bytes to `sink`, and returns how many bytes were consumed: all
    /// of them unless the body ended before.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<usize, Malformed> {
        let mut rest = input;
        while !rest.is_empty() && self.state != State::Done {
            if let State::Data(left) = self.state {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (data, tail) = rest.split_at(take);
                sink(data)?;
                // `take` is at most `left`.
                let left = left - take as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                rest = tail;
            } else {
                rest = self.take_line(rest)?;
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Whether the end of the body was seen. An aws-chunked body may leave out the last CRLF.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::Trailer)
    }

    /// Whether the bytes after this belong to the next message.
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers, names in lower case.
    pub(crate) fn into_trailers(mut self) -> Vec<(String, String)> {
        let line = std::mem::take(&mut self.line);
        self.note_trailer(&line);
        self.trailers
    }

    fn take_line<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(input);
            return if self.line.len() > LINE_BYTES_MAX { Err(Malformed) } else { Ok(&[]) };
        };
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(&input[..end]);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.end_line(&line)?;
        line.clear();
        self.line = line;
        Ok(&input[end + 1..])
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        self.state = match self.state {
            State::Size => match parse_size(line)? {
                0 => State::Trailer,
                size => State::Data(size),
            },
            State::DataEnd if line.is_empty() => State::Size,
            State::DataEnd => return Err(Malformed),
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => {
                self.note_trailer(line);
                State::Trailer
            }
            state @ (State::Data(_) | State::Done) => state,
        };
        Ok(())
    }

    fn note_trailer(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if let Some((name, value)) = text.split_once(':') {
            self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

fn parse_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    u64::from_str_radix(text, 16).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        b"4;chunk-signature=ab\r\nwiki\r\n6\r\npedia \r\n0\r\nX-Amz-Checksum-Crc32:AAAA\r\n\r\n";

    fn decode_in_steps(body: &[u8], step: usize) -> (Vec<u8>, Decoder) {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for piece in body.chunks(step) {
            let taken = decoder
                .decode(piece, &mut |bytes| {
                    out.extend_from_slice(bytes);
                    Ok(())
                })
                .unwrap();
            assert_eq!(taken, piece.len());
        }
        (out, decoder)
    }

    #[test]
    fn every_cut_of_the_bytes_decodes_alike() {
        for step in 1..=BODY.len() {
            let (out, decoder) = decode_in_steps(BODY, step);
            assert_eq!(out, b"wikipedia ", "step {step}");
            assert!(decoder.is_done() && decoder.is_closed());
            assert_eq!(
                decoder.into_trailers(),
                [("x-amz-checksum-crc32".to_owned(), "AAAA".to_owned())]
            );
        }
    }

    #[test]
    fn bytes_after_the_end_are_left_alone() {
        let mut decoder = Decoder::default();
        let taken = decoder.decode(b"0\r\n\r\nPUT /", &mut |_| Ok(())).unwrap();
        assert_eq!(taken, 5);
    }

    #[test]
    fn a_missing_last_line_end_is_tolerated() {
        let (_, decoder) = decode_in_steps(b"0\r\nx-amz-checksum-crc32c:BBBB", 7);
        assert!(decoder.is_done());
        assert_eq!(decoder.into_trailers()[0].1, "BBBB");
    }

    #[test]
    fn a_body_cut_inside_the_data_is_not_done() {
        let (_, decoder) = decode_in_steps(b"4\r\nwi", 3);
        assert!(!decoder.is_done());
    }

    #[test]
    fn nonsense_is_refused() {
        for body in [&b"zz\r\n"[..], b"1\r\nab\r\n", &[b'1'; LINE_BYTES_MAX + 1]] {
            assert!(Decoder::default().decode(body, &mut |_| Ok(())).is_err());
        }
    }
}
