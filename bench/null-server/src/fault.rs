//! Faults on purpose: which request gets one is a function of its number and the seed alone.

use std::str::FromStr;

/// One `--fault`: a kind, how often, and the seed of the draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    rate: f64,
    seed: u64,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// 503 SlowDown; the request is not applied.
    SlowDown,
    /// 500 InternalError; the request is not applied.
    InternalError,
    /// The connection is reset after the request was read; the request is not applied.
    ResetBefore,
    /// The request is applied, then the connection is reset without a reply.
    ResetAfterApply,
    /// The request is applied; half of the reply's bytes are sent, then the connection closes.
    TruncatedReply,
    /// `CompleteMultipartUpload` answers 200 with an `<Error>` body and is not applied.
    ErrorBody,
    /// 200 with a page of HTML, as a captive portal sends it; the request is not applied.
    Html,
    /// The request is read and never answered.
    Stall,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::SlowDown,
        Self::InternalError,
        Self::ResetBefore,
        Self::ResetAfterApply,
        Self::TruncatedReply,
        Self::ErrorBody,
        Self::Html,
        Self::Stall,
    ];

    /// The name on the command line and in the statistics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SlowDown => "503",
            Self::InternalError => "500",
            Self::ResetBefore => "reset-before",
            Self::ResetAfterApply => "reset-after-apply",
            Self::TruncatedReply => "truncated-reply",
            Self::ErrorBody => "200-error-body",
            Self::Html => "html",
            Self::Stall => "stall",
        }
    }

    /// Whether the request still takes effect.
    pub(crate) fn is_applied(self) -> bool {
        matches!(self, Self::ResetAfterApply | Self::TruncatedReply)
    }
}

/// Why a `--fault` was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("`{0}` is not KIND:RATE[:SEED]")]
    Shape(String),
    #[error(
        "unknown fault `{0}`; known: 503, 500, reset-before, reset-after-apply, truncated-reply, 200-error-body, html, stall"
    )]
    Kind(String),
    #[error("rate `{0}` is not a number from 0 to 1")]
    Rate(String),
    #[error("seed `{0}` is not a whole number")]
    Seed(String),
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.split(':');
        let (Some(kind), Some(rate)) = (fields.next(), fields.next()) else {
            return Err(RuleError::Shape(text.to_owned()));
        };
        let seed = match fields.next() {
            None => 0,
            Some(seed) => seed.parse().map_err(|_| RuleError::Seed(seed.to_owned()))?,
        };
        if fields.next().is_some() {
            return Err(RuleError::Shape(text.to_owned()));
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|known| known.name() == kind)
            .ok_or_else(|| RuleError::Kind(kind.to_owned()))?;
        let rate = rate
            .parse()
            .ok()
            .filter(|rate| (0.0..=1.0).contains(rate))
            .ok_or_else(|| RuleError::Rate(rate.to_owned()))?;
        Ok(Self { kind, rate, seed })
    }
}

/// The first rule that strikes request `number`; an error body only ever strikes a completion.
pub(crate) fn strike(rules: &[Rule], number: u64, is_complete: bool) -> Option<Kind> {
    rules
        .iter()
        .filter(|rule| is_complete || rule.kind != Kind::ErrorBody)
        .find(|rule| draw(rule, number) < rule.rate)
        .map(|rule| rule.kind)
}

/// A number from 0 to 1 that depends on the rule's kind and seed and on the request's number alone.
fn draw(rule: &Rule, number: u64) -> f64 {
    let stream = mix(rule.seed ^ ((rule.kind as u64 + 1) << 56));
    let bits = mix(stream ^ number) >> 11;
    // 53 bits fit a double exactly.
    bits as f64 / (1u64 << 53) as f64
}

/// The finaliser of SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn a_rule_reads_kind_rate_and_seed() {
        let parsed = rule("reset-after-apply:0.25:7");
        assert_eq!(parsed, Rule { kind: Kind::ResetAfterApply, rate: 0.25, seed: 7 });
        assert_eq!(rule("503:1").seed, 0);
    }

    #[test]
    fn a_rule_that_means_nothing_is_refused() {
        for text in ["503", "nope:0.1", "503:2", "503:x", "503:0.1:x", "503:0.1:1:1"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_rate_is_kept_and_the_same_seed_strikes_the_same_requests() {
        let rules = [rule("500:0.1:3")];
        let struck = |rules: &[Rule]| -> Vec<u64> {
            (0..10_000).filter(|n| strike(rules, *n, false).is_some()).collect()
        };
        let first = struck(&rules);
        assert!((900..1_100).contains(&first.len()), "{}", first.len());
        assert_eq!(first, struck(&rules));
        assert_ne!(first, struck(&[rule("500:0.1:4")]));
    }

    #[test]
    fn an_error_body_strikes_completions_only() {
        let rules = [rule("200-error-body:1")];
        assert_eq!(strike(&rules, 1, false), None);
        assert_eq!(strike(&rules, 1, true), Some(Kind::ErrorBody));
    }
}
