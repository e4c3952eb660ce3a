//! How owner and permissions are written on the command line: as `rsync --chown` and `--chmod` have it, in numbers.

use std::str::FromStr;

use s3bl_core::settings::{ModeChange, OwnerChange, PERMISSION_BITS, Scope};

/// Reads an id; the last one stands for "no change" to the system.
pub fn id(text: &str) -> Result<u32, String> {
    u32::from_str(text).ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
        format!("`{text}` is no id: write a number from 0 to 4294967294 (`id -u NAME` tells it)")
    })
}

/// Reads `UID:GID`, `UID`, `:GID`, with `D` or `F` before it.
pub fn owner(text: &str) -> Result<OwnerChange, String> {
    let (scope, rest) = scoped(text);
    let (uid, gid) = rest.split_once(':').unwrap_or((rest, ""));
    let optional = |text: &str| (!text.is_empty()).then(|| id(text)).transpose();
    let change = OwnerChange { scope, uid: optional(uid)?, gid: optional(gid)? };
    if change.uid.is_none() && change.gid.is_none() {
        return Err(format!("`{text}` names no owner: write UID:GID, UID or :GID"));
    }
    Ok(change)
}

/// Reads `755`, `u=rwx`, `go-w`, with `D` or `F` before it.
pub fn mode(text: &str) -> Result<ModeChange, String> {
    let (scope, rest) = scoped(text);
    if let Ok(bits) = u32::from_str_radix(rest, 8)
        && bits <= PERMISSION_BITS
        && rest.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Ok(ModeChange { scope, keep: 0, set: bits });
    }
    symbolic(rest).map(|(keep, set)| ModeChange { scope, keep, set }).ok_or_else(|| {
        format!("`{text}` is no mode: write up to four octal digits, or as u=rwx, go-w, a+r, +t")
    })
}

fn scoped(text: &str) -> (Scope, &str) {
    match (text.strip_prefix('D'), text.strip_prefix('F')) {
        (Some(rest), _) => (Scope::Directories, rest),
        (None, Some(rest)) => (Scope::Files, rest),
        (None, None) => (Scope::All, text),
    }
}

/// Which bits stay, and which are set.
fn symbolic(text: &str) -> Option<(u32, u32)> {
    let at = text.find(['+', '-', '='])?;
    let (who, action) = text.split_at(at);
    let (operator, what) = action.split_at(1);
    let all = [0o4700, 0o2070, 0o1007];
    let whose = who.chars().try_fold(0, |bits, who| match who {
        'u' => Some(bits | all[0]),
        'g' => Some(bits | all[1]),
        'o' => Some(bits | all[2]),
        'a' => Some(PERMISSION_BITS),
        _ => None,
    })?;
    let whose = if who.is_empty() { PERMISSION_BITS } else { whose };
    let bits = what.chars().try_fold(0, |bits, what| match what {
        'r' => Some(bits | 0o444 & whose),
        'w' => Some(bits | 0o222 & whose),
        'x' => Some(bits | 0o111 & whose),
        's' => Some(bits | 0o6000 & whose),
        't' => Some(bits | 0o1000),
        _ => None,
    })?;
    match operator {
        "+" => Some((PERMISSION_BITS, bits)),
        "-" => Some((PERMISSION_BITS & !bits, 0)),
        _ => Some((PERMISSION_BITS & !whose, bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_as_people_write_them() {
        let all = |uid, gid| Ok(OwnerChange { scope: Scope::All, uid, gid });
        assert_eq!(owner("1001:1002"), all(Some(1001), Some(1002)));
        assert_eq!(owner("1001"), all(Some(1001), None));
        assert_eq!(owner(":4294967290"), all(None, Some(4_294_967_290)));
        assert_eq!(owner("D0:7").unwrap().scope, Scope::Directories);
        for wrong in ["", ":", "D", "alice:staff", "-1", "4294967295", "1:2:3"] {
            assert!(owner(wrong).is_err(), "{wrong:?} was read");
        }
    }

    #[test]
    fn modes_are_read_as_people_write_them() {
        let after = |text: &str, before: u32| {
            let ModeChange { keep, set, .. } = mode(text).unwrap();
            before & keep | set
        };
        assert_eq!(after("644", 0o4777), 0o644);
        assert_eq!(after("F2755", 0), 0o2755);
        assert_eq!(after("g+w", 0o644), 0o664);
        assert_eq!(after("go-rwx", 0o6777), 0o6700);
        assert_eq!(after("u=rw", 0o4755), 0o655);
        assert_eq!(after("o=", 0o1777), 0o770);
        assert_eq!(after("Dg+s", 0o755), 0o2755);
        assert_eq!(after("+t", 0o777), 0o1777);
        assert_eq!(after("a+r", 0), 0o444);
        assert_eq!(mode("D755").unwrap().scope, Scope::Directories);
        for wrong in ["", "8", "0o755", "17777", "+7", "rwx", "u", "z+r", "u+z", "755 "] {
            assert!(mode(wrong).is_err(), "{wrong:?} was read");
        }
    }
}
