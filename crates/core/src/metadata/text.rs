//! How numbers and times are spelt, without a piece of memory for each.

use crate::unit::FileTime;

/// The bits of `st_mode`: the type, and twelve for the rights.
pub(super) const MODE_MASK: u32 = 0o177_777;

/// `0100644`: seven digits, the first a zero.
pub(super) fn push_octal(text: &mut String, mode: u32) {
    text.push('0');
    push_bare_octal(text, mode);
}

/// `100644`: six digits.
pub(super) fn push_bare_octal(text: &mut String, mode: u32) {
    let mut digits = [0; 6];
    let mut rest = mode & MODE_MASK;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    push_digits(text, &digits);
}

pub(super) fn push_decimal(text: &mut String, value: u64) {
    // 2^64 has twenty digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    push_digits(text, &digits[start..]);
}

/// Pushes a number of at most `digits` digits, nine at most, with zeros before it.
pub(super) fn push_padded(text: &mut String, value: u32, digits: usize) {
    let mut buffer = [0; 9];
    let mut rest = value;
    for digit in buffer[..digits].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    push_digits(text, &buffer[..digits]);
}

fn push_digits(text: &mut String, digits: &[u8]) {
    text.push_str(std::str::from_utf8(digits).expect("digits are ASCII"));
}

pub(super) fn push_seconds(text: &mut String, seconds: i64) {
    if seconds < 0 {
        text.push('-');
    }
    push_decimal(text, seconds.unsigned_abs());
}

/// Seconds with a fraction of `digits` digits, cut; before 1970 and on a whole second without one.
pub(super) fn push_time(text: &mut String, time: FileTime, digits: usize) {
    push_seconds(text, time.seconds);
    if time.seconds >= 0 && time.nanoseconds != 0 {
        text.push('.');
        let cut = 10u32.pow(u32::try_from(9 - digits).expect("a fraction has up to nine digits"));
        push_padded(text, time.nanoseconds / cut, digits);
    }
}

/// Nanoseconds since 1970.
pub(super) fn nanoseconds(time: FileTime) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds)
}
