//! When jobs may start: `mon-fri 08:00-18:00 +01:00`.
//!
//! The offset is a number and not the name of a zone: what a name means changes with a database that two machines need not have
//! in the same version, and an hour more or less in autumn is harmless here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tributary_core::{Error, Result, Shown};

/// Minutes of a day.
const DAY: i64 = 24 * 60;
/// From Monday.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The first of January 1970 was a Thursday.
const FIRST_DAY: i64 = 3;
/// Farthest offset of a zone, in minutes.
const FARTHEST: i64 = 14 * 60;

/// A window of each of some days. Text: `[DAYS ]HH:MM-HH:MM[ OFFSET]`, where DAYS is as `mon-fri` or `sat,sun` (all days if
/// absent) and OFFSET as `+01:00` (UTC if absent). A window that ends before it begins ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// From Monday.
    days: [bool; 7],
    /// Minutes of the day.
    from: i64,
    to: i64,
    /// Minutes east of Greenwich.
    offset: i64,
}

impl Hours {
    /// Whether a moment (time since 1970) is within. The end is not.
    pub fn contain(&self, at: Duration) -> bool {
        let (day, minute) = self.local(at);
        let is_open = |day: i64| self.days[weekday(day)];
        match self.from < self.to {
            true => is_open(day) && (self.from..self.to).contains(&minute),
            false => is_open(day) && minute >= self.from || is_open(day - 1) && minute < self.to,
        }
    }

    /// A moment as a reader of these hours writes it: `sat 09:30 +01:00`.
    pub fn spelled(&self, at: Duration) -> String {
        let (day, minute) = self.local(at);
        format!("{} {}{}", DAYS[weekday(day)], clock(minute), offset(self.offset))
    }

    /// Days since 1970 and minute of the day.
    fn local(&self, at: Duration) -> (i64, i64) {
        let minutes = i64::try_from(at.as_secs() / 60).unwrap_or(i64::MAX).saturating_add(self.offset);
        (minutes.div_euclid(DAY), minutes.rem_euclid(DAY))
    }
}

fn weekday(day: i64) -> usize {
    (day + FIRST_DAY).rem_euclid(7) as usize
}

fn clock(minute: i64) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn offset(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    match minutes {
        0 => " UTC".into(),
        minutes => format!(" {sign}{}", clock(minutes.abs())),
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let open = DAYS.iter().zip(self.days).filter(|(_, is_open)| *is_open).map(|(name, _)| *name);
            write!(f, "{} ", open.collect::<Vec<_>>().join(","))?;
        }
        write!(f, "{}-{}{}", clock(self.from), clock(self.to), offset(self.offset))
    }
}

impl FromStr for Hours {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let text = Shown::new(text);
            Error::invalid(format!(
                "hours {text:?}, expected [DAYS ]HH:MM-HH:MM[ OFFSET], such as 08:00-18:00 or mon-fri 22:00-06:00 +01:00"
            ))
        };
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        let (first, rest) = words.split_first().ok_or_else(wrong)?;
        let (days, window, rest) = match (first.contains(':'), rest) {
            (true, rest) => ([true; 7], *first, rest),
            (false, [window, rest @ ..]) => (days(first).ok_or_else(wrong)?, *window, rest),
            (false, []) => return Err(wrong()),
        };
        let (from, to) = window.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
        let offset = match rest {
            [] | ["UTC" | "Z"] => 0,
            [offset] => east(offset).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        if from == DAY || from == to {
            return Err(wrong());
        }
        Ok(Self { days, from, to, offset })
    }
}

/// `mon-fri,sun`. A range may go over Sunday.
fn days(text: &str) -> Option<[bool; 7]> {
    let number = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let mut open = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        open[day] = true;
        while day != last {
            day = (day + 1) % 7;
            open[day] = true;
        }
    }
    Some(open)
}

/// `HH:MM`, up to 24:00.
fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number =
        |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 2 && !text.starts_with(['+', '-']));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let sum = hours * 60 + minutes;
    (minutes < 60 && sum <= DAY).then_some(sum)
}

/// `+01:00`, `-03:30`.
fn east(text: &str) -> Option<i64> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    minutes(&text[1..]).filter(|minutes| *minutes <= FARTHEST).map(|minutes| sign * minutes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sunday, 29 November 2026, 00:00 UTC.
    const SUNDAY: u64 = 1_795_910_400;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    fn at(day: u64, hour: u64, minute: u64) -> Duration {
        Duration::from_secs(SUNDAY + day * 86_400 + hour * 3600 + minute * 60)
    }

    fn check(text: &str, day: u64, hour: u64, minute: u64, expected: bool) {
        assert_eq!(hours(text).contain(at(day, hour, minute)), expected, "{text}: {day} {hour}:{minute}");
    }

    #[test]
    fn a_window_has_its_start_and_not_its_end() {
        check("08:00-18:00", 0, 7, 59, false);
        check("08:00-18:00", 0, 8, 0, true);
        check("08:00-18:00", 0, 17, 59, true);
        check("08:00-18:00", 0, 18, 0, false);
        check("00:00-24:00", 3, 0, 0, true);
        check("00:00-24:00", 3, 23, 59, true);
    }

    #[test]
    fn days_are_those_on_which_a_window_begins() {
        check("mon-fri 08:00-18:00", 0, 12, 0, false);
        check("mon-fri 08:00-18:00", 1, 12, 0, true);
        check("sat-mon 08:00-18:00", 0, 12, 0, true);
        check("sat-mon 08:00-18:00", 2, 12, 0, false);
        check("SUN,wed 08:00-18:00", 3, 12, 0, true);
        check("sun 22:00-06:00", 0, 23, 0, true);
        check("sun 22:00-06:00", 1, 5, 59, true);
        check("sun 22:00-06:00", 1, 6, 0, false);
        check("sun 22:00-06:00", 0, 5, 0, false);
    }

    #[test]
    fn an_offset_moves_days_too() {
        check("sun 00:00-01:00 +01:00", 0, 0, 0, false);
        check("mon 00:30-01:00 +01:00", 0, 23, 30, true);
        check("sat 20:00-22:00 -03:30", 0, 0, 0, true);
        assert_eq!(hours("08:00-09:00 -03:30").spelled(at(0, 0, 0)), "sat 20:30 -03:30");
        assert_eq!(hours("08:00-09:00").spelled(at(0, 9, 5)), "sun 09:05 UTC");
    }

    #[test]
    fn what_means_two_things_or_nothing_is_refused() {
        for wrong in [
            "",
            "08:00",
            "8:00-18:00",
            "08:00-18:60",
            "24:00-08:00",
            "08:00-08:00",
            "08:00-25:00",
            "+8:00-18:00",
            "08:00 - 18:00",
            "mon",
            "mon-fry 08:00-18:00",
            "08:00-18:00 CET",
            "08:00-18:00 +15:00",
            "08:00-18:00 +1",
            "08:00-18:00 UTC mon",
            "08:00-18:00 ü",
            "- 08:00-18:00",
            ", 08:00-18:00",
        ] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn hours_survive_their_text(text in "(mon|tue-sat|sun,thu )?[012][0-9]:[0-5][0-9]-[012][0-9]:[0-5][0-9]( [+-][01][0-9]:[0-5]0)?|.*") {
            if let Ok(hours) = text.parse::<Hours>() {
                prop_assert_eq!(hours.to_string().parse::<Hours>().unwrap(), hours);
            }
        }

        #[test]
        fn any_moment_is_decided(secs: u64) {
            let hours = hours("mon 22:00-06:00 -12:00");
            let _ = (hours.contain(Duration::from_secs(secs)), hours.spelled(Duration::from_secs(secs)));
        }
    }
}
