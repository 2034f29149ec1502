//! Days and the proleptic Gregorian calendar, in 32-bit arithmetic.
//!
//! Dates are counted in days since 0001-01-01 (0..=3,652,058), so nothing here is negative. Inside,
//! years begin in March: the leap day is then the last of its year, and the lengths of the months
//! before it are a straight line with a slope of 153 days in 5 months.

// No sum or product here leaves its type for the ranges that the functions document, and the
// wrapping operations say to the compiler what the comments prove: there is no panic path.

/// A date: year 1..=9999, month 1..=12, day 1..=31.
pub(super) struct Date {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
}

/// Days from 0000-03-01 to 0001-01-01.
const MARCH_TO_YEAR_ONE: u32 = 306;
/// Days of 400 years; of 100 years that have no leap day at their end; of 4 years; of a year.
const DAYS_400: u32 = 146_097;
const DAYS_100: u32 = 36_524;
const DAYS_4: u32 = 1_461;
const DAYS_1: u32 = 365;

/// Days in `month` (1..=12) of `year`; 0 for any other month.
pub(super) fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

fn is_leap_year(year: u32) -> bool {
    // A multiple of 100 that is one of 16 is one of 400.
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(16))
}

/// Days from 0001-01-01 to a date that exists in the years 1..=9999.
pub(super) fn days_from_date(date: &Date) -> u32 {
    // Months from March; January and February belong to the year before.
    let (year, month) = if date.month > 2 {
        (date.year, date.month.wrapping_sub(3))
    } else {
        (date.year.wrapping_sub(1), date.month.wrapping_add(9))
    };
    let day_of_year = (month.wrapping_mul(153).wrapping_add(2) / 5)
        .wrapping_add(date.day)
        .wrapping_sub(1);
    // At most 9999 × 365 + …, below 4 million.
    year.wrapping_mul(DAYS_1)
        .wrapping_add(year / 4)
        .wrapping_sub(year / 100)
        .wrapping_add(year / 400)
        .wrapping_add(day_of_year)
        .wrapping_sub(MARCH_TO_YEAR_ONE)
}

/// The date `days` (0..=3,652,058) after 0001-01-01.
pub(super) fn date_from_days(days: u32) -> Date {
    let days = days.wrapping_add(MARCH_TO_YEAR_ONE);
    let centuries4 = days / DAYS_400;
    let day = days % DAYS_400;
    // The last day of 400 years is a leap day and makes the last century one longer: it belongs to
    // century 3 and not to a century 4; likewise for the last day of 4 years.
    let century = (day / DAYS_100).min(3);
    let day = day.wrapping_sub(century.wrapping_mul(DAYS_100));
    let olympiad = day / DAYS_4;
    let day = day % DAYS_4;
    let year = (day / DAYS_1).min(3);
    let day = day.wrapping_sub(year.wrapping_mul(DAYS_1));
    let month = day.wrapping_mul(5).wrapping_add(2) / 153;
    let first = month.wrapping_mul(153).wrapping_add(2) / 5;
    let year = centuries4
        .wrapping_mul(400)
        .wrapping_add(century.wrapping_mul(100))
        .wrapping_add(olympiad.wrapping_mul(4))
        .wrapping_add(year);
    let (year, month) = if month < 10 {
        (year, month.wrapping_add(3))
    } else {
        (year.wrapping_add(1), month.wrapping_sub(9))
    };
    Date {
        year,
        month,
        day: day.wrapping_sub(first).wrapping_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts through all 3,652,059 days with the plain rules of the calendar.
    #[test]
    fn every_day_of_the_calendar() {
        let mut days = 0;
        for year in 1..=9999 {
            for month in 1..=12 {
                let plain = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
                    [usize::try_from(month - 1).unwrap()]
                    + u32::from(
                        month == 2 && (year % 4 == 0 && year % 100 != 0 || year % 400 == 0),
                    );
                assert_eq!(days_in_month(year, month), plain, "{year}-{month}");
                for day in 1..=plain {
                    let date = Date { year, month, day };
                    assert_eq!(days_from_date(&date), days, "{year}-{month}-{day}");
                    let back = date_from_days(days);
                    assert_eq!((back.year, back.month, back.day), (year, month, day));
                    days += 1;
                }
            }
        }
        assert_eq!(days, 3_652_059);
        assert_eq!(days_in_month(2024, 0), 0);
        assert_eq!(days_in_month(2024, 13), 0);
    }
}
