//! How values are written on the command line.

use std::str::FromStr;
use std::time::Duration;

use s3bl_core::unit::{ByteCount, FileTime};

/// Reads a size as people write it: `512`, `64K`, `8MiB`, `5GB`. Units of one letter and `KiB` are powers of 1024, `KB`
/// powers of 1000.
pub fn size(text: &str) -> Result<ByteCount, String> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number = u64::from_str(number)
        .map_err(|_| format!("`{text}` does not start with a whole number"))?;
    let power = |base: u64, exponent: u32| base.pow(exponent);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => power(1024, 1),
        "m" | "mib" => power(1024, 2),
        "g" | "gib" => power(1024, 3),
        "t" | "tib" => power(1024, 4),
        "kb" => power(1000, 1),
        "mb" => power(1000, 2),
        "gb" => power(1000, 3),
        "tb" => power(1000, 4),
        other => return Err(format!("`{other}` is no unit of size: use K, M, G, T, KiB, KB, ...")),
    };
    let bytes =
        number.checked_mul(factor).ok_or_else(|| format!("`{text}` is beyond 2^64 bytes"))?;
    Ok(ByteCount(bytes))
}

/// Reads a duration as people write it: `250ms`, `5s`, `10m`, `2h`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number = u64::from_str(number)
        .map_err(|_| format!("`{text}` does not start with a whole number"))?;
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => return Err(format!("`{other}` is no unit of time: use ms, s, m, h, d")),
    };
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is too long"))
}

/// Reads a moment: `2026-11-22`, `2026-11-22T15:30:00Z`, with or without an offset. Without one it is UTC.
pub fn moment(text: &str) -> Result<FileTime, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is no moment: write 2026-11-22 or 2026-11-22T15:30:00Z");
    let timestamp = text
        .parse::<jiff::Timestamp>()
        .ok()
        .or_else(|| {
            let civil = text.parse::<jiff::civil::DateTime>().ok()?;
            jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
        })
        .ok_or_else(wrong)?;
    Ok(FileTime {
        seconds: timestamp.as_second(),
        nanoseconds: u32::try_from(timestamp.subsec_nanosecond()).map_err(|_| wrong())?,
    })
}

/// Reads a moment that has not come yet.
pub fn future_moment(text: &str) -> Result<FileTime, String> {
    let moment = moment(text)?;
    if moment.seconds <= jiff::Timestamp::now().as_second() {
        return Err(format!("`{}` is over", text.trim()));
    }
    Ok(moment)
}

/// Reads text that a header can carry: ASCII that can be seen, with blanks between.
pub fn header(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the text is empty".to_owned());
    }
    match text.chars().find(|it| *it != ' ' && !it.is_ascii_graphic()) {
        Some(wrong) => {
            Err(format!("`{}` holds {wrong:?}, which no header may", text.escape_debug()))
        }
        None => Ok(text.to_owned()),
    }
}

/// Reads a media type: `text/html`, `text/html; charset=utf-8`.
pub fn content_type(text: &str) -> Result<String, String> {
    let text = header(text)?;
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !part.is_empty() && part.bytes().all(is_legal)
    };
    match essence.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => Ok(text),
        _ => Err(format!("`{text}` is no media type: write it as text/html")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("512"), Ok(ByteCount(512)));
        assert_eq!(size("8MiB"), Ok(ByteCount::mebibytes(8)));
        assert_eq!(size("8m"), Ok(ByteCount::mebibytes(8)));
        assert_eq!(size("5GB"), Ok(ByteCount(5_000_000_000)));
        for wrong in ["", "x", "5 apples", "-1", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong:?} was read");
        }
    }

    #[test]
    fn durations_and_moments_are_read_as_people_write_them() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert!(duration("soon").is_err());
        let day = FileTime { seconds: 1_763_769_600, nanoseconds: 0 };
        assert_eq!(moment("2025-11-22"), Ok(day));
        assert_eq!(moment("2025-11-22T01:00:00+01:00"), Ok(day));
        assert!(moment("yesterday").is_err());
    }

    #[test]
    fn headers_and_types_are_checked() {
        assert_eq!(header(" max-age=60, public ").unwrap(), "max-age=60, public");
        assert_eq!(content_type("text/html; charset=utf-8").unwrap(), "text/html; charset=utf-8");
        for wrong in ["", "a\nb", "é", "\0"] {
            assert!(header(wrong).is_err(), "{wrong:?} was read");
        }
        for wrong in ["html", "text/", "/x", "text html/x", "a/b/c"] {
            assert!(content_type(wrong).is_err(), "{wrong:?} was read");
        }
        assert!(future_moment("2020-01-01").is_err());
        assert!(future_moment("2999-01-01").is_ok());
    }
}
