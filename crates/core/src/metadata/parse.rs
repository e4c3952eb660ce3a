//! How numbers and times are read that other programs spelt. Whatever is not clearly a number is none.

use crate::unit::FileTime;

/// The longest text of a number that is looked at: 20 digits, a sign, a point, and a fraction of any sense.
const TEXT_BYTES_MAX: usize = 64;

const NANOSECONDS: i128 = 1_000_000_000;

/// A number as C's `strtoll` reads it with base 0: `0x` is hexadecimal, a leading zero octal, else decimal.
pub(super) fn number(text: &str) -> Option<u64> {
    let text = bounded(text)?;
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return radix(digits, 16);
    }
    match text.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => radix(digits, 8),
        Some(_) | None => radix(text, 10),
    }
}

/// A number in a base; no sign, no spaces.
pub(super) fn radix(text: &str, base: u32) -> Option<u64> {
    let text = bounded(text)?;
    let is_digits = text.chars().all(|digit| digit.is_digit(base));
    is_digits.then(|| u64::from_str_radix(text, base).ok()).flatten()
}

/// An owner or group.
pub(super) fn id(text: &str) -> Option<u32> {
    u32::try_from(number(text)?).ok()
}

/// The same, of a dialect that knows no other base.
pub(super) fn id_in_decimal(text: &str) -> Option<u32> {
    u32::try_from(radix(text, 10)?).ok()
}

/// Seconds with a decimal fraction or without one: `1400000003.5`, `-0.000000001`. Digits beyond the ninth are cut.
pub(super) fn seconds(text: &str) -> Option<FileTime> {
    let text = bounded(text)?;
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut nanoseconds = i128::from(radix(whole, 10)?) * NANOSECONDS;
    let mut unit = NANOSECONDS / 10;
    for digit in fraction.bytes().take(9) {
        nanoseconds += i128::from(digit - b'0') * unit;
        unit /= 10;
    }
    time(if is_negative { -nanoseconds } else { nanoseconds })
}

/// Nanoseconds with the suffix `ns`, milliseconds without it.
pub(super) fn nanoseconds_or_milliseconds(text: &str) -> Option<FileTime> {
    let text = bounded(text)?;
    let (digits, unit) = match text.strip_suffix("ns") {
        Some(digits) => (digits, 1),
        None => (text, 1_000_000),
    };
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The text is bounded to 64 digits, of which an i128 has room for 38.
    time(digits.parse::<i128>().ok()?.checked_mul(unit)? * sign)
}

/// A moment as RFC 3339 writes it.
pub(super) fn moment(text: &str) -> Option<FileTime> {
    time(bounded(text)?.parse::<jiff::Timestamp>().ok()?.as_nanosecond())
}

fn time(nanoseconds: i128) -> Option<FileTime> {
    Some(FileTime {
        seconds: i64::try_from(nanoseconds.div_euclid(NANOSECONDS)).ok()?,
        nanoseconds: u32::try_from(nanoseconds.rem_euclid(NANOSECONDS)).ok()?,
    })
}

fn bounded(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() <= TEXT_BYTES_MAX).then_some(text)
}
