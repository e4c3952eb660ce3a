//! Calls of services that take them as small documents: by a form (EC2, SNS, STS) or by JSON (SQS, SSM).

use super::http::Head;

/// Most bytes of a call: SQS and SNS take 256 KiB, which percent-encoding makes three times as many.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// The length of a request's body if it is such a call; contents of objects are none.
pub(super) fn length(head: &Head) -> Option<usize> {
    let content_type = head.header("content-type")?;
    let is_call = content_type.starts_with("application/x-www-form-urlencoded")
        || content_type.starts_with("application/x-amz-json");
    let length: u64 = head.header("content-length")?.parse().ok()?;
    usize::try_from(length).ok().filter(|_| is_call && length <= BODY_BYTES_MAX)
}

/// What is called: `RunInstances`.
pub(super) fn action(head: &Head, body: &[u8]) -> Option<String> {
    match head.header("x-amz-target") {
        Some(target) => target.rsplit('.').next().map(str::to_owned),
        None => value(body, "Action"),
    }
}

/// The value of a name in a form.
pub(super) fn value(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let found = text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(decode(found))
}

/// Takes percent-encoding off. A sign of it that is none stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::read(&mut text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn calls_are_known_by_form_and_by_header() {
        let form = "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                    Content-Length: 44\r\n\r\n";
        let body = b"Version=1&Action=RunInstances&ClientToken=a%2Fb+c";
        assert_eq!(length(&head(form)), Some(44));
        assert_eq!(action(&head(form), body).as_deref(), Some("RunInstances"));
        assert_eq!(value(body, "ClientToken").as_deref(), Some("a/b c"));
        assert_eq!(value(body, "Token"), None);
        let json = "POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n\r\n";
        assert_eq!(action(&head(json), b"{}").as_deref(), Some("SendMessage"));
    }

    #[test]
    fn an_object_is_no_call() {
        let put = "PUT /b/k HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(length(&head(put)), None);
    }
}
