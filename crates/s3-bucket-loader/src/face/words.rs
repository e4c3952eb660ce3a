//! Numbers and texts as people read them.

use indicatif::HumanCount;
use s3bl_core::unit::ByteCount;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Writes a word as a shell takes it, in single quotes where it needs them. Printable.
pub fn quoted(word: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "/._-+:@%,=".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', r"'\''"))
}

/// Writes a number with a comma between thousands: `12,345`.
pub fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Writes a number with what it counts: `1 entry`, `2 entries`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Writes a number of bytes: `9.8 GiB`.
pub fn bytes(number: u64) -> String {
    ByteCount(number).to_string()
}

/// Writes a rate without its unit: whole from ten on, else with a decimal. What is no number is 0.
pub fn rate(per_second: f64) -> String {
    let per_second = per_second.max(0.0);
    // The comparison is wrong for NaN too, which `max` has made 0. Conversions of floats saturate.
    if per_second < 9.95 && per_second > 0.0 {
        return format!("{per_second:.1}");
    }
    count(per_second.round() as u64)
}

/// Writes a time as one says it: `0.4 s`, `27 s`, `2 min 10 s`, `3 h 5 min`, `2 d 3 h`. What is no time is 0.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{} {large_unit}", count(large)),
        _ => format!("{} {large_unit} {small} {small_unit}", count(large)),
    };
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => pair(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        HOUR..DAY => pair(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        DAY.. => pair(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

/// Escapes what could drive a terminal or deceive the eye: control characters, and those that turn the direction of
/// text, by which a name can pretend to be another.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_treacherous(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061C}'
                | '\u{200B}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2066}'..='\u{2069}'
                | '\u{FEFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said = [0.0, 0.42, 9.94, 9.96, 59.4, 59.6, 130.0, 3600.0, 11_100.0, 183_600.0];
        let expected = [
            "0.0 s",
            "0.4 s",
            "9.9 s",
            "10 s",
            "59 s",
            "1 min",
            "2 min 10 s",
            "1 h",
            "3 h 5 min",
            "2 d 3 h",
        ];
        assert_eq!(said.map(duration), expected.map(str::to_owned));
    }

    #[test]
    fn what_is_no_time_and_no_rate_is_none() {
        assert_eq!(
            [f64::NAN, -3.0, f64::NEG_INFINITY].map(duration),
            ["0.0 s"; 3].map(str::to_owned)
        );
        assert_eq!([f64::NAN, -3.0, 0.0].map(rate), ["0"; 3].map(str::to_owned));
    }

    #[test]
    fn numbers_have_separators_and_rates_few_digits() {
        assert_eq!([0.42, 9.96, 3210.4].map(rate), ["0.4", "10", "3,210"].map(str::to_owned));
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(1_234_567, "entry", "entries"), "1,234,567 entries");
    }

    #[test]
    fn names_cannot_drive_the_terminal() {
        assert_eq!(
            printable("a\x1b[2Jb\r\n\u{202e}c\u{9b}é 日本"),
            "a\\u{1b}[2Jb\\r\\n\\u{202e}c\\u{9b}é 日本"
        );
    }
}
