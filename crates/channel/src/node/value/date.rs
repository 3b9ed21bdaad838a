//! The text of a date, as `JSON.stringify` writes it.

/// Largest distance of a date from 1970, in milliseconds (ECMAScript: 100 million days).
const MAX_MILLISECONDS: f64 = 8.64e15;
const MILLISECONDS_OF_A_DAY: i64 = 86_400_000;

/// `2026-11-20T12:34:56.789Z`; nothing for an invalid date.
pub(super) fn iso_text(milliseconds: f64) -> Option<String> {
    if milliseconds.is_nan() || milliseconds.abs() > MAX_MILLISECONDS {
        return None;
    }
    let milliseconds = milliseconds as i64;
    let (days, time) = (milliseconds.div_euclid(MILLISECONDS_OF_A_DAY), milliseconds.rem_euclid(MILLISECONDS_OF_A_DAY));
    let (year, month, day) = civil(days);
    let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
    let (second, milli) = (time / 1000 % 60, time % 1000);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{}{:06}", if year < 0 { '-' } else { '+' }, year.abs()),
    };
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day is the last
/// of its year; 400 years have 146 097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_as_javascript_writes_them() {
        for (milliseconds, text) in [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (-1.0, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000.0, "2000-02-29T00:00:00.000Z"),
            (1_763_694_896_789.0, "2025-11-21T03:14:56.789Z"),
            (-62_198_755_200_000.0, "-000001-01-01T00:00:00.000Z"),
            (8.64e15, "+275760-09-13T00:00:00.000Z"),
            (-8.64e15, "-271821-04-20T00:00:00.000Z"),
        ] {
            assert_eq!(iso_text(milliseconds).as_deref(), Some(text));
        }
        assert_eq!(iso_text(8.64e15 + 1.0), None);
        assert_eq!(iso_text(f64::NAN), None);
    }
}
